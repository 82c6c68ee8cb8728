/** The composition root: what a process is made of, opened together and closed together. */
import { hostname } from 'node:os';
import * as audit from '#audit';
import { type Neighbours, openNeighbours } from '#neighbours';
import { type BenefitsApi, openBenefitsApi, PAYER_GUARD } from './integrations/benefits-api.ts';
import { type Email, openEmail } from './integrations/email.ts';
import { GUARD } from './integrations/guard.ts';
import { openProviderDirectory, type ProviderDirectory } from './integrations/provider-api.ts';
import { openSms, type Sms } from './integrations/sms.ts';
import { openVoice, type Voice } from './integrations/voice.ts';
import { type Announcer, openAnnouncer } from './platform/announcer.ts';
import { type Clock, systemClock } from './platform/clock.ts';
import type { Config } from './platform/config.ts';
import { connect, type Db, openPool } from './platform/database.ts';
import { type Events, sequenceEvents, type Topic } from './platform/events.ts';
import { createJobs, type Jobs, JOBS_CHANNEL, openBoss } from './platform/jobs.ts';
import { createLog, type Log } from './platform/log.ts';
import type { PubSub } from './platform/pubsub.ts';
import { postgresPubSub } from './platform/pubsub-postgres.ts';
import { redisPubSub } from './platform/pubsub-redis.ts';
import { sayOnce } from './platform/repetition.ts';
import {
  type Actor,
  afterCommit,
  type Clinic,
  type Origin,
  type Scope,
  type SignInRules,
  SYSTEM,
} from './platform/scope.ts';
import { pause, ticker } from './platform/ticker.ts';
import { keyRing, vault, type Vault } from './platform/vault.ts';
import { react } from './reactions.ts';
import { workers } from './workers.ts';

/** What is outside, behind interfaces: passed to the few functions that call it. */
export interface Integrations {
  readonly sms: Sms;
  readonly voice: Voice;
  readonly email: Email;
  readonly payer: BenefitsApi;
  readonly directory: ProviderDirectory;
}

/** More than a delivery gives out at once, so that a code need not wait for it. */
const MANY = { ...GUARD, atOnce: 40 };

export interface App extends AsyncDisposable {
  readonly config: Config;
  readonly log: Log;
  readonly clock: Clock;
  /** What this process connects to, as the platform's login role. */
  readonly databaseUrl: string;
  readonly db: Db;
  readonly vault: Vault;
  readonly jobs: Jobs;
  readonly pubsub: PubSub;
  readonly integrations: Integrations;
  /** Guards every call that those make. A process that may call attends them. */
  readonly neighbours: Neighbours;
  /** A scope for one request or one job. */
  scope(actor: Actor, request: Origin): Scope;
}

export interface AppOptions {
  readonly databaseUrl: string;
  readonly clock?: Clock;
  readonly log?: Log;
}

/** Opens everything a process is made of; nothing connects before its first use. */
export async function createApp(config: Config, { databaseUrl, ...given }: AppOptions): Promise<App> {
  await using parts = new AsyncDisposableStack();
  const { clock = systemClock, log = createLog(config.LOG_LEVEL) } = given;
  const db = connect(databaseUrl, { max: config.DATABASE_POOL });
  parts.defer(() => db.destroy());
  const pubsub = parts.use(
    config.REDIS_URL === undefined
      ? postgresPubSub({ url: databaseUrl, db, log })
      : redisPubSub({ url: config.REDIS_URL, log }),
  );
  const { announce } = parts.use(
    openAnnouncer(pubsub, (error, name) => log.warn('Nobody could be told', { name, error })),
  );
  const jobs = openJobs(parts, { databaseUrl, announce, log });
  const still = {
    db,
    jobs,
    announce,
    vault: vault(keyRing(config.CAREFLEX_KEYS), config.CAREFLEX_SECRET),
    clinic: clinicOf(config),
    signIn: signInRules(config),
  };
  const ownWork = (): Scope => ({ ...still, now: clock.now(), actor: SYSTEM, request: OWN_REQUEST });
  const node = `${hostname()}:${process.pid}`;
  const neighbours = parts.use(openNeighbours({ scope: ownWork, pubsub, clock, log, node }));
  const integrations = openIntegrations(parts, { config, neighbours, clock });
  const sequencer = parts.use(
    ticker({
      run: () => sequenceEvents(ownWork()),
      onError: sayOnce((error, count) => log.warn('Events could not be sequenced', { error, count })),
    }),
  );
  keepTrail(parts, ownWork, { config, log });
  const reactAndSequence: Scope['react'] = async (scope, topic, payload) => {
    await react(scope, topic as Topic, payload as Events[Topic]);
    afterCommit(scope, sequencer.wake);
  };

  const open = parts.move();
  return {
    config,
    log,
    clock,
    databaseUrl,
    db,
    pubsub,
    jobs,
    integrations,
    neighbours,
    vault: still.vault,
    scope: (actor, request) => ({ ...still, now: clock.now(), actor, request, react: reactAndSequence }),
    [Symbol.asyncDispose]: () => open.disposeAsync(),
  };
}

