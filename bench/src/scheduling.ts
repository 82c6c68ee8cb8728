/**
 * Booking, a page of visits with their patients, and the day board of a call center through the whole API: the
 * booking and the page as ratios to the very same statements by pgbench, in turns within one run.
 *
 *     node bench/src/scheduling.ts [visits already there] [seconds a turn] [turns]
 */
import * as scheduling from '@careflex/core/scheduling';
import pg from 'pg';
import {
  type ApiBench,
  compare,
  type Figures,
  latencies,
  openApiBench,
  type Operation,
  systemScope,
} from './api-bench.ts';
import { CLIENT, N, nextId, type Vary } from './sql-baseline.ts';
import { A_DAY, seedAppointments } from './synthetic-appointments.ts';

const PATIENTS = 5_000;
export const PROVIDERS = 500;

export interface SchedulingFigures {
  readonly compared: readonly Figures[];
  /** Of one client alone, in milliseconds. */
  readonly dayBoard: { readonly visits: number; readonly p50: number; readonly p99: number };
}

export async function measureScheduling({ visits = 100_000, seconds = 5, turns = 5 } = {}): Promise<SchedulingFigures> {
  await using bench = await openApiBench(PATIENTS);
  const providerIds = await addProviders(bench);
  const today = Temporal.Now.zonedDateTimeISO('UTC').startOfDay();
  const { patientIds, adminUrl } = bench;
  const from = today.subtract({ days: Math.ceil(visits / PROVIDERS / A_DAY) + 2 }).toInstant();
  await seedAppointments(adminUrl, { patientIds, providerIds, count: visits, from });
  const compared: Figures[] = [];
  for (const operation of [booking(bench, providerIds), page(from)]) {
    compared.push(await compare(bench, operation, { seconds, turns }));
  }
  const { p50, p99 } = await latencies(bench, dayBoard(from), seconds);
  return { compared, dayBoard: { visits: BOARD * A_DAY, p50, p99 } };
}

/** They work from 12:00 to 24:00 UTC, and nothing limits how many visits they have. */
export async function addProviders({ app, adminUrl }: ApiBench): Promise<string[]> {
  const scope = systemScope(app);
  const names = Array.from({ length: PROVIDERS }, (_, i) => `bench-${i}`);
  const outcomes = await scheduling.importProviders(
    scope,
    names.map((name) => ({ externalId: name, name, knownAs: [name], timeZone: 'UTC' })),
  );
  await scheduling.importProviderRoles(
    scope,
    names.map((name) => ({ externalId: name, provider: name, services: ['TELEHEALTH'] })),
  );
  const client = new pg.Client({ connectionString: adminUrl });
  await client.connect();
  const everyDay = [1, 2, 3, 4, 5, 6, 7].map((weekday) => ({ weekday, from: '12:00', to: '24:00' }));
  await client.query('update providers set weekly_hours = $1', [JSON.stringify(everyDay)]);
  await client.query('update care_services set daily_limit = null');
  await client.end();
  return outcomes.flatMap((outcome) => ('id' in outcome ? outcome.id : []));
}

const HALF_HOURS_A_DAY = 20;

/** Each half hour at work from the day after tomorrow on, with every provider in turn, each with another patient. */
function booking({ patientIds }: ApiBench, providerIds: readonly string[]): Operation {
  const first = Temporal.Now.zonedDateTimeISO('UTC').startOfDay().add({ days: 2, hours: 14 }).toInstant();
  const variables = Array.from({ length: 100_000 }, (_, i) => {
    const halfHour = Math.floor(i / providerIds.length);
    const hours = 24 * Math.floor(halfHour / HALF_HOURS_A_DAY);
    return {
      input: {
        patientId: patientIds[i % patientIds.length],
        providerId: providerIds[i % providerIds.length],
        service: 'TELEHEALTH',
        startsAt: first.add({ hours, minutes: 30 * (halfHour % HALF_HOURS_A_DAY) }).toString(),
      },
    };
  });
  return {
    name: 'scheduleAppointment',
    query: `mutation($input: ScheduleAppointmentInput!) { it: scheduleAppointment(input: $input) {
      __typename ... on Appointment { id status startsAt endsAt version } ... on Problem { code message } } }`,
    variables,
    expect: '"__typename":"Appointment"',
    vary: (of, answer) => varyBooking((of as (typeof variables)[number]).input, answer, { patientIds, providerIds }),
  };
}

