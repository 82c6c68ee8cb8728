/**
 * Finding free slots: 50 providers over 30 days, as a caller asks who wants the first ones, as one who wants as many as
 * there may be, and where hardly anything is free, so that everything has to be looked at.
 *
 *   node bench/src/slots.ts 50
 */
import { randomUUID } from 'node:crypto';
import pg from 'pg';
import type { Scope } from '@careflex/core/platform/scope';
import * as scheduling from '@careflex/core/scheduling';
import { type BenchPlatform, benchPlatform } from './platform.ts';
import type { Latency } from './search.ts';
import { randomFrom } from './synthetic-patients.ts';

export interface SlotFigures {
  readonly providers: number;
  readonly visits: number;
  /** In milliseconds, by kind of question. */
  readonly latency: Readonly<Record<string, Latency>>;
}

export interface SlotOptions {
  readonly providers: number;
  /** Questions of each kind. */
  readonly questions?: number;
}

const DAYS = 30;
const ZONES = ['America/New_York', 'America/Chicago', 'America/Denver', 'America/Phoenix', 'America/Los_Angeles'];

export async function measureSlots({ providers, questions = 200 }: SlotOptions): Promise<SlotFigures> {
  await using platform = await benchPlatform();
  const { scope } = platform;
  const ids = await addProviders(scope, providers);
  const from = scope.now.add({ hours: 1 });
  const search = { service: 'WELLNESS_CHECK', from, to: from.add({ hours: 24 * DAYS }) } as const;
  const latency: Record<string, Latency> = {};
  const ask = async (kind: string, more: Partial<scheduling.SlotSearch>) => {
    latency[kind] = await time(() => scheduling.availableSlots(scope, { ...search, ...more }), questions);
  };

  let visits = await fill(platform, ids, 0.5);
  await ask('half full, the first 100', {});
  await ask('half full, the first 1000', { first: 1_000 });
  await ask('half full, every minute, the first 1000', { first: 1_000, everyMinutes: 1 });
  visits += await fill(platform, ids, 1);
  await ask('nothing free in 30 days', {});
  return { providers, visits, latency };
}

async function addProviders(scope: Scope, count: number): Promise<string[]> {
  const records = Array.from({ length: count }, (_, i) => ({
    externalId: `provider-${i}`,
    knownAs: [`Practitioner/${i}`],
    name: `Provider ${i}`,
    timeZone: ZONES[i % ZONES.length] as string,
  }));
  const added = await scheduling.importProviders(scope, records);
  await scheduling.importProviderRoles(
    scope,
    records.map((_, i) => ({ externalId: `role-${i}`, provider: `Practitioner/${i}`, services: ['WELLNESS_CHECK'] })),
  );
  return added.flatMap((outcome) => ('id' in outcome ? [outcome.id] : []));
}

const VISIT_MS = 30 * 60_000;
const START = { hour: 9, visits: 16 };

/** Visits of half an hour on working days, each of a patient of its own; one that is taken already is left out. */
async function fill({ adminUrl, scope }: BenchPlatform, providers: readonly string[], share: number): Promise<number> {
  const random = randomFrom(11);
  const starts: { provider: string; patient: string; starts_at: string; ends_at: string }[] = [];
  const today = scope.now.toZonedDateTimeISO('UTC').toPlainDate();
  for (const [i, provider] of providers.entries()) {
    for (let day = 0; day <= DAYS + 1; day++) {
      const nine = today.add({ days: day }).toZonedDateTime({
        timeZone: ZONES[i % ZONES.length] as string,
        plainTime: { hour: START.hour },
      });
      if (nine.dayOfWeek > 5) continue;
      for (let visit = 0; visit < START.visits; visit++) {
        const at = nine.epochMilliseconds + visit * VISIT_MS;
        const range = { starts_at: new Date(at).toISOString(), ends_at: new Date(at + VISIT_MS).toISOString() };
        if (random() < share) starts.push({ provider, patient: randomUUID(), ...range });
      }
    }
  }
  const client = new pg.Client({ connectionString: adminUrl });
  await client.connect();
  try {
    // What the constraints hold is not measured here.
    await client.query('set session_replication_role = replica');
    const { rowCount } = await client.query(INSERT, [JSON.stringify(starts)]);
    await client.query('vacuum analyze appointments');
    return rowCount ?? 0;
  } finally {
    await client.end();
  }
}

const INSERT = `
  insert into appointments (id, patient_id, provider_id, service, status, starts_at, ends_at, blocks_from, blocks_until,
    time_zone, created_at, updated_at)
  select gen_random_uuid(), patient, provider, 'WELLNESS_CHECK', 'SCHEDULED', starts_at, ends_at, starts_at, ends_at,
    'UTC', now(), now()
  from jsonb_to_recordset($1::jsonb) as v (provider uuid, patient uuid, starts_at timestamptz, ends_at timestamptz)
  where not exists (select from appointments a where a.provider_id = v.provider and a.starts_at = v.starts_at)`;

async function time(ask: () => Promise<unknown>, times: number): Promise<Latency> {
  const taken: number[] = [];
  for (let i = 0; i < times + 20; i++) {
    const began = performance.now();
    await ask();
    // The first ones warm up.
    if (i >= 20) taken.push(performance.now() - began);
  }
  taken.sort((a, b) => a - b);
  const at = (share: number) => taken[Math.min(taken.length - 1, Math.floor(share * taken.length))] ?? 0;
  return { p50: at(0.5), p99: at(0.99), max: at(1) };
}

function report({ providers, visits, latency }: SlotFigures): void {
  console.log(`${providers} providers, ${DAYS} days, ${visits} visits`);
  for (const [kind, { p50, p99, max }] of Object.entries(latency)) {
    console.log(`  ${kind}: p50 ${p50.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms, longest ${max.toFixed(1)} ms`);
  }
}

if (import.meta.main) report(await measureSlots({ providers: Number(process.argv[2] ?? 50) }));
