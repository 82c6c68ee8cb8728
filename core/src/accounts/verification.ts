/**
 * Verification: a code, sent to an e-mail address or a phone, proves that it is in the hands of who asks.
 *
 * Asking writes the same rows, takes the same time and gets the same answer for every contact: whether a patient has
 * it is looked up when the message is to be sent. One code a contact is open at a time, for ten minutes.
 */
import { randomInt, randomUUIDv7 } from 'node:crypto';
import { z } from 'zod';
import * as audit from '#audit';
import * as care from '#care';
import { InvalidInput, RateLimited } from '#platform/errors';
import { parse } from '#platform/input';
import { asSystem, type Scope, transact } from '#platform/scope';
import { blindIndex, hmac, keyIdOf, open, seal } from '#platform/vault';
import { countAttempt, fromAddress } from './throttle.ts';
import { email } from './user.ts';

const MINUTES = 10;
const CODE_DIGITS = 6;

const Contact = z
  .object({ email: email.nullish(), phone: z.string().max(50, 'expected at most 50 characters').nullish() })
  .refine((contact) => !contact.email !== !contact.phone, 'expected either an e-mail address or a phone number');
export type Contact = z.input<typeof Contact>;

export interface VerificationRequest {
  readonly verificationId: string;
  readonly expiresAt: Temporal.Instant;
}

/** Throws InvalidInput, RateLimited. */
export async function writeVerification(scope: Scope, input: Contact): Promise<VerificationRequest> {
  const message = newMessage(scope, parse(Contact, input));
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

interface Message {
  readonly channel: 'sms' | 'email';
  /** Normalised. */
  readonly to: string;
  readonly code: string;
}

function newMessage(scope: Scope, { email, phone }: z.output<typeof Contact>): Message {
  const code = String(randomInt(10 ** CODE_DIGITS)).padStart(CODE_DIGITS, '0');
  if (email) return { channel: 'email', to: email, code };
  const number = care.normalisePhone(phone ?? '', scope.clinic.region);
  if (number === null) throw new InvalidInput([{ path: ['phone'], message: 'expected a valid phone number' }]);
  return { channel: 'sms', to: number, code };
}

async function replaceVerification(scope: Scope, message: Message): Promise<VerificationRequest> {
  const id = randomUUIDv7();
  const contact_index = contactIndex(scope, message.to);
  const expiresAt = scope.now.add({ minutes: MINUTES });
  await scope.db
    .updateTable('verifications')
    .set({ closed_at: scope.now.toString(), message: null })
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
      created_at: scope.now.toString(),
      expires_at: expiresAt.toString(),
    })
    .execute();
  return { verificationId: id, expiresAt };
}

export function contactIndex({ vault }: Scope, contact: string): Buffer {
  return blindIndex(vault, 'verifications.contact', contact);
}

export function hashCode({ vault }: Scope, verificationId: string, code: string): Buffer {
  return hmac(vault.keyFor('verification-code'), `${verificationId}:${code}`);
}

const placeOf = (row: string) => ({ table: 'verifications', column: 'message', row });

export interface Sender {
  send(to: string, text: string): Promise<void>;
}

/** How a code reaches a contact. */
export interface CodeChannels {
  readonly sms: Sender;
  readonly email: Sender;
}

/** Sends the code if a patient has the contact, once, and erases it. A failure to send is thrown, for another try. */
export async function sendVerification(scope: Scope, id: string, channels: CodeChannels): Promise<void> {
  const message = await transact(asSystem(scope), (scope) => claim(scope, id));
  if (message === null) return;
  try {
    await channels[message.channel].send(message.to, textOf(message.code));
  } catch (thrown) {
    await mark(scope, id, { sent_at: null });
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
    .select(['message', 'sent_at', 'expires_at'])
    .where('id', '=', id)
    .forUpdate()
    .executeTakeFirst();
  if (!row || row.message === null) return null;
  const late = row.sent_at !== null || row.expires_at.getTime() <= scope.now.epochMilliseconds;
  const message = openMessage(scope, id, row.message);
  const patient_ids = late ? [] : await patientsWith(scope, message);
  const change = patient_ids.length > 0 ? { patient_ids, sent_at: scope.now.toString() } : { message: null };
  await scope.db.updateTable('verifications').set(change).where('id', '=', id).execute();
  return patient_ids.length > 0 ? message : null;
}

function openMessage({ vault }: Scope, id: string, sealed: Buffer): Message {
  return JSON.parse(open(vault.ring.get(keyIdOf(sealed)), placeOf(id), sealed).toString('utf8')) as Message;
}

/** The living, in both senses, who have the contact. A family may share it. */
async function patientsWith(scope: Scope, { channel, to }: Message): Promise<string[]> {
  const found = channel === 'email' ? [await care.patientByEmail(scope, to)] : await care.patientsByPhone(scope, to);
  return found
    .filter((patient) => patient !== null && patient.status !== 'DECEASED')
    .map((patient) => patient?.id ?? '');
}
