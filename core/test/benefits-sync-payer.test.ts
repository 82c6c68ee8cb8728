/** The sync against the simulated payer: one that lies, and processes that are killed. */
import assert from 'node:assert/strict';
import { type ChildProcess, fork } from 'node:child_process';
import { randomBytes, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import * as benefits from '#benefits';
import * as care from '#care';
import { type App, createApp } from '../src/app.ts';
import { install } from '../src/installation.ts';
import { readConfig } from '../src/platform/config.ts';
import { createLog } from '../src/platform/log.ts';
import { asSystem, type Scope, SYSTEM, transact } from '../src/platform/scope.ts';
import { newPatient } from './support/appointments.ts';
import { aBenefit, ledgerOf, reread } from './support/benefits.ts';
import type { WorkerSettings } from './support/delivering-worker.ts';
import { type SimulatedPayer, startPayer } from './support/payer-simulator.ts';
import { asSuperuser, databaseReady, LOGIN, sandboxed, urls } from './support/testing.ts';

describe('a payer that lies about one patient', () => {
  const LIES: Readonly<Record<string, [object, string]>> = {
    'leaves out the amounts': [{ lie: 'no-amounts' }, 'NOT_CREDIBLE AMOUNT_MISSING'],
    'says two amounts': [{ lie: 'amount-twice' }, 'NOT_CREDIBLE AMOUNT_TWICE'],
    'says that more is used than allowed': [{ lie: 'used-above-allowed' }, 'NOT_CREDIBLE USED_ABOVE_ALLOWED'],
    'leaves out the period': [{ lie: 'no-period' }, 'NOT_CREDIBLE PERIOD_MISSING'],
    'does not say whether the plan is in force': [{ lie: 'in-force-unsaid' }, 'NOT_CREDIBLE IN_FORCE_UNCLEAR'],
    'says that it is not in force': [{ lie: 'not-in-force' }, 'NOT_IN_FORCE'],
    'answers about another plan': [{ lie: 'other-plan' }, 'NOT_CREDIBLE PLAN_MISSING'],
    'leaves out the plan': [{ lie: 'plan-left-out' }, 'NOT_CREDIBLE PLAN_MISSING'],
    'answers with an error': [{ lie: 'error' }, 'failed REFUSED OUTCOME_ERROR'],
    'cuts off its answer': [{ body: 'cut' }, 'failed UNUSABLE_ANSWER'],
    'answers with a page': [{ body: 'html' }, 'failed UNUSABLE_ANSWER'],
    'answers nothing': [{ body: 'empty' }, 'failed UNUSABLE_ANSWER'],
    'answers something else': [{ body: 'other' }, 'failed UNUSABLE_ANSWER'],
    'answers far too much': [{ body: 'huge' }, 'failed UNUSABLE_ANSWER'],
    'does not know the patient': [{ reply: 404 }, 'failed REFUSED 404'],
  };

  for (const [lie, [script, expected]] of Object.entries(LIES)) {
    it(
      `${lie}: no amount is moved, it is listed, and the rest is done`,
      sandboxed(async (scope) => {
        await using payer = await startPayer();
        const made: Told[] = [];
        for (let i = 0; i < 5; i++) made.push(await atPayer(scope, payer));
        const liar = made[2] as Told;
        await payer.script({ ...script, member: liar.member, times: null });
        const options = { api: payer.api(), perSecond: 10_000, signal: new AbortController().signal };
        assert.equal(await benefits.syncBenefits(asSystem(scope), options), null);
        const listed = await listedOf(scope);
        assert.equal(listed.size, 1, JSON.stringify([...listed]));
        const said = listed.get(liar.benefit.patientId) ?? '';
        assert.ok(said.startsWith(expected), said);
        for (const { benefit } of made) {
          assert.deepEqual(await ledgerOf(scope, benefit), ['ALLOCATE 200.00']);
          const synced = (await reread(scope, benefit)).lastSyncedAt !== null;
          assert.equal(synced, benefit !== liar.benefit || !expected.startsWith('failed'));
        }
      }),
    );
  }

  interface Told {
    readonly benefit: benefits.Benefit;
    readonly member: string;
  }

  async function atPayer(scope: Scope, payer: SimulatedPayer): Promise<Told> {
    const [member, plan] = [randomUUID(), randomUUID()];
    const patientId = await newPatient(scope, { externalId: member });
    const benefit = await aBenefit(scope, { patientId, externalPlanId: plan });
    await payer.tell(member, { id: plan, benefits: [{ code: 'TRANSPORTATION', allowed: '200' }] });
    return { benefit, member };
  }

  /** What stands on the lists, by patient. */
  async function listedOf(scope: Scope): Promise<Map<string, string>> {
    const drifts = await benefits.benefitDrifts(scope);
    const [run] = (await benefits.syncRuns(scope)).items;
    const failures = await benefits.syncFailures(scope, run?.node.id ?? '');
    return new Map([
      ...drifts.items.map(({ node }): [string, string] => [node.patientId, [node.kind, node.fault ?? ''].join(' ')]),
      ...failures.items.map(({ node }): [string, string] => [node.patientId, `failed ${node.code} ${node.detail}`]),
    ]);
  }
});

describe('a worker', () => {
  const PATIENTS = 500;
  const year = new Date().getFullYear();
  const parts = new AsyncDisposableStack();
  let payer: SimulatedPayer;
  let app: App;
  let environment: Readonly<Record<string, string>>;

  before(async () => {
    await databaseReady;
    payer = parts.use(await startPayer());
    const secret = () => randomBytes(32).toString('base64');
    environment = {
      NODE_ENV: 'test',
      CAREFLEX_KEYS: `1:${secret()}`,
      CAREFLEX_SECRET: secret(),
      BENEFITS_API_URL: payer.config.BENEFITS_API_URL ?? '',
      BENEFITS_SYNC_PER_SECOND: '10000',
    };
    const config = readConfig(environment);
    await install(urls.admin, LOGIN, { config, log: createLog('silent') });
    app = parts.use(await createApp(config, { databaseUrl: urls.login, log: createLog('error') }));
    await seed();
  });
  after(() => parts[Symbol.asyncDispose]());

  const scope = (): Scope => app.scope(SYSTEM, { id: randomUUID(), ip: null, userAgent: 'test' });
  const begin = () => transact(scope(), (scope) => scope.jobs.enqueue(scope, 'benefits-sync', {}));

  /** Every tenth has spent $10 that nobody here knows of. */
  async function seed(): Promise<void> {
    const members = Array.from({ length: PATIENTS }, (_, n) => `member-${n}`);
    const records = members.map((externalId) => ({ externalId, firstName: 'Ada', lastName: 'Lovelace' }));
    await care.importPatients(scope(), records);
    await asSuperuser(
      `with made as (
         insert into benefits (id, patient_id, type, unit, period_start, period_end, time_zone, external_plan_id, allocated,
           created_at, updated_at)
         select gen_random_uuid(), id, 'TRANSPORTATION', 'MONEY', $1, $2, 'UTC', 'plan-' || external_id, 200, now(), now()
         from patients where external_id like 'member-%' returning id)
       insert into benefit_entries (id, benefit_id, unit, kind, amount, service_date, recorded_by, recorded_role, recorded_at)
       select gen_random_uuid(), id, 'MONEY', 'ALLOCATE', 200, $1, $3, 'system', now() from made`,
      [`${year}-01-01`, `${year}-12-31`, SYSTEM.id],
    );
    const told = members.map((member, n) => ({
      member,
      plans: [
        {
          id: `plan-${member}`,
          start: `${year}-01-01`,
          end: `${year}-12-31`,
          benefits: [{ code: 'TRANSPORTATION', allowed: '200', used: n % 10 === 0 ? '10' : '0' }],
        },
      ],
    }));
    await payer.control('POST members', told);
  }

  async function startWorker(): Promise<ChildProcess> {
    const child = fork(fileURLToPath(new URL('support/delivering-worker.ts', import.meta.url)), [], { execArgv: [] });
    parts.defer(() => void child.kill('SIGKILL'));
    child.send({ databaseUrl: urls.login, environment, offsetMs: 0 } satisfies WorkerSettings);
    await once(child, 'message');
    return child;
  }

  async function killed(child: ChildProcess): Promise<void> {
    const gone = once(child, 'exit');
    child.kill('SIGKILL');
    await gone;
  }

  interface Run {
    readonly cursor: string | null;
    readonly synced: number;
    readonly failed: number;
    readonly drifted: number;
    readonly waiting_since: Date | null;
    readonly finished_at: Date | null;
  }

  /** Waits until the newest run is so far. */
  async function until(isSo: (run: Run) => boolean): Promise<Run> {
    for (;;) {
      const [run] = await asSuperuser<Run & Record<string, unknown>>(
        'select * from benefit_sync_runs order by id desc limit 1',
      );
      if (run && isSo(run)) return run;
      await sleep(10);
    }
  }

  const kept = async () =>
    (
      await asSuperuser<{ snapshots: number; drifts: number; entries: number; told: number }>(
        `select (select count(*)::int from benefit_snapshots) as snapshots, (select count(*)::int from benefit_drifts) as drifts,
           (select count(*)::int from benefit_entries) as entries,
           (select count(*)::int from events where topic = 'benefit.drifted') as told`,
      )
    )[0];

  it('that is killed in the middle is followed by another one, which goes on where it was: each patient counts once', async () => {
    await payer.settings({ delayMs: 30 });
    const first = await startWorker();
    await begin();
    const stood = await until(({ cursor }) => cursor !== null);
    await killed(first);
    assert.equal(stood.finished_at, null);
    await payer.settings({ delayMs: 0 });
    const second = await startWorker();
    const { synced, failed, drifted } = await until(({ finished_at }) => finished_at !== null);
    assert.deepEqual({ synced, failed, drifted }, { synced: PATIENTS, failed: 0, drifted: PATIENTS / 10 });
    const once = { snapshots: PATIENTS, drifts: PATIENTS / 10, entries: PATIENTS, told: PATIENTS / 10 };
    assert.deepEqual(await kept(), once);
    const { byKind } = await payer.counts();
    assert.ok(byKind.eligibility >= PATIENTS && byKind.eligibility <= PATIENTS + 400, String(byKind.eligibility));
    await killed(second);
  });

  it('waits for a payer that is gone, and asks seldom; the next job goes on', async () => {
    const before = await kept();
    const worker = await startWorker();
    await payer.settings({ outage: true });
    const { byKind: asked } = await payer.counts();
    await begin();
    const waiting = await until(({ waiting_since }) => waiting_since !== null);
    assert.deepEqual([waiting.synced, waiting.failed], [0, 0]);
    const { byKind } = await payer.counts();
    assert.ok(byKind.eligibility - asked.eligibility <= 60, String(byKind.eligibility - asked.eligibility));
    await payer.settings({ outage: false });
    await killed(worker);
    await startWorker();
    await begin();
    const { synced, failed } = await until(({ finished_at }) => finished_at !== null);
    assert.deepEqual([synced, failed], [PATIENTS, 0]);
    assert.deepEqual(await kept(), before);
  });
});
