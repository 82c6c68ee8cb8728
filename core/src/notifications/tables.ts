import type { ColumnType, Generated, Selectable } from 'kysely';
import type { Channel } from '#care';
import type { Role } from '#platform/scope';
import type { ConsentSource, ConsentStatus, ContactKind, OptOutSource, Purpose } from './consent.ts';
import type { Intent } from './intent.ts';
import type { Kind, NotificationStatus, Reason } from './message.ts';
import type { TaskKind, TaskReason, TaskStatus } from './task.ts';
import type { Language, TemplateKind } from './template.ts';

type Instant = ColumnType<Date, string, string>;
type Nullable<T> = ColumnType<T | null, T | null | undefined, T | null>;
type NullableInstant = ColumnType<Date | null, string | null | undefined, string | null>;

declare module '#platform/database' {
  interface Database {
    message_templates: {
      id: string;
      kind: TemplateKind;
      channel: Channel;
      language: Language;
      version: number;
      subject: string | null;
      body: string;
      created_by: string | null;
      created_at: Instant;
    };
    consents: {
      id: string;
      patient_id: string;
      /** Null once the patient is erased. */
      contact_index: Buffer | null;
      contact_kind: ContactKind;
      purpose: Purpose;
      status: ConsentStatus;
      source: ConsentSource;
      wording_version: string;
      evidence: Nullable<Buffer>;
      recorded_by: string;
      recorded_role: Role;
      recorded_at: Instant;
    };
    opt_outs: {
      id: string;
      contact_index: Buffer;
      opted_out: boolean;
      source: OptOutSource;
      recorded_by: string;
      recorded_at: Instant;
      /** What was sent or pressed, which proves it. */
      inbound_message_id: Nullable<string>;
    };
    notifications: {
      id: string;
      appointment_id: string;
      revision: number;
      patient_id: string;
      kind: Kind;
      channel: Channel;
      status: NotificationStatus;
      reason: Nullable<Reason>;
      due_at: Instant;
      expires_at: Instant;
      attempts: Generated<number>;
      attempt_id: Nullable<string>;
      claimed_at: NullableInstant;
      claimed_by: Nullable<string>;
      lease_until: NullableInstant;
      contact_index: Nullable<Buffer>;
      template_id: Nullable<string>;
      body: Nullable<Buffer>;
      provider_message_id: Nullable<string>;
      sent_at: NullableInstant;
      delivered_at: NullableInstant;
      merged_into: Nullable<string>;
      created_at: Instant;
      updated_at: Instant;
    };
    notification_attempts: {
      id: string;
      notification_id: string;
      number: number;
      channel: Channel;
      started_at: Instant;
      ended_at: NullableInstant;
      outcome: Nullable<AttemptOutcome>;
      /** Null until it is known. */
      provider_message_id: Nullable<string>;
      code: Nullable<string>;
    };
    delivery_reports: {
      provider_message_id: string;
      status: string;
      error_code: Nullable<string>;
      received_at: Instant;
      notification_id: Nullable<string>;
    };
    inbound_messages: {
      id: string;
      provider_message_id: string;
      channel: 'SMS' | 'VOICE';
      contact_index: Buffer;
      intent: Intent;
      notification_id: Nullable<string>;
      body: Nullable<Buffer>;
      received_at: Instant;
    };
    tasks: {
      id: string;
      kind: TaskKind;
      status: TaskStatus;
      patient_id: Nullable<string>;
      appointment_id: Nullable<string>;
      notification_id: Nullable<string>;
      inbound_message_id: Nullable<string>;
      reason: TaskReason;
      claimed_by: Nullable<string>;
      claimed_at: NullableInstant;
      done_by: Nullable<string>;
      done_at: NullableInstant;
      outcome: Nullable<Buffer>;
      version: Generated<number>;
      created_at: Instant;
      updated_at: Instant;
    };
  }
}

/** What became of a try: NOT_SENT when the provider was never reached, UNKNOWN when nobody can tell. */
export type AttemptOutcome = 'SENT' | 'REFUSED' | 'UNAVAILABLE' | 'UNKNOWN' | 'NOT_SENT';

type Tables = import('#platform/database').Database;
export type NotificationRow = Selectable<Tables['notifications']>;
export type TaskRow = Selectable<Tables['tasks']>;
