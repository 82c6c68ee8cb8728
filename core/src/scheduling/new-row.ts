/** A new row of an appointment. Nobody waits for it: what it says is known before it is written. */
import { randomUUIDv7 } from 'node:crypto';
import type { Insertable } from 'kysely';
import { type Database, unansweredStatement } from '#platform/database';
import type { Scope } from '#platform/scope';
import type { AppointmentRow } from './appointment.ts';
import type { Wanted } from './wanted.ts';

type Columns = Insertable<Database['appointments']>;
type NewColumns = Required<Pick<Columns, (typeof NEW)[number]>>;

/** The row as it will be: it is written with the statement that follows, and is that one's failure. */
export async function insert(
  scope: Scope,
  wanted: Wanted,
  more: Pick<Columns, 'status'> & Partial<Columns>,
): Promise<AppointmentRow> {
  const now = scope.now.toString();
  const columns: NewColumns = {
    id: randomUUIDv7(),
    patient_id: wanted.patientId,
    ...placeOf(wanted),
    service: wanted.rules.service,
    expires_at: null,
    held_by: null,
    notes: null,
    overrides: [],
    series_id: null,
    benefit_id: null,
    benefit_amount: null,
    benefit_on_no_show: null,
    created_at: now,
    updated_at: now,
    ...more,
  };
  await inserted(scope.db, columns);
  return newRow(columns);
}

/** What the database makes of a new row, to the microsecond. */
function newRow(columns: NewColumns): AppointmentRow {
  const at = (text: string) => new Date(Temporal.Instant.from(text).round('microsecond').epochMilliseconds);
  return {
    ...columns,
    overrides: columns.overrides ?? [],
    starts_at: at(columns.starts_at),
    ends_at: at(columns.ends_at),
    blocks_from: at(columns.blocks_from),
    blocks_until: at(columns.blocks_until),
    expires_at: columns.expires_at ? at(columns.expires_at) : null,
    created_at: at(columns.created_at),
    updated_at: at(columns.updated_at),
    cancellation_reason: null,
    version: 1,
    revision: 1,
    occupies_time: true,
  };
}

const NEW = [
  'id',
  'patient_id',
  'provider_id',
  'service',
  'status',
  'starts_at',
  'ends_at',
  'blocks_from',
  'blocks_until',
  'time_zone',
  'expires_at',
  'held_by',
  'notes',
  'overrides',
  'series_id',
  'benefit_id',
  'benefit_amount',
  'benefit_on_no_show',
  'created_at',
  'updated_at',
] as const;

const inserted = unansweredStatement((db, row: NewColumns) =>
  db
    .insertInto('appointments')
    .values(Object.fromEntries(NEW.map((column) => [column, row[column]])) as NewColumns)
    .$castTo<never>(),
);

/** The columns that say where and when. */
export function placeOf(wanted: Wanted) {
  return {
    provider_id: wanted.provider.id,
    starts_at: wanted.startsAt.toString(),
    ends_at: wanted.endsAt.toString(),
    blocks_from: wanted.blocksFrom.toString(),
    blocks_until: wanted.blocksUntil.toString(),
    time_zone: wanted.timeZone,
  };
}
