/**
 * A patient's own change of e-mail address or first phone: the code goes to the new one, and proves that it is theirs.
 *
 * Until then nothing tells whether another patient has the address. The code is bound to the patient who asked: for
 * anybody else it does not exist.
 */
import { z } from 'zod';
import * as care from '#care';
import { DomainError, NotFound, RateLimited } from '#platform/errors';
import { once } from '#platform/idempotency';
import { idOf, parse } from '#platform/input';
import { asSystem, type Scope, transact } from '#platform/scope';
import { sameBytes } from '#platform/vault';
import { VerificationFailed } from './errors.ts';
import { record } from './policy.ts';
import { countAttempt, fromAddress } from './throttle.ts';
import {
  close,
  code,
  type Contact,
  contactPlace,
  countTry,
  hashCode,
  isOpen,
  type Message,
  newMessage,
  parseContact,
  replaceVerification,
  type VerificationRequest,
} from './verification.ts';

const Proof = z.object({
  verificationId: z.uuid('expected an id').transform(idOf),
  code,
  idempotencyKey: z.string().nullish(),
});
export type ContactProof = z.input<typeof Proof>;

type ContactChange = Contact & { readonly idempotencyKey?: string | null | undefined };

/** Throws InvalidInput, RateLimited, IdempotencyMismatch, NotFound (a repeat, once the code is forgotten). */
export async function writeContactChange(
  scope: Scope,
  { idempotencyKey: key, ...contact }: ContactChange,
): Promise<VerificationRequest> {
  const message = newMessage(scope, parseContact(contact));
  const of = { key, operation: 'contact.request', input: { to: message.to } };
  try {
    return await transact(scope, async (scope) => {
      const id = await once(scope, of, () => open(scope, message));
      return await stillKnown(scope, id);
    });
  } catch (thrown) {
    if (thrown instanceof RateLimited) {
      await transact(scope, (scope) => record(scope, 'contact.request', { type: 'Verification', outcome: 'DENIED' }));
    }
    throw thrown;
  }
}

async function open(scope: Scope, message: Message): Promise<string> {
  const subjects = [
    { rule: 'verification', value: message.to } as const,
    { rule: 'contact-change', value: scope.actor.id } as const,
    ...fromAddress('verification-address', scope),
  ];
  const standing = await care.standingOf(scope, scope.actor.patientId ?? '');
  const id = await transact(asSystem(scope), async (scope) => {
    const wait = await countAttempt(scope, subjects);
    if (wait !== null) throw new RateLimited(wait);
    const { verificationId } = await replaceVerification(scope, message, standing);
    await scope.jobs.enqueue(scope, 'verification-code', { verificationId });
    return verificationId;
  });
  await record(scope, 'contact.request', { type: 'Verification', id });
  return id;
}

async function stillKnown(scope: Scope, verificationId: string): Promise<VerificationRequest> {
  return transact(asSystem(scope), async ({ db }) => {
    const row = await db
      .selectFrom('verifications')
      .select('expires_at')
      .where('id', '=', verificationId)
      .executeTakeFirstOrThrow(() => new NotFound('The verification'));
    return { verificationId, expiresAt: row.expires_at.toTemporalInstant() };
  });
}

/** Throws InvalidInput, {@link VerificationFailed}, EmailTaken, IdempotencyMismatch, NotFound. */
export async function proveContactChange(scope: Scope, input: ContactProof): Promise<care.Patient> {
  const { idempotencyKey: key, ...proof } = parse(Proof, input);
  const patientId = scope.actor.patientId ?? '';
  const of = { key, operation: 'contact.confirm', input: proof };

  const result = await transact(scope, async (scope) => {
    // Locked out here: what is undone below would give a lock of its own away, and with it a sixth try.
    const pending = await openChange(scope, proof.verificationId);
    try {
      return await transact(scope, async (scope) => {
        const changed: care.Patient[] = [];
        await once(scope, of, async () => {
          if (!pending || !isRight(scope, pending, proof.code)) throw new VerificationFailed(FAILED);
          changed.push(await change(scope, pending));
          return patientId;
        });
        return changed[0] ?? (await care.getPatient(scope, patientId));
      });
    } catch (thrown) {
      if (!(thrown instanceof DomainError)) throw thrown;
      if (pending) await transact(asSystem(scope), (scope) => countTry(scope, pending.id));
      await record(scope, 'contact.confirm', { type: 'Verification', id: pending?.id ?? null, outcome: 'FAILURE' });
      return thrown;
    }
  });
  // Thrown outside, so that the try stays counted.
  if (result instanceof DomainError) throw result;
  return result;
}

const FAILED = 'The code is wrong, or has expired';

interface Pending {
  readonly id: string;
  readonly channel: Message['channel'];
  readonly code_hash: Buffer;
  readonly contact: Buffer;
}

/** The patient's own, and no other's. The lock makes callers with the same code take turns. */
async function openChange(scope: Scope, id: string): Promise<Pending | undefined> {
  const { patientId = '' } = scope.actor;
  return transact(asSystem(scope), ({ db, now }) =>
    db
      .selectFrom('verifications')
      .select(['id', 'channel', 'code_hash', 'contact'])
      .where('patient_id', '=', patientId)
      .where((eb) => isOpen(eb, { id, now }))
      .forUpdate()
      .$narrowType<{ contact: Buffer }>()
      .executeTakeFirst(),
  );
}

function isRight(scope: Scope, { id, code_hash }: Pending, given: string): boolean {
  return sameBytes(code_hash, hashCode(scope, id, given));
}

async function change(scope: Scope, { id, channel, contact }: Pending): Promise<care.Patient> {
  const { patientId, key } = await care.standingOf(scope, scope.actor.patientId ?? '');
  const to = key.open(contactPlace(id), contact);
  const patient = await care.writeProvenContact(scope, patientId, channel === 'email' ? { email: to } : { phone: to });
  await transact(asSystem(scope), (scope) => close(scope, id));
  await record(scope, 'contact.confirm', { type: 'Verification', id });
  return patient;
}
