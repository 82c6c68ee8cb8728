/**
 * Verification: a code, sent to an e-mail address or a phone, proves that it is in the hands of who asks.
 *
 * Asking writes the same rows, takes the same time and gets the same answer for every contact: whether a patient has
 * it is looked up when the message is to be sent. One code a contact is open at a time, for ten minutes and five tries.
 */
import { randomInt, randomUUIDv7 } from 'node:crypto';
import type { ExpressionBuilder } from 'kysely';
import { z } from 'zod';
import * as audit from '#audit';
import * as care from '#care';
import { Unavailable } from '#integrations/guard';
import type { Database } from '#platform/database';
import { InvalidInput, RateLimited } from '#platform/errors';
import { parse } from '#platform/input';
import { asSystem, type Scope, transact } from '#platform/scope';
import { blindIndex, hmac, keyIdOf, open, seal } from '#platform/vault';
import { countAttempt, fromAddress } from './throttle.ts';
import { email } from './user.ts';

const MINUTES = 10;
const CODE_DIGITS = 6;
const MAX_TRIES = 5;

export const code = z
  .string()
  .trim()
  .regex(/^\d{6}$/, 'expected six digits');

const Contact = z
  .object({ email: email.nullish(), phone: z.string().max(50, 'expected at most 50 characters').nullish() })
  .refine((contact) => !contact.email !== !contact.phone, 'expected either an e-mail address or a phone number');
export type Contact = z.input<typeof Contact>;

export const parseContact = (input: Contact) => parse(Contact, input);

export interface VerificationRequest {
  readonly verificationId: string;
  readonly expiresAt: Temporal.Instant;
}

/** Throws InvalidInput, RateLimited. */
export async function writeVerification(scope: Scope, input: Contact): Promise<VerificationRequest> {
  const message = newMessage(scope, parseContact(input));
  const subjects = [
    { rule: 'verification', value: message.to } as const,
    ...fromAddress('verification-address', scope),
  ];
  const result = await transact(asSystem(scope), async (scope) => {
    const request = { action: 'registration.request', resourceType: 'Verification' };
    // Until the commit this also keeps a second request for the same contact waiting.
    const wait = await countAttempt(scope, subjects);
    if (wait !== null) {
      await audit.record(scope, { ...request, outcome: 'DENIED' });
      return wait;
    }
    const verification = await replaceVerification(scope, message);
    await scope.jobs.enqueue(scope, 'verification-code', { verificationId: verification.verificationId });
    await audit.record(scope, { ...request, resourceId: verification.verificationId });
    return verification;
  });
  if (typeof result === 'number') throw new RateLimited(result);
  return result;
}

export interface Message {
  readonly channel: 'sms' | 'email';
  /** Normalised. */
  readonly to: string;
  readonly code: string;
}

export function newMessage(scope: Scope, { email, phone }: z.output<typeof Contact>): Message {
  const code = String(randomInt(10 ** CODE_DIGITS)).padStart(CODE_DIGITS, '0');
  if (email) return { channel: 'email', to: email, code };
  const number = care.normalisePhone(phone ?? '', scope.clinic.region);
  if (number === null) throw new InvalidInput([{ path: ['phone'], message: 'expected a valid phone number' }]);
  return { channel: 'sms', to: number, code };
}

/** Closes what is open for the contact, and opens anew: for a registration, or for a change of `of`. */
export async function replaceVerification(
  scope: Scope,
  message: Message,
  of?: care.Standing,
): Promise<VerificationRequest> {
  const id = randomUUIDv7();
  const contact_index = contactIndex(scope, message.to);
  const expiresAt = scope.now.add({ minutes: MINUTES });
  await scope.db
    .updateTable('verifications')
    .set({ closed_at: scope.now.toString(), message: null, contact: null })
    .where('contact_index', '=', contact_index)
    .where('closed_at', 'is', null)
    .execute();
  await scope.db
    .insertInto('verifications')
    .values({
      id,
      channel: message.channel,
      contact_index,
      code_hash: hashCode(scope, id, message.code),
      message: seal(scope.vault.ring.active, placeOf(id), JSON.stringify(message)),
      patient_id: of?.patientId ?? null,
      contact: of?.key.seal(contactPlace(id), message.to) ?? null,
      created_at: scope.now.toString(),
      expires_at: expiresAt.toString(),
    })
    .execute();
  return { verificationId: id, expiresAt };
}