interface Outside {
  readonly config: Config;
  readonly neighbours: Neighbours;
  readonly clock: Clock;
}

function openIntegrations(parts: AsyncDisposableStack, { config, neighbours, clock }: Outside): Integrations {
  return {
    sms: openSms(config, neighbours.guard('sms', MANY)),
    voice: openVoice(config, neighbours.guard('voice', MANY)),
    email: parts.use(openEmail(config, neighbours.guard('email'))),
    payer: openBenefitsApi(config, neighbours.guard('payer', PAYER_GUARD), clock),
    directory: openProviderDirectory(config, neighbours.guard('directory')),
  };
}

/** The request id of what the platform does by itself. */
const OWN_REQUEST: Origin = { id: 'platform', ip: null, userAgent: null };

const WITNESS_MS = 5_000;

function keepTrail(
  parts: AsyncDisposableStack,
  ownWork: () => Scope,
  { config, log }: Pick<App, 'config' | 'log'>,
): void {
  parts.defer(() => settleTrail(ownWork, config, log));
  const witness = createWitness(log);
  parts.use(
    ticker({
      everyMs: WITNESS_MS,
      run: () => witness(ownWork()),
      onError: sayOnce((error, count) => log.warn('Audit entries could not be witnessed', { error, count })),
    }),
  );
}

/** Each process vouches for what it committed itself. */
function createWitness(log: Log): (scope: Scope) => Promise<void> {
  let known = 0;
  return async (scope) => {
    const lost = await audit.witness(scope);
    if (lost.length > 0) log.error('Audit entries that were committed are gone', { count: lost.length });
    const overdue = audit.overdue(scope);
    if (overdue > known) log.error('Audit entries wait too long to be sealed', { count: overdue });
    known = overdue;
  };
}

const SETTLE_WITHIN_MS = 2_000;
/** For a database that does not answer any more. */
const GIVE_UP_AFTER_MS = 5_000;

/** What this process committed last is sealed before it forgets it. Without a worker nobody else would. */
async function settleTrail(ownWork: () => Scope, config: Config, log: Log): Promise<void> {
  const settling = audit
    .settle(ownWork(), { headFile: config.AUDIT_HEAD_FILE, lookBack: true, withinMs: SETTLE_WITHIN_MS })
    .then((count) => {
      if (count > 0) log.error('Audit entries were not sealed before the process ended', { count });
    })
    .catch((error: unknown) => log.error('Audit entries could not be sealed before the process ended', { error }));
  const over = new AbortController();
  await Promise.race([settling, pause(GIVE_UP_AFTER_MS, over.signal)]);
  over.abort();
}

interface JobsParts {
  readonly databaseUrl: string;
  readonly announce: Announcer['announce'];
  readonly log: Log;
}

function openJobs(parts: AsyncDisposableStack, { databaseUrl, announce, log }: JobsParts): Jobs {
  const pool = openPool(databaseUrl, { max: 1, name: 'careflex jobs', role: 'careflex_system' });
  parts.defer(() => pool.end());
  const boss = openBoss({ pool, log, maintain: false });
  parts.defer(() => boss.stop({ graceful: false }));
  const quick = new Set(Object.entries(workers).flatMap(([queue, worker]) => (worker.quick ? [queue] : [])));
  // Where the message gets lost, the poll finds the job.
  return createJobs({ boss, quick, notify: (queue) => announce(JOBS_CHANNEL, queue) });
}

function clinicOf(config: Config): Clinic {
  return {
    timeZone: config.CLINIC_TIME_ZONE,
    region: config.DEFAULT_REGION,
    phone: config.CLINIC_PHONE,
    name: config.CLINIC_NAME,
    messageHours: config.MESSAGE_HOURS,
    link: config.PUBLIC_URL,
  };
}

function signInRules(config: Config): SignInRules {
  return {
    idleMinutes: config.SESSION_IDLE_MINUTES,
    absoluteHours: config.SESSION_ABSOLUTE_HOURS,
    accessTokenMinutes: config.ACCESS_TOKEN_MINUTES,
    demoAccounts: config.NODE_ENV !== 'production',
    issuers: config.OIDC_ISSUERS,
  };
}
