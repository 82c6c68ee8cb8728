/**
 * 64 callers at once for one slot, and for 64 different slots of one provider: our own booking beside three
 * techniques that applications use instead of a constraint. All through as many connections, in one run.
 *
 *     node bench/src/contention.ts [rounds]
 */
import { setTimeout as sleep } from 'node:timers/promises';
import * as care from '@careflex/core/care';
import { connect } from '@careflex/core/platform/database';
import type { Scope } from '@careflex/core/platform/scope';
import * as scheduling from '@careflex/core/scheduling';
import pg from 'pg';
import { benchPlatform } from './platform.ts';
import { syntheticPatients } from './synthetic-patients.ts';

const CALLERS = 64;
const CONNECTIONS = 16;
const SLOT_MINUTES = 15;

/** Books the slot, or says that it is taken, by throwing {@link Taken}. */
type Book = (caller: number, startsAt: Temporal.Instant) => Promise<void>;
class Taken extends Error {}

interface Technique {
  readonly name: string;
  readonly book: Book;
  /** How many visits there are at the slot. */
  readonly count: (startsAt: Temporal.Instant) => Promise<number>;
}

export interface ContentionFigures {
  readonly technique: string;
  /** Visits in one slot that 64 wanted: the most of all rounds. One is right. */
  readonly mostInOneSlot: number;
  /** Of 64 different free slots, the share that was refused. None is right. */
  readonly refusedOfFree: number;
  /** Answers that were neither a visit nor a refusal. */
  readonly errors: number;
  /** Visits a second, of 64 different slots. */
  readonly bookedPerSecond: number;
}

export async function measureContention({ rounds = 20 } = {}): Promise<ContentionFigures[]> {
  await using parts = new AsyncDisposableStack();
  const platform = parts.use(await benchPlatform());
  const pool = new pg.Pool({ connectionString: platform.adminUrl, max: CONNECTIONS });
  // The server is stopped while connections are closing.
  pool.on('error', () => undefined);
  parts.defer(() => pool.end());
  await pool.query(`
    create table plain_visits (id bigint generated always as identity, provider_id int, starts_at timestamptz, ends_at timestamptz);
    create index on plain_visits (provider_id, starts_at);
    update care_services set daily_limit = null, minimum_notice_minutes = 0;`);
  const db = connect(platform.loginUrl, { max: CONNECTIONS });
  parts.defer(() => db.destroy());
  const techniques = [
    plain(pool, 'insert, then check', insertThenCheck),
    plain(pool, 'check, then insert', checkThenInsert),
    plain(pool, 'serializable, with ten retries', serializable),
    await ours({ ...platform.scope, db }, pool),
  ];
  const figures: ContentionFigures[] = [];
  for (const technique of techniques) figures.push(await measure(technique, rounds));
  return figures;
}

const DAY_HOURS = 24;

async function measure({ name, book, count }: Technique, rounds: number): Promise<ContentionFigures> {
  const tomorrow = Temporal.Now.zonedDateTimeISO('UTC').startOfDay().add({ days: 1 }).toInstant();
  let [mostInOneSlot, refused, errors, seconds] = [0, 0, 0, 0];
  const answered = (results: readonly PromiseSettledResult<void>[]) => {
    const failures = results.flatMap((result) => (result.status === 'rejected' ? [result.reason as unknown] : []));
    const taken = failures.filter((reason) => reason instanceof Taken).length;
    errors += failures.length - taken;
    return taken;
  };
  for (let round = 0; round < rounds; round++) {
    const day = tomorrow.add({ hours: round * DAY_HOURS });
    const callers = Array.from({ length: CALLERS }, (_, i) => i);
    answered(await Promise.allSettled(callers.map((caller) => book(caller, day))));
    mostInOneSlot = Math.max(mostInOneSlot, await count(day));

    const startedAt = performance.now();
    const slots = callers.map((i) => day.add({ minutes: SLOT_MINUTES * (i + 1) }));
    refused += answered(await Promise.allSettled(callers.map((caller) => book(caller, slots[caller] ?? day))));
    seconds += (performance.now() - startedAt) / 1_000;
  }
  const all = rounds * CALLERS;
  return {
    technique: name,
    mostInOneSlot,
    refusedOfFree: refused / all,
    errors,
    bookedPerSecond: Math.round((all - refused) / seconds),
  };
}

/** Start, end and provider of the wanted visit. */
type Wanted = readonly [startsAt: string, endsAt: string, provider: number];
type Attempt = (client: pg.PoolClient, wanted: Wanted) => Promise<void>;

