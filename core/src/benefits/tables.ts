import type { ColumnType, Generated, GeneratedAlways, Selectable } from 'kysely';
import type { Role } from '#platform/scope';
import type { BenefitType, BenefitUnit } from './benefit.ts';
import type { DriftKind } from './drift.ts';
import type { DriftStatus } from './drift-list.ts';
import type { EntryKind } from './entry.ts';
import type { SyncFailureCode } from './sync-run.ts';

type Instant = ColumnType<Date, string, string>;
/** Exact, as text: a number of JavaScript would round it. */
type Amount = string;

declare module '#platform/database' {
  interface Database {
    benefits: {
      id: string;
      patient_id: string;
      type: BenefitType;
      unit: BenefitUnit;
      /** `2026-03-08`, in the plan's zone. */
      period_start: string;
      period_end: string;
      time_zone: string;
      external_plan_id: string | null;
      allocated: Amount;
      used: Generated<Amount>;
      held: Generated<Amount>;
      available: GeneratedAlways<Amount>;
      version: Generated<number>;
      created_at: Instant;
      updated_at: Instant;
      last_synced_at: ColumnType<Date | null, string | null | undefined, string>;
      /** When it was told that its period is over. */
      ended_at: ColumnType<Date | null, never, string>;
    };
    benefit_entries: {
      id: string;
      benefit_id: string;
      unit: BenefitUnit;
      kind: EntryKind;
      amount: Amount;
      direction: Generated<1 | -1>;
      appointment_id: string | null;
      service_date: string;
      reverses: string | null;
      reason: Buffer | null;
      repair: Generated<boolean>;
      key_hash: Buffer | null;
      input_hash: Buffer | null;
      recorded_by: string;
      recorded_role: Role;
      recorded_at: Instant;
      allocated_delta: GeneratedAlways<Amount>;
      used_delta: GeneratedAlways<Amount>;
      held_delta: GeneratedAlways<Amount>;
    };
    benefit_sync_runs: {
      id: string;
      patients: number;
      cursor: string | null;
      synced: Generated<number>;
      failed: Generated<number>;
      drifted: Generated<number>;
      started_at: Instant;
      updated_at: Instant;
      waiting_since: ColumnType<Date | null, never, string | null>;
      finished_at: ColumnType<Date | null, never, string>;
    };
    benefit_sync_failures: {
      run_id: string;
      patient_id: string;
      code: SyncFailureCode;
      detail: string | null;
      failed_at: Instant;
    };
    benefit_snapshots: {
      id: string;
      benefit_id: string;
      hash: Buffer;
      in_force: boolean;
      allocated: Amount | null;
      used: Amount | null;
      period_start: string | null;
      period_end: string | null;
      fault: string | null;
      as_of: Instant;
      seen_at: Instant;
    };
    benefit_drifts: {
      id: string;
      patient_id: string;
      benefit_id: string | null;
      about: string;
      kind: DriftKind;
      fault: string | null;
      status: Generated<DriftStatus>;
      external_plan_id: string;
      type: BenefitType;
      unit: BenefitUnit;
      allocated_here: Amount | null;
      used_here: Amount | null;
      allocated_there: Amount | null;
      used_there: Amount | null;
      difference: Amount | null;
      as_of: Instant;
      reason: Buffer | null;
      entry_id: string | null;
      settled_by: string | null;
      settled_at: ColumnType<Date | null, string | null | undefined, string | null>;
      version: Generated<number>;
      created_at: Instant;
      updated_at: Instant;
    };
  }
}

type Tables = import('#platform/database').Database;
export type BenefitRow = Selectable<Tables['benefits']>;
export type EntryRow = Selectable<Tables['benefit_entries']>;
export type SyncRunRow = Selectable<Tables['benefit_sync_runs']>;
export type SyncFailureRow = Selectable<Tables['benefit_sync_failures']>;
export type DriftRow = Selectable<Tables['benefit_drifts']>;