interface People {
  readonly patientIds: readonly string[];
  readonly providerIds: readonly string[];
}

/** Each of the clients books with a provider of its own, day after day, from years ahead on. */
function varyBooking(
  input: { patientId: string | undefined; providerId: string | undefined; startsAt: string },
  answer: string,
  { patientIds, providerIds }: People,
): Vary {
  const appointmentId = /"id":"([^"]+)"/.exec(answer)?.[1];
  const oneOf = (ids: readonly string[]) => `('{${ids.slice(0, 64).join(',')}}'::uuid[])[${CLIENT} + 1]`;
  const at = Temporal.Instant.from(input.startsAt);
  const [soonest, latest] = [at.subtract({ hours: 48 }), at.add({ hours: 48 })];
  return (value) => {
    if (value === appointmentId) return nextId(200);
    if (appointmentId && value.startsWith('[{"visit":')) return varyPlan(value, appointmentId);
    if (value === input.patientId) return oneOf(patientIds);
    if (value === input.providerId) return oneOf(providerIds);
    if (!/^\d{4}-\d\d-\d\dT[\d:.]+Z$/.test(value)) return undefined;
    const instant = Temporal.Instant.from(value);
    if (Temporal.Instant.compare(instant, soonest) < 0 || Temporal.Instant.compare(instant, latest) > 0)
      return undefined;
    return `('${value}'::timestamptz + interval '3000 days' + ${N} * interval '1 hour')`;
  };
}

/** The messages of the visit: their ids are new each time, like its own. */
function varyPlan(plan: string, appointmentId: string): string {
  const [visit] = JSON.parse(plan) as [{ rows: { id: string }[] }];
  const ids = [appointmentId, ...visit.rows.map(({ id }) => id)];
  // pgbench takes a colon in front of a letter for a variable, within a literal too.
  const literal = `'${plan.replaceAll(/":(?=[a-z])/g, '": ')}'`;
  const varied = ids.reduce((text, id, i) => `replace(${text}, '${id}', ${nextId(200 + i)}::text)`, literal);
  return `${varied}::jsonb`;
}

const VISIT = `id status service startsAt endsAt localStart version revision notes
  patient { id firstName lastName email phone dateOfBirth } provider { id name timeZone }`;

export function page(from: Temporal.Instant): Operation {
  return {
    name: 'page of 50 visits with patients',
    query: `query($from: DateTime!) { appointments(from: $from, first: 50) { edges { cursor node { ${VISIT} } } } }`,
    variables: [{ from: from.toString() }],
    expect: '"edges":[{',
  };
}

const BOARD = 20;

/** Of the third day from then. */
export function dayBoard(from: Temporal.Instant): Operation {
  return {
    name: 'day board',
    query: `query($date: Date!) { dayBoard(date: $date, timeZone: "UTC", service: TELEHEALTH, first: ${BOARD}) {
      edges { node { provider { id name } workingHours { startsAt endsAt } timeOff { startsAt endsAt }
        freeSlots { startsAt } appointments { id status startsAt endsAt patient { id firstName lastName } } } } } }`,
    variables: [{ date: from.add({ hours: 48 }).toString().slice(0, 10) }],
    expect: '"status":"SCHEDULED"',
  };
}

if (import.meta.main) {
  const [visits = 100_000, seconds = 5, turns = 5] = process.argv.slice(2).map(Number);
  const { compared, dayBoard } = await measureScheduling({ visits, seconds, turns });
  console.table(compared);
  console.log('Day board', dayBoard);
}
