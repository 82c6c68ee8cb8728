/** Opting out of everything at a number or address, and in again. It belongs to the number, whoever's it is, and wins. */
import { z } from 'zod';
import * as audit from '#audit';
import * as care from '#care';
import { DomainError } from '#platform/errors';
import { once } from '#platform/idempotency';
import { idOf, parse } from '#platform/input';
import { type Scope, transact } from '#platform/scope';
import { CONTACT_KINDS } from './consent.ts';
import { mustBeOnRecord } from './consent-change.ts';
import { ContactInput } from './consent-input.ts';
import { permitPatient, permitPatients, permitSystem } from './consent-policy.ts';
import type { Person } from './consent-record.ts';
import { contactIndex, contactOf, contactOnRecord } from './contact.ts';
import { append, newestOf, type OptOut, readById, toOptOut } from './opt-out-record.ts';

/**
 * Whoever sent STOP from a number sends START from it: nobody else can know that its holder wants messages again, and
 * the carriers would let none through.
 */
export class OptedOutByMessage extends DomainError {
  readonly code = 'OPTED_OUT_BY_MESSAGE';
  constructor() {
    super('Messages were stopped from this number itself; send START from it to get them again');
  }
}

export type OptOutInput = z.input<typeof ContactInput>;

/**
 * Nothing more goes to the patient's number or address, nor to others who share it. Patients for their own, staff for
 * all. Throws NotFound (also where there is none on record), InvalidInput, IdempotencyMismatch, Forbidden.
 */
export async function optOut(scope: Scope, patientId: string, input: OptOutInput): Promise<OptOut> {
  return changeForPatient(scope, patientId, { action: 'optOut.record', optedOut: true, input });
}

/**
 * Takes an opt-out back. Where consent is given, messages go there again.
 * Throws {@link OptedOutByMessage}, and as {@link optOut} does.
 */
export async function optIn(scope: Scope, patientId: string, input: OptOutInput): Promise<OptOut> {
  return changeForPatient(scope, patientId, { action: 'optOut.end', optedOut: false, input });
}

interface Change {
  readonly action: string;
  readonly optedOut: boolean;
  readonly input: OptOutInput;
}

async function changeForPatient(scope: Scope, id: string, { action, optedOut, input }: Change): Promise<OptOut> {
  const { idempotencyKey: key, ...seen } = parse(ContactInput, input);
  await permitPatient(scope, id, { action, resourceType: 'OptOut' });
  const patientId = idOf(id);

  return transact(scope, async (scope) => {
    await care.holdPatient(scope, patientId);
    const patient = await care.getPatient(scope, patientId);
    const contact = contactOnRecord(patient, seen.contactKind);
    const optOutId = await once(scope, { key, operation: action, input: { patientId, ...seen } }, async () => {
      mustBeOnRecord(scope, patient, seen);
      const index = contactIndex(scope.vault, contact);
      if (!optedOut) await mayOptIn(scope, index);
      const source = scope.actor.role === 'patient' ? 'PATIENT' : 'AGENT';
      const id = await append(scope, { index, optedOut, source, patientId });
      await audit.record(scope, { action, resourceType: 'OptOut', resourceId: id, patientIds: [patientId] });
      return id;
    });
    return toOptOut(await readById(scope, optOutId), { contactKind: seen.contactKind, contact });
  });
}

async function mayOptIn(scope: Scope, index: Buffer): Promise<void> {
  const [newest] = await newestOf(scope, [index]);
  if (newest?.opted_out && (newest.source === 'INBOUND_MESSAGE' || newest.source === 'PROVIDER'))
    throw new OptedOutByMessage();
}

/** The hash, where it is all that is known. */
const Holder = z.object({
  contact: z.union([z.string(), z.instanceof(Buffer)]),
  source: z.enum(['INBOUND_MESSAGE', 'CALL', 'PROVIDER']),
  /** What proves it. */
  inboundMessageId: z.uuid().nullish(),
});
/** `contact`: an E.164 number, or its index in the tables. */
export type Holder = z.input<typeof Holder>;

/**
 * What the holder of a number said from it, or the provider of them. Returns whether it was news: of two STOPs the second
 * changes nothing. For the system. Throws InvalidInput, Forbidden.
 */
export async function holderOptsOut(scope: Scope, input: Holder): Promise<{ changed: boolean }> {
  return changeForHolder(scope, { action: 'optOut.record', optedOut: true, holder: parse(Holder, input) });
}

export async function holderOptsIn(scope: Scope, input: Holder): Promise<{ changed: boolean }> {
  return changeForHolder(scope, { action: 'optOut.end', optedOut: false, holder: parse(Holder, input) });
}

interface HolderChange {
  readonly action: string;
  readonly optedOut: boolean;
  readonly holder: z.output<typeof Holder>;
}

async function changeForHolder(
  scope: Scope,
  { action, optedOut, holder: { contact, source, inboundMessageId } }: HolderChange,
): Promise<{ changed: boolean }> {
  await permitSystem(scope, { action, resourceType: 'OptOut' });
  return transact(scope, async (scope) => {
    const index = typeof contact === 'string' ? contactIndex(scope.vault, contact) : contact;
    const [newest] = await newestOf(scope, [index]);
    if ((newest?.opted_out ?? false) === optedOut) return { changed: false };
    const id = await append(scope, { index, optedOut, source, patientId: null, inboundMessageId });
    await audit.record(scope, { action, resourceType: 'OptOut', resourceId: id });
    return { changed: true };
  });
}

/**
 * How the number and the address of each patient stand, where anything was ever said about them: one query and one audit
 * entry, for loaders. Throws Forbidden.
 */
export async function optOutsOf(
  scope: Scope,
  people: readonly Person[],
): Promise<ReadonlyMap<string, readonly OptOut[]>> {
  const [action, patientIds] = ['optOut.read', people.map(({ id }) => id)];
  await permitPatients(scope, patientIds, { action, resourceType: 'OptOut' });

  return transact(scope, async (scope) => {
    const contacts = people.flatMap((person) =>
      CONTACT_KINDS.flatMap((contactKind) => {
        const contact = contactOf(person, contactKind);
        return contact === null ? [] : [{ person, contactKind, contact, index: contactIndex(scope.vault, contact) }];
      }),
    );
    const rows = await newestOf(
      scope,
      contacts.map(({ index }) => index),
    );
    const newest = new Map(rows.map((row) => [row.contact_index.toString('hex'), row]));
    await audit.record(scope, { action, resourceType: 'OptOut', resourceIds: rows.map(({ id }) => id), patientIds });
    const known = contacts.flatMap(({ person, index, ...contact }) => {
      const row = newest.get(index.toString('hex'));
      return row === undefined ? [] : [{ patientId: person.id, optOut: toOptOut(row, contact) }];
    });
    const grouped = Map.groupBy(known, ({ patientId }) => patientId);
    return new Map([...grouped].map(([id, of]) => [id, of.map(({ optOut }) => optOut)]));
  });
}
