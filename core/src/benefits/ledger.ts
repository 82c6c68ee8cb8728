/**
 * How an entry gets into the ledger: with the benefit's amounts, in one statement, or not at all.
 *
 * The statement adds the entry and moves the amounts only where they stay in bounds. Two at once for one benefit wait
 * for each other at its row, and the second sees what the first one left.
 */
import { randomUUIDv7 } from 'node:crypto';
import { Decimal } from 'decimal.js';
import { sql } from 'kysely';
import * as audit from '#audit';
import { keysOf, type PatientKey } from '#care';
import { type Db, statement, together } from '#platform/database';
import { IdempotencyMismatch } from '#platform/errors';
import { emit } from '#platform/events';
import { hashOfInput, hashOfKey } from '#platform/idempotency';
import type { Scope } from '#platform/scope';
import { statusOf, toBenefit, type Benefit } from './benefit.ts';
import { type BenefitEntry, type EntryKind, reasonOf, toEntry } from './entry.ts';
import { InsufficientBenefit } from './errors.ts';
import type { BenefitRow, EntryRow } from './tables.ts';

declare module '#platform/events' {
  interface Events {
    'benefit.created': BenefitChanged;
    /** An entry was added. */
    'benefit.changed': BenefitChanged & { readonly entryId: string };
    /** Nothing is available or held any more. Besides `benefit.changed`. */
    'benefit.depleted': BenefitChanged;
    /** Its period is over; what was left of it went with it. */
    'benefit.expired': BenefitChanged;
  }
}

export interface BenefitChanged {
  readonly benefitId: string;
  readonly patientId: string;
}

export interface Posting {
  /** For the audit trail: `benefit.recordUsage`. */
  readonly action: string;
  readonly kind: EntryKind;
  readonly amount: Decimal;
  /** Of adjustments and corrections: -1 takes from what is allocated. */
  readonly direction?: 1 | -1;
  readonly serviceDate: Temporal.PlainDate;
  readonly appointmentId?: string | null;
  readonly reverses?: string | null;
  readonly reason?: { readonly text: string; readonly key: PatientKey } | null;
  readonly once?: Once;
}

export interface Once {
  /** Unique per benefit, whoever calls. Without one the work is simply done. */
  readonly key: string | null | undefined;
  /** What was asked for, parsed, the operation with it. */
  readonly input: object;
}

/** What a change of a benefit answers: the entry, and the benefit as it stands by now. */
export interface Recorded {
  readonly entry: BenefitEntry;
  readonly benefit: Benefit;
}

/**
 * Adds an entry, with its audit record and its events, and returns its id; a repeat with the same key finds the first
 * one. Call it inside `transact`. Throws {@link InsufficientBenefit}, which must undo the transaction, and
 * {@link IdempotencyMismatch}.
 */
export async function post(scope: Scope, benefit: BenefitRow, posting: Posting): Promise<string> {
  const id = randomUUIDv7();
  const hashes = hashesOf(scope, posting.once);
  const { action, reason = null } = posting;
  const [row] = await posted(scope.db, {
    id,
    benefit_id: benefit.id,
    kind: posting.kind,
    amount: posting.amount.toFixed(2),
    direction: posting.direction ?? 1,
    appointment_id: posting.appointmentId ?? null,
    service_date: posting.serviceDate.toString(),
    reverses: posting.reverses ?? null,
    reason: reason && reason.key.seal(reasonOf(id), reason.text),
    ...hashes,
    recorded_by: scope.actor.id,
    recorded_role: scope.actor.role,
    now: scope.now.toString(),
  });
  if (row === undefined) return firstWith(scope, benefit.id, hashes).then((first) => first as string);
  if (row.available === null) throw new InsufficientBenefit(await availableOf(scope, benefit.id), posting.amount);
  await note(scope, benefit, { action, entryId: id });
  await noteDepletion(scope, benefit, row);
  return id;
}

/** The entry that this was done with before, or null. Throws {@link IdempotencyMismatch}. */
export async function repeatOf(scope: Scope, benefitId: string, once: Once): Promise<string | null> {
  const hashes = hashesOf(scope, once);
  return hashes.key_hash === null ? null : firstWith(scope, benefitId, hashes);
}

async function note(scope: Scope, benefit: BenefitRow, { action, entryId }: { action: string; entryId: string }) {
  const about = { resourceType: 'Benefit', resourceId: benefit.id, patientIds: [benefit.patient_id] };
  await audit.record(scope, { action, ...about, changedFields: ['entries'] });
  await emit(scope, 'benefit.changed', { benefitId: benefit.id, patientId: benefit.patient_id, entryId });
}

/** The entry took the last of it. */
async function noteDepletion(scope: Scope, benefit: BenefitRow, { available, held }: Row): Promise<void> {
  const before = toBenefit(benefit, scope.now);
  const after = { ...before, available: new Decimal(available ?? 0), held: new Decimal(held ?? 0) };
  if (statusOf(after, scope.now) === 'DEPLETED' && before.status !== 'DEPLETED')
    await emit(scope, 'benefit.depleted', { benefitId: benefit.id, patientId: benefit.patient_id });
}

