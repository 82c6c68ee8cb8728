/** Messages that are due, the provider that takes them in a process of its own, and workers that deliver them. */
import assert from 'node:assert/strict';
import { type ChildProcess, fork } from 'node:child_process';
import { randomBytes, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import * as care from '#care';
import { webhookOrigin } from '#integrations/webhook-urls';
import * as notifications from '#notifications';
import { type App, createApp } from '../../src/app.ts';
import { install } from '../../src/installation.ts';
import { readConfig } from '../../src/platform/config.ts';
import { createLog } from '../../src/platform/log.ts';
import { type Scope, SYSTEM } from '../../src/platform/scope.ts';
import { newProvider } from './appointments.ts';
import type { WorkerSettings } from './delivering-worker.ts';
import { asSuperuser, databaseReady, LOGIN, urls } from './testing.ts';

const CREDENTIALS = { accountSid: `AC${'0'.repeat(32)}`, authToken: 'a-token-for-the-tests-only' };

/** What was given to the provider. */
export interface Given {
  readonly kind: 'text' | 'call' | 'email';
  readonly id: string;
  readonly at: string;
  readonly to: string | readonly string[];
  readonly body?: string;
  readonly said?: readonly { readonly language: string; readonly text: string }[];
  readonly subject?: string;
}

export interface Simulator extends AsyncDisposable {
  readonly url: string;
  readonly smtpUrl: string;
  /** Scripts of how it behaves: see simulators/src/behaviour.ts. */
  script(...scripts: object[]): Promise<void>;
  /** Behaves well again. */
  recover(): Promise<void>;
  /** Behaves well again, as if nothing had been sent. */
  reset(): Promise<void>;
  /** All that it took, the oldest first. */
  given(): Promise<Given[]>;
}

const script = (name: string): string => fileURLToPath(new URL(`${name}.ts`, import.meta.url));

export async function startSimulator(): Promise<Simulator> {
  const child = fork(script('simulator-process'), [], { execArgv: [] });
  child.send({ credentials: CREDENTIALS, kept: 200_000, pace: { secondMs: 1 } });
  const [{ url, smtpUrl }] = (await once(child, 'message')) as [{ url: string; smtpUrl: string }];
  const ask = async (method: string, path: string, body?: object): Promise<unknown> => {
    const response = await fetch(`${url}/simulator/${path}`, {
      method,
      ...(body && { body: JSON.stringify(body), headers: { 'Content-Type': 'application/json' } }),
    });
    assert.equal(response.status, 200, await response.clone().text());
    return response.json();
  };
  return {
    url,
    smtpUrl,
    script: async (...scripts) => void (await ask('POST', 'scripts', scripts)),
    recover: async () => void (await ask('DELETE', 'scripts')),
    reset: async () => void (await ask('POST', 'reset', {})),
    given: async () => ((await ask('GET', 'messages?limit=200000')) as Given[]).toReversed(),
    async [Symbol.asyncDispose]() {
      child.disconnect();
      await once(child, 'exit');
    },
  };
}

export interface World extends AsyncDisposable {
  readonly app: App;
  readonly simulator: Simulator;
  /** Every process of this world has this clock, which goes on as clocks do. */
  setClock(instant: Temporal.Instant): void;
  /** By the system. What follows from a change elsewhere does not follow here: what is due is planned by hand. */
  scope(): Scope;
  /** The same run as a worker's, in this process. */
  deliver(signal?: AbortSignal): Promise<boolean>;
  startWorker(): Promise<WorkerProcess>;
  killWorkers(): Promise<void>;
}

export interface WorkerProcess {
  readonly child: ChildProcess;
  kill(): Promise<void>;
  stop(): Promise<void>;
}

/** A Tuesday, 11 in the morning in New York. */
export const ELEVEN = Temporal.Instant.from('2026-11-24T16:00:00Z');

export async function openWorld(more: Readonly<Record<string, string>> = {}): Promise<World> {
  await databaseReady;
  await using parts = new AsyncDisposableStack();
  const simulator = parts.use(await startSimulator());
  const environment = environmentFor(simulator, more);
  const config = readConfig(environment);
  await install(urls.admin, LOGIN, { config, log: createLog('silent') });
  let offsetMs = 0;
  const clock = { now: () => Temporal.Now.instant().add({ milliseconds: offsetMs }) };
  const app = parts.use(await createApp(config, { databaseUrl: urls.login, clock, log: createLog('error') }));
  const workers = new Set<WorkerProcess>();
  const killWorkers = async () => void (await Promise.all([...workers].map((worker) => worker.kill())));
  parts.defer(killWorkers);
  const scope = () => {
    const { react: _, ...alone } = app.scope(SYSTEM, { id: randomUUID(), ip: null, userAgent: 'test' });
    return alone;
  };
  const open = parts.move();
  return {
    app,
    simulator,
    scope,
    setClock(instant) {
      offsetMs = instant.epochMilliseconds - Temporal.Now.instant().epochMilliseconds;
      for (const { child } of workers) child.send(offsetMs);
    },
    deliver: (signal = new AbortController().signal) =>
      notifications.deliverDue(scope(), {
        outside: { ...app.integrations, publicUrl: webhookOrigin(config) },
        cap: { perDay: config.REMINDERS_PER_DAY, perWeek: config.REMINDERS_PER_WEEK },
        log: app.log,
        signal,
      }),
    startWorker: () => startWorker({ databaseUrl: urls.login, environment, offsetMs }, workers),
    killWorkers,
    [Symbol.asyncDispose]: () => open.disposeAsync(),
  };
}

function environmentFor({ url, smtpUrl }: Simulator, more: Readonly<Record<string, string>>) {
  const secret = () => randomBytes(32).toString('base64');
  return {
    NODE_ENV: 'test',
    CAREFLEX_KEYS: `1:${secret()}`,
    CAREFLEX_SECRET: secret(),
    CLINIC_PHONE: '+12125550100',
    TWILIO_ACCOUNT_SID: CREDENTIALS.accountSid,
    TWILIO_AUTH_TOKEN: CREDENTIALS.authToken,
    TWILIO_BASE_URL: url,
    SMS_FROM: '+12125550190',
    SMTP_URL: smtpUrl,
    ...more,
  };
}

async function startWorker(settings: WorkerSettings, workers: Set<WorkerProcess>): Promise<WorkerProcess> {
  const child = fork(script('delivering-worker'), [], { execArgv: [] });
  child.send(settings);
  await once(child, 'message');
  const gone = async () => {
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
    workers.delete(worker);
  };
  const worker: WorkerProcess = {
    child,
    async kill() {
      child.kill('SIGKILL');
      await gone();
    },
    async stop() {
      child.send('stop');
      await gone();
    },
  };
  workers.add(worker);
  return worker;
}

export interface Person {
  readonly id: string;
  readonly phone: string;
  readonly email: string;
}

let people = 0;

/** Who agreed to reminders, by SMS unless told otherwise. */
export async function newPeople(scope: Scope, count: number, more: Partial<care.ImportedPatient> = {}) {
  const made = Array.from({ length: count }, (): Omit<Person, 'id'> => {
    people++;
    return { phone: `+1555${2_000_000 + people}`, email: `person-${people}@example.test` };
  });
  const records = made.map(({ phone, email }) => ({
    externalId: randomUUID(),
    firstName: 'Ada',
    lastName: 'Lovelace',
    phone,
    email,
    ...more,
  }));
  const outcomes = await care.importPatients(scope, records);
  const ids = outcomes.map((outcome) =>
    'patientId' in outcome ? outcome.patientId : assert.fail(JSON.stringify(outcome)),
  );
  await notifications.importConsents(scope, ids, { wordingVersion: '1', evidence: 'a form' });
  return ids.map((id, i): Person => {
    const { phone, email } = made[i] as Omit<Person, 'id'>;
    return { id, phone: more.phone ?? phone, email: more.email ?? email };
  });
}

/** One visit of each patient, with one provider who minds no overlap. */
export async function newVisits(
  scope: Scope,
  patientIds: readonly string[],
  startsAt: Temporal.Instant,
): Promise<string[]> {
  const providerId = await newProvider(scope);
  const rows = await asSuperuser<{ id: string }>(
    `with given as (select * from unnest($1::uuid[]) with ordinality as given (patient_id, n))
     insert into appointments (id, patient_id, provider_id, service, status, starts_at, ends_at, blocks_from, blocks_until,
       time_zone, overrides, created_at, updated_at)
     select gen_random_uuid(), patient_id, $2, 'TELEHEALTH', 'SCHEDULED', $3::timestamptz, $3::timestamptz + interval '30 min',
       $3::timestamptz, $3::timestamptz + interval '30 min', 'America/New_York', array['PROVIDER_BUSY', 'PATIENT_BUSY'],
       $4, $4
     from given order by n returning id, patient_id`,
    [patientIds, providerId, startsAt.toString(), scope.now.toString()],
  );
  return rows.map(({ id }) => id);
}

export interface Planned {
  readonly kind?: notifications.Kind;
  readonly channel?: care.Channel;
  readonly dueAt?: Temporal.Instant;
  readonly expiresAt?: Temporal.Instant;
  readonly revision?: number;
}

/** Plans one message for each of the visits, due now; returns their ids. */
export async function planned(scope: Scope, appointmentIds: readonly string[], more: Planned = {}): Promise<string[]> {
  const { kind = 'REMINDER_24H', channel = 'SMS', revision = 1, dueAt = scope.now } = more;
  const { expiresAt = dueAt.add({ hours: 12 }) } = more;
  const rows = await asSuperuser<{ id: string }>(
    `insert into notifications (id, appointment_id, revision, patient_id, kind, channel, status, due_at, expires_at,
       created_at, updated_at)
     select gen_random_uuid(), id, $2, patient_id, $3, $4, 'PLANNED', $5, $6, $7, $7 from appointments where id = any($1)
     returning id`,
    [appointmentIds, revision, kind, channel, dueAt.toString(), expiresAt.toString(), scope.now.toString()],
  );
  return rows.map(({ id }) => id);
}

export interface LedgerRow {
  readonly id: string;
  readonly appointment_id: string;
  readonly revision: number;
  readonly patient_id: string;
  readonly kind: string;
  readonly channel: string;
  readonly status: string;
  readonly reason: string | null;
  readonly attempts: number;
  readonly due_at: Date;
  readonly provider_message_id: string | null;
  readonly merged_into: string | null;
  readonly contact_index: Buffer | null;
  readonly body: Buffer | null;
}

/** The ledger, or what it says of these visits, in the order of its making. */
export const ledger = (appointmentIds: readonly string[] | null = null): Promise<LedgerRow[]> =>
  asSuperuser<LedgerRow>(
    'select * from notifications where $1::uuid[] is null or appointment_id = any($1) order by created_at, id',
    [appointmentIds],
  );

/** How many rows stand how: `SENT` or `SKIPPED STALE`. */
export async function standing(appointmentIds: readonly string[] | null = null): Promise<Record<string, number>> {
  const rows = await ledger(appointmentIds);
  const words = rows.map(({ status, reason }) => (reason === null ? status : `${status} ${reason}`));
  return Object.fromEntries([...Map.groupBy(words, (word) => word)].map(([word, of]) => [word, of.length]));
}

export const tasks = (): Promise<{ kind: string; reason: string; notification_id: string }[]> =>
  asSuperuser('select kind, reason, notification_id from tasks order by created_at, id');

/** The lease of what is claimed has ended: by the database's clock, which no test can move. */
export const endLeases = (): Promise<unknown> =>
  asSuperuser(`update notifications set lease_until = now() - interval '1 second' where status = 'CLAIMED'`);
