import type { ColumnType, Generated } from 'kysely';
import type { BenefitType, BenefitUnit } from '#benefits';
import type { Address } from '#care';
import type { Role } from '#platform/scope';
import type { AppointmentStatus, CancellationReason } from './appointment.ts';
import type { ConflictRule } from './conflict.ts';
import type { OnNoShow } from './cover-terms.ts';
import type { DirectoryProblem } from './directory-times.ts';
import type { CareServiceType } from './speciality.ts';

type Instant = ColumnType<Date, string, string>;
type OptionalInstant = ColumnType<Date | null, string | null | undefined, string | null>;
/** Written as JSON text, read as the value. */
type Json<T> = ColumnType<T, string, string>;

/** Wall-clock hours, `HH:mm` each; `24:00` is the end of the day. */
export interface Hours {
  from: string;
  to: string;
}

interface DirectoryRow {
  /** A version 7 UUID. */
  id: string;
  /** What an importer matches on. */
  external_id: string;
  active: boolean;
  created_at: Instant;
  updated_at: Instant;
}

interface Named extends DirectoryRow {
  /** What other systems' records refer to it by: `Organization/42`, `system|value`. */
  known_as: string[];
  name: string;
  phone: string | null;
}

declare module '#platform/database' {
  interface Database {
    organizations: Named & { address: Address | null };
    locations: Named & { address: Address | null; organization_id: string | null; time_zone: string | null };
    providers: Named & {
      name_key: string;
      email: string | null;
      time_zone: string;
      /** 1 to 7 from Monday. Null: the clinic's usual hours. */
      weekly_hours: ColumnType<(Hours & { weekday: number })[] | null, string | null | undefined, string | null>;
      hours_time_zone: ColumnType<string | null, string | null | undefined, string | null>;
      version: Generated<number>;
    };
    provider_roles: DirectoryRow & {
      provider_id: string;
      organization_id: string | null;
      location_id: string | null;
      /** NUCC health care provider taxonomy. */
      speciality_code: string | null;
      speciality: string | null;
      services: CareServiceType[];
      phone: string | null;
      email: string | null;
    };
    care_services: {
      service: CareServiceType;
      minutes: number;
      buffer_before_minutes: number;
      buffer_after_minutes: number;
      minimum_notice_minutes: number;
      horizon_days: number;
      daily_limit: number | null;
      benefit_type: ColumnType<BenefitType | null, BenefitType | null | undefined, BenefitType | null>;
      benefit_unit: ColumnType<BenefitUnit | null, BenefitUnit | null | undefined, BenefitUnit | null>;
      benefit_amount: ColumnType<string | null, string | null | undefined, string | null>;
      benefit_on_no_show: ColumnType<OnNoShow | null, OnNoShow | null | undefined, OnNoShow | null>;
      version: Generated<number>;
      updated_at: Instant;
    };
    provider_exceptions: {
      provider_id: string;
      /** `2026-03-08`, in the provider's zone. */
      on_date: string;
      hours: Json<Hours[]>;
      note: string | null;
      updated_at: Instant;
    };
    provider_time_off: {
      id: string;
      provider_id: string;
      starts_at: Instant;
      ends_at: Instant;
      note: string | null;
      created_at: Instant;
    };
    provider_directories: {
      provider_id: string;
      source: string;
      practitioner: string;
      checked_at: Instant;
      problem: DirectoryProblem | null;
      as_of: OptionalInstant;
      covers_from: OptionalInstant;
      covers_until: OptionalInstant;
      digest: ColumnType<string | null, string | null | undefined, string | null>;
    };
    provider_directory_times: {
      provider_id: string;
      /** Taken elsewhere; else at work. */
      busy: boolean;
      starts_at: Instant;
      ends_at: Instant;
    };
    appointments: {
      /** A version 7 UUID. */
      id: string;
      patient_id: string;
      provider_id: string;
      service: CareServiceType;
      status: AppointmentStatus;
      starts_at: Instant;
      ends_at: Instant;
      blocks_from: Instant;
      blocks_until: Instant;
      time_zone: string;
      expires_at: ColumnType<Date | null, string | null | undefined, string | null>;
      held_by: string | null;
      /** Sealed with the patient's data key. */
      notes: Buffer | null;
      cancellation_reason: CancellationReason | null;
      overrides: ColumnType<ConflictRule[], ConflictRule[] | undefined, ConflictRule[]>;
      series_id: string | null;
      /** The benefit that pays, and the terms as they were when it was booked; exact, as text. */
      benefit_id: string | null;
      benefit_amount: string | null;
      benefit_on_no_show: OnNoShow | null;
      version: Generated<number>;
      revision: Generated<number>;
      created_at: Instant;
      updated_at: Instant;
      occupies_time: ColumnType<boolean, never, never>;
    };
    appointment_changes: {
      appointment_id: string;
      version: number;
      revision: number;
      from_status: AppointmentStatus | null;
      to_status: AppointmentStatus;
      starts_at: Instant;
      ends_at: Instant;
      provider_id: string;
      actor_id: string;
      actor_role: Role;
      cancellation_reason: CancellationReason | null;
      /** Sealed with the patient's data key. */
      reason: Buffer | null;
      at: Instant;
    };
    appointment_series: { id: string; patient_id: string; created_at: Instant; rule: Json<object> };
  }
}
