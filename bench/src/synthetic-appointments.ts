/** Visits that were booked long ago, so many that searches have something to search in. */
import pg from 'pg';

export interface Booked {
  readonly patientIds: readonly string[];
  readonly providerIds: readonly string[];
  readonly count: number;
  /** The first day's midnight, UTC. Every day has twenty half hours of visits, from 14:00 UTC on. */
  readonly from: Temporal.Instant;
}

/** Visits of a provider. */
export const A_DAY = 20;

/**
 * Fills the table by one statement, past the trigger but not past the constraints. At any time each provider has
 * another patient. Needs at least as many patients as providers.
 */
export async function seedAppointments(
  adminUrl: string,
  { patientIds, providerIds, count, from }: Booked,
): Promise<void> {
  const client = new pg.Client({ connectionString: adminUrl });
  await client.connect();
  try {
    await client.query('alter table appointments disable trigger user');
    await client.query(
      `insert into appointments (id, patient_id, provider_id, service, status, starts_at, ends_at, blocks_from,
         blocks_until, time_zone, created_at, updated_at)
       select gen_random_uuid(), ($2::uuid[])[1 + (n % cardinality($3::uuid[]) + slot * 7) % cardinality($2::uuid[])],
         ($3::uuid[])[1 + n % cardinality($3::uuid[])], 'TELEHEALTH', 'SCHEDULED', at, at + interval '30 min', at,
         at + interval '30 min', 'America/New_York', made, made
       from generate_series(0, $1::int - 1) n,
         lateral (select n / cardinality($3::uuid[]) as slot) s,
         lateral (select $4::timestamptz + slot / ${A_DAY} * interval '1 day' + interval '14 hours'
           + slot % ${A_DAY} * interval '30 min' as at, $4::timestamptz + n * interval '1 ms' as made) t`,
      [count, patientIds, providerIds, from.toString()],
    );
    await client.query(
      `insert into appointment_changes (appointment_id, version, revision, to_status, starts_at, ends_at, provider_id,
         actor_id, actor_role, at)
       select id, 1, 1, status, starts_at, ends_at, provider_id, '00000000-0000-0000-0000-000000000000', 'system', created_at
       from appointments a
       where not exists (select from appointment_changes c where c.appointment_id = a.id)`,
    );
    await client.query('alter table appointments enable trigger user');
    await client.query('analyze');
  } finally {
    await client.end();
  }
}