let providers = 0;

/** Each technique has a provider of its own in the one table. */
function plain(pool: pg.Pool, name: string, attempt: Attempt): Technique {
  const provider = ++providers;
  return {
    name,
    async book(_caller, startsAt) {
      const client = await pool.connect();
      try {
        await attempt(client, [startsAt.toString(), startsAt.add({ minutes: SLOT_MINUTES }).toString(), provider]);
      } catch (error) {
        await client.query('rollback');
        throw error;
      } finally {
        client.release();
      }
    },
    async count(startsAt) {
      const text = 'select count(*)::int as n from plain_visits where starts_at = $1 and provider_id = $2';
      const { rows } = await pool.query<{ n: number }>(text, [startsAt.toString(), provider]);
      return rows[0]?.n ?? 0;
    },
  };
}

const OVERLAPPING =
  'select count(*)::int as n from plain_visits where provider_id = $3 and starts_at < $2 and ends_at > $1';
const INSERT = 'insert into plain_visits (starts_at, ends_at, provider_id) values ($1, $2, $3)';

async function insertThenCheck(client: pg.PoolClient, values: Wanted): Promise<void> {
  await client.query('begin');
  await client.query({ name: 'insert', text: INSERT, values: [...values] });
  await refuseMoreThan(1, client, values);
  await client.query('commit');
}

async function checkThenInsert(client: pg.PoolClient, values: Wanted): Promise<void> {
  await client.query('begin');
  await refuseMoreThan(0, client, values);
  await client.query({ name: 'insert', text: INSERT, values: [...values] });
  await client.query('commit');
}

const RETRIES = 10;

async function serializable(client: pg.PoolClient, values: Wanted): Promise<void> {
  for (let attempt = 0; attempt <= RETRIES; attempt++) {
    try {
      await client.query('begin isolation level serializable');
      await refuseMoreThan(0, client, values);
      await client.query({ name: 'insert', text: INSERT, values: [...values] });
      await client.query('commit');
      return;
    } catch (error) {
      if (!(error instanceof pg.DatabaseError && error.code === '40001')) throw error;
      await client.query('rollback');
      await sleep(Math.random() * 5 * 2 ** Math.min(attempt, 4));
    }
  }
  // What a caller is told who has waited long enough.
  throw new Taken();
}

async function refuseMoreThan(most: number, client: pg.PoolClient, values: Wanted): Promise<void> {
  const { rows } = await client.query<{ n: number }>({ name: 'overlapping', text: OVERLAPPING, values: [...values] });
  if ((rows[0]?.n ?? 0) > most) throw new Taken();
}

async function ours(scope: Scope, pool: pg.Pool): Promise<Technique> {
  const outcomes = await care.importPatients(scope, [...syntheticPatients(CALLERS)]);
  const patients = outcomes.flatMap((outcome) => ('patientId' in outcome ? outcome.patientId : []));
  const [provider] = await scheduling.importProviders(scope, [
    { externalId: 'bench', name: 'Dr. Bench', knownAs: ['Practitioner/bench'], timeZone: 'UTC' },
  ]);
  await scheduling.importProviderRoles(scope, [
    { externalId: 'bench', provider: 'Practitioner/bench', services: ['TELEHEALTH'] },
  ]);
  const providerId = provider && 'id' in provider ? provider.id : '';
  const allDay = [1, 2, 3, 4, 5, 6, 7].map((weekday) => ({ weekday, from: '00:00', to: '24:00' }));
  await pool.query('update providers set weekly_hours = $1', [JSON.stringify(allDay)]);
  return {
    name: 'ours',
    async book(caller, startsAt) {
      const visit = { patientId: patients[caller] ?? '', providerId, startsAt, minutes: SLOT_MINUTES };
      await scheduling.schedule(scope, { ...visit, service: 'TELEHEALTH' }).catch((error: unknown) => {
        throw error instanceof scheduling.AppointmentConflict ? new Taken() : error;
      });
    },
    async count(startsAt) {
      const text = `select count(*)::int as n from appointments where starts_at = $1 and status = 'SCHEDULED'`;
      const { rows } = await pool.query<{ n: number }>(text, [startsAt.toString()]);
      return rows[0]?.n ?? 0;
    },
  };
}

if (import.meta.main) {
  const [rounds = 20] = process.argv.slice(2).map(Number);
  console.table(await measureContention({ rounds }));
}
