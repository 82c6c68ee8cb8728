/**
 * The night's scoring of every visit to come: a million of them, four a patient, each patient with six that are over.
 *
 *   node bench/src/risk-nightly.ts 1000000
 */
import pg from 'pg';
import * as risk from '@careflex/core/risk';
import { type BenchPlatform, benchPlatform } from './platform.ts';

export interface NightlyFigures {
  readonly visits: number;
  readonly seconds: number;
  /** Of a second run, which finds the scores of the first. */
  readonly secondsAgain: number;
  /** The most that this process had of memory, in MiB, above what it had before. */
  readonly memory: number;
}

const AHEAD = 4;
const OVER = 6;
const PROVIDERS = 400;

export async function measureNightly({ visits }: { visits: number }): Promise<NightlyFigures> {
  await using platform = await benchPlatform();
  await seed(platform, Math.ceil(visits / AHEAD));
  const first = await timed(platform);
  const again = await timed(platform);
  return {
    visits: first.done,
    seconds: first.seconds,
    secondsAgain: again.seconds,
    memory: Math.max(first.memory, again.memory),
  };
}

async function timed({ scope }: BenchPlatform) {
  globalThis.gc?.();
  const before = process.memoryUsage.rss();
  let most = before;
  const start = performance.now();
  const { done } = await risk.scoreAhead(
    { ...scope, now: Temporal.Now.instant() },
    {
      onProgress: () => {
        most = Math.max(most, process.memoryUsage.rss());
      },
    },
  );
  return { done, seconds: (performance.now() - start) / 1_000, memory: (most - before) / 2 ** 20 };
}

/** Past the constraints that keep visits apart: a night's work reads and writes no visit. */
export async function seed({ adminUrl }: BenchPlatform, patients: number): Promise<void> {
  const client = new pg.Client({ connectionString: adminUrl });
  await client.connect();
  try {
    for (const statement of SEED) await client.query(statement.replaceAll('PATIENTS', String(patients)));
  } finally {
    await client.end();
  }
}

const VISIT = `insert into appointments (id, patient_id, provider_id, service, status, starts_at, ends_at, blocks_from,
    blocks_until, time_zone, created_at, updated_at)
  select gen_random_uuid(), p.id, v.id, 'TELEHEALTH', s.status, t.at, t.at + interval '30 min', t.at,
    t.at + interval '30 min', 'America/New_York', t.at - s.lead, case when s.status = 'SCHEDULED' then t.at - s.lead else t.at end`;

const SEED = [
  'alter table appointments disable trigger user',
  'alter table appointments drop constraint appointments_patient_no_overlap, drop constraint appointments_provider_no_overlap',
  `insert into patients (id, status, time_zone, language, preferences, data_key, identity, created_at, updated_at)
     select gen_random_uuid(), 'ACTIVE', 'America/New_York', 'en', '{}', '\\x01', '\\x02', now(), now()
     from generate_series(1, PATIENTS)`,
  `insert into providers (id, external_id, known_as, name, name_key, time_zone, active, created_at, updated_at)
     select gen_random_uuid(), 'p' || n, '{}', 'Provider ' || n, 'provider', 'America/New_York', true, now(), now()
     from generate_series(1, ${PROVIDERS}) n`,
  `create temp table numbered as select id, row_number() over () as n from providers`,
  `${VISIT}
     from patients p, generate_series(1, ${AHEAD}) k,
       lateral (select 1 + floor(random() * ${PROVIDERS})::int as n where k > 0) r join numbered v on v.n = r.n,
       lateral (select 'SCHEDULED' as status, (random() * 40)::int * interval '1 day' + interval '20 days' as lead where k > 0) s,
       lateral (select date_trunc('hour', now()) + k * interval '5 days' + (random() * 8)::int * interval '1 hour' as at) t`,
  `${VISIT}
     from patients p, generate_series(1, ${OVER}) k,
       lateral (select 1 + floor(random() * ${PROVIDERS})::int as n where k > 0) r join numbered v on v.n = r.n,
       lateral (select case when random() < 0.2 then 'NO_SHOW' else 'COMPLETED' end as status,
         (random() * 40)::int * interval '1 day' as lead where k > 0) s,
       lateral (select date_trunc('hour', now()) - k * interval '30 days' as at) t`,
  // As their first scores, at their booking, have left them.
  `insert into risk_visits (appointment_id, age_band) select id, '40-49' from appointments where status = 'SCHEDULED'`,
  'vacuum analyze',
];

if (import.meta.main) {
  const [visits = 1_000_000] = process.argv.slice(2).map(Number);
  const { visits: scored, seconds, secondsAgain, memory } = await measureNightly({ visits });
  console.log(`visits: ${scored.toLocaleString('en')}`);
  console.log(`a night's scoring: ${seconds.toFixed(1)} s, the next night's ${secondsAgain.toFixed(1)} s`);
  console.log(`memory beyond the beginning: ${memory.toFixed(0)} MiB`);
}
