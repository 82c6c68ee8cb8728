/** The composition root: what a process is made of, opened together and closed together. */
import { type Clock, systemClock } from './platform/clock.ts';
import type { Config } from './platform/config.ts';
import { connect, type Db } from './platform/database.ts';
import type { Jobs } from './platform/jobs.ts';
import { createLog, type Log } from './platform/log.ts';
import type { Actor, Origin, Scope, SignInRules } from './platform/scope.ts';
import { keyRing, vault, type Vault } from './platform/vault.ts';

export interface App extends AsyncDisposable {
  readonly config: Config;
  readonly log: Log;
  readonly clock: Clock;
  readonly db: Db;
  readonly vault: Vault;
  readonly jobs: Jobs;
  /** A scope for one request or one job. */
  scope(actor: Actor, request: Origin): Scope;
}

export interface AppOptions {
  readonly databaseUrl: string;
  readonly clock?: Clock;
  readonly log?: Log;
}

export async function createApp(config: Config, options: AppOptions): Promise<App> {
  const clock = options.clock ?? systemClock;
  const log = options.log ?? createLog(config.LOG_LEVEL);
  const db = connect(options.databaseUrl, { max: config.DATABASE_POOL });
  const keys = vault(keyRing(config.CAREFLEX_KEYS), config.CAREFLEX_SECRET);
  const clinic = { timeZone: config.CLINIC_TIME_ZONE, region: config.DEFAULT_REGION };
  const signIn = signInRules(config);
  const jobs: Jobs = { enqueue: async () => undefined };
  return {
    config,
    log,
    clock,
    db,
    vault: keys,
    jobs,
    scope: (actor, request) => ({ actor, request, db, now: clock.now(), clinic, signIn, vault: keys, jobs }),
    async [Symbol.asyncDispose]() {
      await db.destroy();
    },
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
