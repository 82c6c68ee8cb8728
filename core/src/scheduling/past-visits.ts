/** Visits that are over, as another system has them: for a model to learn from, and for patients' histories. */
import { randomUUIDv7 } from 'node:crypto';
import { sql } from 'kysely';
import { z } from 'zod';
import * as audit from '#audit';
import { InvalidInput } from '#platform/errors';
import { parse } from '#platform/input';
import { type Scope, transact } from '#platform/scope';
import { permitWrite } from './policy.ts';
import { CARE_SERVICES } from './speciality.ts';

const instant = z.instanceof(Temporal.Instant);
const PastVisits = z
  .array(
    z.object({
      patientId: z.uuid(),
      providerId: z.uuid(),
      service: z.enum(CARE_SERVICES),
      startsAt: instant,
      minutes: z.int().min(5).max(1_440),
      bookedAt: instant,
      /** When the patient said that they come; null where they did not. */
      confirmedAt: instant.nullable(),
      /** They did not come. */
      missed: z.boolean(),
    }),
  )
  .max(1_000, 'expected at most 1000 visits');
export type PastVisits = z.input<typeof PastVisits>;

/**
 * Adds visits that are over, each with its history, some hundreds in one statement. What overlaps another visit of its
 * patient or provider is left out. Nobody is told: nothing follows from what is long over. Returns how many it added.
 * System and admins only. Throws InvalidInput, Forbidden.
 */
export async function importPastVisits(scope: Scope, input: PastVisits): Promise<number> {
  const action = 'appointment.import';
  const visits = parse(PastVisits, input);
  await permitWrite(scope, { action, resourceType: 'Appointment' });
  const ahead = visits.findIndex(({ startsAt, minutes }) => !isOver(scope, startsAt.add({ minutes })));
  if (ahead !== -1)
    throw new InvalidInput([{ path: [String(ahead), 'startsAt'], message: 'expected a visit that is over' }]);

  return transact(scope, async (scope) => {
    const added = await insert(scope, visits);
    await audit.record(scope, {
      action,
      resourceType: 'Appointment',
      resourceIds: added.map(({ id }) => id),
      patientIds: [...new Set(added.map(({ patient_id }) => patient_id))],
    });
    return added.length;
  });
}

const isOver = ({ now }: Scope, endsAt: Temporal.Instant): boolean => Temporal.Instant.compare(endsAt, now) <= 0;

async function insert({ db, actor }: Scope, visits: z.output<typeof PastVisits>) {
  const rows = visits.map((visit) => ({
    ...visit,
    id: randomUUIDv7(),
    endsAt: visit.startsAt.add({ minutes: visit.minutes }).toString(),
  }));
  const { rows: added } = await sql<{ id: string; patient_id: string }>`
    with given as materialized (
      -- What was missed takes no time, so no constraint tells that it is there already.
      select distinct on (g."patientId", g."startsAt") g.*, p.time_zone, case when g.missed then 'NO_SHOW' else 'COMPLETED' end as status
      from jsonb_to_recordset(${JSON.stringify(rows)}::jsonb) as g (id uuid, "patientId" uuid, "providerId" uuid,
        service text, "startsAt" timestamptz, "endsAt" timestamptz, "bookedAt" timestamptz, "confirmedAt" timestamptz,
        missed boolean) join providers p on p.id = g."providerId"
      where not exists (select from appointments a where a.patient_id = g."patientId" and a.starts_at = g."startsAt")
    ), added as (
      insert into appointments (id, patient_id, provider_id, service, status, starts_at, ends_at, blocks_from, blocks_until,
        time_zone, version, created_at, updated_at)
      select id, "patientId", "providerId", service, status, "startsAt", "endsAt", "startsAt", "endsAt", time_zone,
        case when "confirmedAt" is null then 2 else 3 end, "bookedAt", "endsAt"
      from given on conflict do nothing returning id, patient_id
    ), changed as (
      insert into appointment_changes (appointment_id, version, revision, from_status, to_status, starts_at, ends_at,
        provider_id, actor_id, actor_role, at)
      select id, step.version, 1, step.from_status, step.to_status, "startsAt", "endsAt", "providerId", ${actor.id},
        ${actor.role}, step.at
      from added join given using (id), lateral (values
        (1, null, 'SCHEDULED', "bookedAt"),
        (case when "confirmedAt" is not null then 2 end, 'SCHEDULED', 'CONFIRMED', "confirmedAt"),
        (case when "confirmedAt" is null then 2 else 3 end,
          case when "confirmedAt" is null then 'SCHEDULED' else 'CONFIRMED' end, given.status, "endsAt")
      ) as step (version, from_status, to_status, at)
      where step.version is not null
    )
    select id, patient_id from added`.execute(db);
  return added;
}