/** Null amounts: the entry was added, and the benefit could not follow. */
interface Row {
  readonly available: string | null;
  readonly held: string | null;
}

type NewEntry = Pick<
  EntryRow,
  | 'id'
  | 'benefit_id'
  | 'kind'
  | 'amount'
  | 'direction'
  | 'appointment_id'
  | 'service_date'
  | 'reverses'
  | 'reason'
  | 'key_hash'
  | 'input_hash'
  | 'recorded_by'
  | 'recorded_role'
> & { readonly now: string };

const posted = statement((db: Db, entry: NewEntry) => ({
  compile: () =>
    sql<Row>`
      with entry as (
        insert into benefit_entries (id, benefit_id, unit, kind, amount, direction, appointment_id, service_date,
          reverses, reason, key_hash, input_hash, recorded_by, recorded_role, recorded_at)
        select ${entry.id}::uuid, b.id, b.unit, ${entry.kind}::text, ${entry.amount}::numeric,
          ${entry.direction}::smallint, ${entry.appointment_id}::uuid, ${entry.service_date}::date,
          ${entry.reverses}::uuid, ${entry.reason}::bytea, ${entry.key_hash}::bytea, ${entry.input_hash}::bytea,
          ${entry.recorded_by}::uuid, ${entry.recorded_role}::text, ${entry.now}::timestamptz
        from benefits b where b.id = ${entry.benefit_id}::uuid
        on conflict (benefit_id, key_hash) do nothing
        returning benefit_id, allocated_delta, used_delta, held_delta
      ), changed as (
        update benefits b
        set allocated = b.allocated + e.allocated_delta, used = b.used + e.used_delta, held = b.held + e.held_delta,
          version = b.version + 1, updated_at = ${entry.now}::timestamptz
        from entry e
        where b.id = e.benefit_id and b.used + e.used_delta >= 0 and b.held + e.held_delta >= 0
          and b.used + e.used_delta + b.held + e.held_delta <= b.allocated + e.allocated_delta
        returning b.available, b.held
      )
      select c.available, c.held from entry left join changed c on true`.compile(db),
}));

interface Hashes {
  readonly key_hash: Buffer | null;
  readonly input_hash: Buffer | null;
}

function hashesOf(scope: Scope, once: Once | undefined): Hashes {
  if (once === undefined || once.key === null || once.key === undefined) return { key_hash: null, input_hash: null };
  return { key_hash: hashOfKey(scope, once.key), input_hash: hashOfInput(scope, once.input) };
}

async function firstWith({ db }: Scope, benefitId: string, { key_hash, input_hash }: Hashes): Promise<string | null> {
  const first = await db
    .selectFrom('benefit_entries')
    .select(['id', 'input_hash'])
    .where('benefit_id', '=', benefitId)
    .where('key_hash', '=', key_hash)
    .executeTakeFirst();
  if (first === undefined) return null;
  if (input_hash === null || !first.input_hash?.equals(input_hash)) throw new IdempotencyMismatch();
  return first.id;
}

async function availableOf({ db }: Scope, benefitId: string): Promise<Decimal> {
  const { available } = await db
    .selectFrom('benefits')
    .select('available')
    .where('id', '=', benefitId)
    .executeTakeFirstOrThrow();
  return new Decimal(available);
}

/** The benefit's row, for one transaction alone to change. */
export async function lockBenefit({ db }: Scope, benefitId: string): Promise<BenefitRow> {
  const row = db.selectFrom('benefits').selectAll().where('id', '=', benefitId).forNoKeyUpdate();
  return row.executeTakeFirstOrThrow();
}

/** The entry, and its benefit as it is now. */
export async function recorded(scope: Scope, benefitId: string, entryId: string): Promise<Recorded> {
  const [[row], [benefit]] = await together([
    entryById(scope.db, { id: entryId }),
    benefitById(scope.db, { id: benefitId }),
  ]);
  if (row === undefined || benefit === undefined) throw new Error('What was just written cannot be read');
  const keys = row.reason === null ? null : await keysOf(scope, [benefit.patient_id]);
  return { entry: toEntry(row, keys?.get(benefit.patient_id)), benefit: toBenefit(benefit, scope.now) };
}

const entryById = statement((db, { id }: { id: string }) =>
  db.selectFrom('benefit_entries').selectAll().where('id', '=', id),
);
const benefitById = statement((db, { id }: { id: string }) =>
  db.selectFrom('benefits').selectAll().where('id', '=', id),
);

/** The benefit as it is now. */
export async function current({ db, now }: Scope, benefitId: string): Promise<Benefit> {
  const row = await db.selectFrom('benefits').selectAll().where('id', '=', benefitId).executeTakeFirstOrThrow();
  return toBenefit(row, now);
}
