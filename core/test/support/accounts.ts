/** Users and what they sign in with, for tests. */
import { randomUUID } from 'node:crypto';
import * as accounts from '#accounts';
import type { Actor, Scope } from '#platform/scope';
import { as, asSuperuser } from './testing.ts';

export const PASSWORD = 'violet harbour lantern';
export const newEmail = () => `user-${randomUUID()}@staff.example`;

/** A user of the staff; signs in with PASSWORD, unless told to have none, which makes them quickly. */
export async function newUser(scope: Scope, more: Partial<accounts.NewUser> = {}): Promise<accounts.User> {
  return accounts.createUser(as(scope, 'system'), {
    email: newEmail(),
    displayName: 'Ada Byron',
    role: 'agent',
    password: PASSWORD,
    ...more,
  });
}

/** The user signed in as an API client, and the scope of their next request. */
export async function signedIn(
  scope: Scope,
  user: Pick<accounts.User, 'email'>,
): Promise<{ scope: Scope; actor: Actor; tokens: accounts.SignedIn }> {
  const tokens = await accounts.login(scope, { email: user.email, password: PASSWORD });
  const actor = await accounts.authenticate(scope, { bearer: tokens.accessToken });
  return { scope: as(scope, actor), actor, tokens };
}

export function later(scope: Scope, duration: Temporal.DurationLike): Scope {
  return { ...scope, now: scope.now.add(duration) };
}

/** The audit trail's actions and outcomes about one resource, oldest first. Committed ones only. */
export async function trail(resourceId: string): Promise<string[]> {
  const rows = await asSuperuser<{ action: string; outcome: string }>(
    'select action, outcome from audit_entries where resource_id = $1 order by id',
    [resourceId],
  );
  return rows.map(({ action, outcome }) => `${action} ${outcome}`);
}

export interface Sent {
  readonly channel: string;
  readonly to: string;
  readonly text: string;
}

export function outbox(): { sent: Sent[]; channels: accounts.CodeChannels } {
  const sent: Sent[] = [];
  const channel = (channel: string): accounts.Sender => ({
    send: async (to, text) => void sent.push({ channel, to, text }),
  });
  return { sent, channels: { sms: channel('sms'), email: channel('email') } };
}

/** What the patient finds in the message. */
export async function receiveCode(scope: Scope, verificationId: string): Promise<string> {
  const { sent, channels } = outbox();
  await accounts.deliverVerification(scope, verificationId, channels);
  return /\b\d{6}\b/.exec(sent[0]?.text ?? '')?.[0] ?? 'none';
}

/** Another code than this. */
export const other = (code: string): string => String((Number(code) + 1) % 1_000_000).padStart(6, '0');
