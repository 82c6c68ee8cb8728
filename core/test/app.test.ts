import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import * as accounts from '../src/accounts.ts';
import { type App, createApp } from '../src/app.ts';
import * as care from '../src/care.ts';
import { install } from '../src/installation.ts';
import { Refused, Unknown } from '../src/integrations/guard.ts';
import { readConfig } from '../src/platform/config.ts';
import { Unauthenticated } from '../src/platform/errors.ts';
import { Cancel } from '../src/platform/job-consumer.ts';
import { JOBS_CHANNEL } from '../src/platform/jobs.ts';
import { type Scope, SYSTEM, transact } from '../src/platform/scope.ts';
import { startWorkers } from '../src/worker.ts';
import { sendVerificationCode } from '../src/workers/verification-code.ts';
import { Arrivals, quiet } from './support/jobs.ts';
import { as, asSuperuser, databaseReady, LOGIN, urls } from './support/testing.ts';

const secret = () => randomBytes(32).toString('base64');
const config = readConfig({ NODE_ENV: 'test', CAREFLEX_KEYS: `1:${secret()}`, CAREFLEX_SECRET: secret() });
const DEMO = { email: 'patient@demo.careflex.test', password: 'careflex-demo' };

describe('the app', () => {
  let app: App;
  let system: Scope;
  before(async () => {
    await databaseReady;
    await install(urls.admin, LOGIN, { config, log: quiet });
    app = await createApp(config, { databaseUrl: urls.login, log: quiet });
    system = app.scope(SYSTEM, { id: 'test', ip: '192.0.2.1', userAgent: 'test' });
    await accounts.seedDemoUsers(system);
  });
  after(() => app[Symbol.asyncDispose]());

  /** What is said on a channel from now on. */
  async function hear(channel: string) {
    const messages = new Arrivals<string>();
    const connected = Promise.withResolvers<void>();
    app.pubsub.subscribe(channel, { message: (payload) => messages.add(payload), reconnected: connected.resolve });
    await connected.promise;
    return messages;
  }

  it('numbers events and tells of them right after the commit, without a worker', async () => {
    const numbers = await hear('events');
    await care.createPatient(as(system, 'agent'), { firstName: 'Ada', lastName: 'Byron' });
    const sequence = Number(await numbers.next());
    const [row] = await asSuperuser<{ newest: number }>('select max(sequence)::int as newest from events');
    assert.equal(row?.newest, sequence);
  });

  it('wakes workers for what somebody waits for', async () => {
    const queues = await hear(JOBS_CHANNEL);
    await accounts.requestVerification(system, { email: DEMO.email });
    assert.equal(await queues.next(), 'verification-code');
  });

  it('sends the code through the integrations when workers run, and leaves no trace of it in the job', async () => {
    const texts = new Arrivals<string>();
    const email = {
      send: async ({ text }: { text: string }) => {
        texts.add(text);
        return 'id';
      },
      async [Symbol.asyncDispose]() {},
    };
    const sms = { ...app.integrations.sms, send: async () => assert.fail('no text was asked for') };
    await using _ = await startWorkers({ ...app, integrations: { ...app.integrations, email, sms } });
    assert.match(await texts.next(), /code is \d{6}/);
    const jobs = await asSuperuser(`select data from pgboss.job where name = 'verification-code'`);
    assert.doesNotMatch(JSON.stringify(jobs), /demo|(?<![0-9a-f])\d{6}"/);
  });

  it('gives up a code that the other side refuses, or may have sent', async () => {
    const answers = [];
    for (const thrown of [new Refused('550'), new Unknown('TIMEOUT')]) {
      const email = { ...app.integrations.email, send: () => Promise.reject(thrown) };
      const payload = await accounts.requestVerification(system, { email: DEMO.email });
      const integrations = { ...app.integrations, email };
      const { signal } = new AbortController();
      answers.push(
        await sendVerificationCode({ scope: system, payload, integrations, config, log: quiet, attempt: 1, signal }),
      );
    }
    assert.deepEqual(answers, [new Cancel('refused with 550'), new Cancel('not known whether sent: TIMEOUT')]);
  });

  it('shuts out the user of a patient who is deleted, in the same transaction', async () => {
    const staff = as(system, 'agent');
    const { viewer } = await accounts.login(system, DEMO);
    const undone = transact(staff, async (scope) => {
      await care.deletePatient(scope, viewer.patientId ?? '');
      throw new Error('undone');
    });
    await assert.rejects(undone, /undone/);
    await accounts.login(system, DEMO);
    await care.deletePatient(staff, viewer.patientId ?? '');
    await assert.rejects(accounts.login(system, DEMO), Unauthenticated);
  });
});
