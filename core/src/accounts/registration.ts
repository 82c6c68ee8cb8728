/** Registration: who holds the code and knows the date of birth is the patient, and becomes a user. */
import { z } from 'zod';
import * as audit from '#audit';
import * as care from '#care';
import { DomainError, RateLimited } from '#platform/errors';
import { emit } from '#platform/events';
import { idOf, parse } from '#platform/input';
import { asSystem, type Scope, transact } from '#platform/scope';
import { sameBytes } from '#platform/vault';
import { VerificationFailed } from './errors.ts';
import { hashPassword, refuseWeakPassword } from './password.ts';
import { countAttempt, fromAddress } from './throttle.ts';
import { email, insertUser, type Viewer } from './user.ts';
import { close, code, contactIndex, countTry, hashCode, isOpen } from './verification.ts';

const Registration = z.object({
  verificationId: z.uuid('expected an id').transform(idOf),
  code,
  dateOfBirth: z.iso.date('expected a date such as 1980-03-08'),
  email,
  password: z.string().max(1_000, 'expected at most 1000 characters'),
});
export type Registration = z.input<typeof Registration>;
type Parsed = z.output<typeof Registration>;

const FAILED = { action: 'user.register', resourceType: 'User', outcome: 'FAILURE' } as const;

/** Throws InvalidInput, RateLimited, {@link VerificationFailed}, EmailInUse, AlreadyRegistered. */
export async function registerPatient(scope: Scope, input: Registration): Promise<Viewer> {
  const registration = parse(Registration, input);
  const { password, email } = registration;
  refuseWeakPassword(password, { role: 'patient', email, path: 'password' });
  await limit(scope);
  const passwordHash = await hashPassword(password);

  const result = await transact(asSystem(scope), async (scope) => {
    const verification = await openVerification(scope, registration.verificationId);
    const patient = verification && (await provenPatient(scope, verification, registration));
    const outcome = patient
      ? await createUser(scope, { patient, passwordHash, email, emailVerified: proves(scope, verification, email) })
      : new VerificationFailed();
    if (!(outcome instanceof DomainError)) {
      await close(scope, registration.verificationId);
      return outcome;
    }
    if (verification) await countTry(scope, verification.id);
    await audit.record(scope, FAILED);
    return outcome;
  });
  // Thrown outside, so that the try stays counted.
  if (result instanceof DomainError) throw result;
  return result;
}

async function limit(scope: Scope): Promise<void> {
  const wait = await transact(asSystem(scope), async (scope) => {
    const wait = await countAttempt(scope, fromAddress('registration-address', scope));
    if (wait !== null) await audit.record(scope, { ...FAILED, outcome: 'DENIED' });
    return wait;
  });
  if (wait !== null) throw new RateLimited(wait);
}

interface Verification {
  readonly id: string;
  readonly code_hash: Buffer;
  readonly contact_index: Buffer;
  readonly patient_ids: string[];
}

/** The lock makes callers with the same code take turns. */
async function openVerification({ db, now }: Scope, id: string): Promise<Verification | undefined> {
  return db
    .selectFrom('verifications')
    .select(['id', 'code_hash', 'contact_index', 'patient_ids'])
    .where('patient_id', 'is', null)
    .where((eb) => isOpen(eb, { id, now }))
    .forUpdate()
    .executeTakeFirst();
}

/** The one patient whom code and date of birth leave; of twins with one phone, neither. */
async function provenPatient(scope: Scope, verification: Verification, given: Parsed): Promise<care.Patient | null> {
  if (!sameBytes(verification.code_hash, hashCode(scope, verification.id, given.code))) return null;
  const patients = await care.patientsByIds(scope, verification.patient_ids);
  const born = Temporal.PlainDate.from(given.dateOfBirth);
  const fitting = [...patients.values()].filter(
    ({ status, dateOfBirth }) => status !== 'DECEASED' && dateOfBirth?.equals(born),
  );
  return fitting.length === 1 ? (fitting[0] ?? null) : null;
}

/** The address is proven when the code was sent there. */
function proves(scope: Scope, verification: Verification, email: string): boolean {
  return sameBytes(verification.contact_index, contactIndex(scope, email));
}

interface Registrant {
  readonly patient: care.Patient;
  readonly email: string;
  readonly emailVerified: boolean;
  readonly passwordHash: string;
}

/** A refusal undoes the savepoint and is given back: it counts as a try, or users' addresses could be guessed at. */
async function createUser(scope: Scope, { patient, ...identity }: Registrant): Promise<Viewer | DomainError> {
  const displayName = `${patient.firstName} ${patient.lastName}`;
  try {
    return await transact(scope, async (scope) => {
      const user = await insertUser(scope, { ...identity, role: 'patient', patientId: patient.id, displayName });
      const { id, role, email, patientId, mayOverride } = user;
      const actor = { id, role, sessionId: null, patientId: patient.id };
      await audit.record({ ...scope, actor }, { action: 'user.register', resourceType: 'User', resourceId: id });
      await emit(scope, 'user.created', { userId: id });
      return { id, role, email, displayName, patientId, mayOverride };
    });
  } catch (thrown) {
    if (thrown instanceof DomainError) return thrown;
    throw thrown;
  }
}