/** Whether the code may still be tried. */
export function isOpen(
  eb: ExpressionBuilder<Database, 'verifications'>,
  { id, now }: { id: string; now: Temporal.Instant },
) {
  return eb.and([
    eb('id', '=', id),
    eb('closed_at', 'is', null),
    eb('expires_at', '>', new Date(now.epochMilliseconds)),
    eb('tries', '<', MAX_TRIES),
  ]);
}

export async function close({ db, now }: Scope, id: string): Promise<void> {
  const closed = { closed_at: now.toString(), message: null, contact: null };
  await db.updateTable('verifications').set(closed).where('id', '=', id).execute();
}

export async function countTry({ db }: Scope, id: string): Promise<void> {
  await db
    .updateTable('verifications')
    .set((eb) => ({ tries: eb('tries', '+', 1) }))
    .where('id', '=', id)
    .execute();
}

export function contactIndex({ vault }: Scope, contact: string): Buffer {
  return blindIndex(vault, 'verifications.contact', contact);
}

export function hashCode({ vault }: Scope, verificationId: string, code: string): Buffer {
  return hmac(vault.keyFor('verification-code'), `${verificationId}:${code}`);
}

const placeOf = (row: string) => ({ table: 'verifications', column: 'message', row });
export const contactPlace = (row: string) => ({ table: 'verifications', column: 'contact', row });

export interface Sender {
  send(to: string, text: string): Promise<void>;
}

/** How a code reaches a contact. */
export interface CodeChannels {
  readonly sms: Sender;
  readonly email: Sender;
}

/**
 * Sends the code if a patient has the contact, or asked for it as their new one: once, and erases it. What a channel
 * throws is thrown on; `Unavailable` leaves the code to another try.
 */
export async function sendVerification(scope: Scope, id: string, channels: CodeChannels): Promise<void> {
  const message = await transact(asSystem(scope), (scope) => claim(scope, id));
  if (message === null) return;
  try {
    await channels[message.channel].send(message.to, textOf(message.code));
  } catch (thrown) {
    // Only what surely was not sent is sent again: of what may have arrived, one can ask for another.
    await mark(scope, id, thrown instanceof Unavailable ? { sent_at: null } : { message: null });
    throw thrown;
  }
  await mark(scope, id, { message: null });
}

function textOf(code: string): string {
  return `Your CareFlex code is ${code}. It is good for ${MINUTES} minutes. Tell it to nobody.`;
}

async function mark(scope: Scope, id: string, change: { sent_at: null } | { message: null }): Promise<void> {
  await transact(asSystem(scope), ({ db }) =>
    db.updateTable('verifications').set(change).where('id', '=', id).execute(),
  );
}

/** Marked before it is sent: after a crash in between, a message is rather lost than sent twice; one can ask again. */
async function claim(scope: Scope, id: string): Promise<Message | null> {
  const row = await scope.db
    .selectFrom('verifications')
    .select(['message', 'sent_at', 'expires_at', 'patient_id'])
    .where('id', '=', id)
    .forUpdate()
    .executeTakeFirst();
  if (!row || row.message === null) return null;
  const late = row.sent_at !== null || row.expires_at.getTime() <= scope.now.epochMilliseconds;
  const message = openMessage(scope, id, row.message);
  const patient_ids = late ? [] : await patientsMeant(scope, message, row.patient_id);
  const change = patient_ids.length > 0 ? { patient_ids, sent_at: scope.now.toString() } : { message: null };
  await scope.db.updateTable('verifications').set(change).where('id', '=', id).execute();
  return patient_ids.length > 0 ? message : null;
}

function openMessage({ vault }: Scope, id: string, sealed: Buffer): Message {
  return JSON.parse(open(vault.ring.get(keyIdOf(sealed)), placeOf(id), sealed).toString('utf8')) as Message;
}

/** The living, in both senses: who asked for the contact as their new one, or else who has it. A family may share it. */
async function patientsMeant(scope: Scope, message: Message, askedBy: string | null): Promise<string[]> {
  const found = askedBy === null ? await patientsWith(scope, message) : await care.patientsByIds(scope, [askedBy]);
  return [...found.values()].filter(({ status }) => status !== 'DECEASED').map(({ id }) => id);
}

async function patientsWith(scope: Scope, { channel, to }: Message): Promise<care.Patient[]> {
  if (channel === 'sms') return care.patientsByPhone(scope, to);
  const patient = await care.patientByEmail(scope, to);
  return patient === null ? [] : [patient];
}
