/** An entry of the ledger: it is written once, and a benefit's amounts are the sums of its entries. */
import { Decimal } from 'decimal.js';
import type { PatientKey } from '#care';
import type { BenefitUnit } from './benefit.ts';
import type { EntryRow } from './tables.ts';

export const ENTRY_KINDS = [
  'ALLOCATE',
  'HOLD',
  'RELEASE',
  'USE',
  'REVERSE',
  'ADJUST',
  'EXPIRE',
  'SYNC_CORRECTION',
] as const;
export type EntryKind = (typeof ENTRY_KINDS)[number];

export interface BenefitEntry {
  readonly id: string;
  readonly benefitId: string;
  readonly kind: EntryKind;
  readonly unit: BenefitUnit;
  /** Greater than zero; the kind gives the direction. */
  readonly amount: Decimal;
  /** Of an adjustment or correction: whether it adds to what is allocated, or takes from it. Of others true. */
  readonly adds: boolean;
  readonly appointmentId: string | null;
  /** In the plan's zone. */
  readonly serviceDate: Temporal.PlainDate;
  readonly recordedAt: Temporal.Instant;
  /** The entry that it takes back. */
  readonly reverses: string | null;
  /** In words; null also once the patient is erased. */
  readonly reason: string | null;
  /** Written because ledger and amounts did not agree. */
  readonly repair: boolean;
}

export function toEntry(row: EntryRow, key: PatientKey | undefined): BenefitEntry {
  return {
    id: row.id,
    benefitId: row.benefit_id,
    kind: row.kind,
    unit: row.unit,
    amount: new Decimal(row.amount),
    adds: row.direction === 1,
    appointmentId: row.appointment_id,
    serviceDate: Temporal.PlainDate.from(row.service_date),
    recordedAt: row.recorded_at.toTemporalInstant(),
    reverses: row.reverses,
    reason: row.reason && key ? key.open(reasonOf(row.id), row.reason) : null,
    repair: row.repair,
  };
}

/** Where the reason of an entry is sealed for. */
export const reasonOf = (entryId: string) => ({ table: 'benefit_entries', column: 'reason', row: entryId });
