import type { ColumnType, Generated, GeneratedAlways, Selectable } from 'kysely';
import type { Role } from '#platform/scope';
import type { BenefitType, BenefitUnit } from './benefit.ts';
import type { EntryKind } from './entry.ts';

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
  }
}

type Tables = import('#platform/database').Database;
export type BenefitRow = Selectable<Tables['benefits']>;
export type EntryRow = Selectable<Tables['benefit_entries']>;
