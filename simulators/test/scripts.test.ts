import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { application, clientOf, control, OURS, PATIENT, simulate, until } from './support/world.ts';

const text = (body: string, to = PATIENT) => ({ to, from: OURS, body });

/** What the other side has after a send that failed. */
async function attempt(script: object) {
  await using simulators = await simulate();
  await control(simulators.url, 'POST scripts', script);
  const client = clientOf(simulators.url);
  const outcome = await client.messages.create(text('x')).then(
    ({ sid }) => sid,
    (thrown: { status?: number; code?: number | string }) => thrown.code ?? thrown.status,
  );
  const found = await client.messages.list({ to: PATIENT });
  return { outcome, taken: found.length };
}

describe('a script', () => {
  for (const code of [21211, 21610, 21614]) {
    it(`refuses a send with ${code}`, async () => {
      assert.deepEqual(await attempt({ error: code }), { outcome: code, taken: 0 });
    });
  }

  for (const [status, code] of [
    [429, 20429],
    [500, 20500],
    [503, 20503],
  ] as const) {
    it(`answers ${status}, with the message taken or not`, async () => {
      assert.deepEqual(await attempt({ reply: status }), { outcome: code, taken: 0 });
      assert.deepEqual(await attempt({ reply: status, taken: true }), { outcome: code, taken: 1 });
    });
  }

  it('breaks the connection instead of an answer, with the message taken or not', async () => {
    assert.deepEqual(await attempt({ reply: 'drop' }), { outcome: 'ECONNRESET', taken: 1 });
    assert.deepEqual(await attempt({ reply: 'drop', taken: false }), { outcome: 'ECONNRESET', taken: 0 });
  });

  it('never answers, though the message goes out', async () => {
    await using simulators = await simulate();
    await control(simulators.url, 'POST scripts', { reply: 'never' });
    const client = clientOf(simulators.url);
    const never = client.messages.create(text('x')).catch((thrown: unknown) => thrown);
    const found = await until(async () => (await client.messages.list({ to: PATIENT }))[0]);
    assert.equal(found.body, 'x');
    await simulators[Symbol.asyncDispose]();
    assert.equal(((await never) as { code: string }).code, 'ECONNRESET');
  });

  it('answers late, with the message long taken', async () => {
    await using simulators = await simulate();
    await control(simulators.url, 'POST scripts', { delayMs: 3_600_000 });
    const client = clientOf(simulators.url);
    let answered = false;
    const late = client.messages.create(text('x')).then(() => (answered = true));
    await until(async () => (await client.messages.list({ to: PATIENT }))[0]);
    assert.equal(answered, false);
    // The wait ends with the era.
    await control(simulators.url, 'POST reset');
    assert.equal(await late, true);
  });

  it('is for one number, one kind, and so many messages', async () => {
    await using simulators = await simulate();
    const client = clientOf(simulators.url);
    await control(simulators.url, 'POST scripts', [
      { to: PATIENT, error: 21610, times: 2 },
      { kind: 'call', error: 21211 },
    ]);
    const send = (to: string) =>
      client.messages.create(text('x', to)).then(
        () => 'taken',
        ({ code }: { code: number }) => code,
      );
    const seen: unknown[] = [];
    for (const to of ['+12025550124', PATIENT, PATIENT, PATIENT]) seen.push(await send(to));
    assert.deepEqual(seen, ['taken', 21610, 21610, 'taken']);
    const left = (await control(simulators.url, 'GET scripts')) as { kind?: string }[];
    assert.deepEqual(
      left.map(({ kind }) => kind),
      ['call'],
    );
    await control(simulators.url, 'DELETE scripts');
    assert.deepEqual(await control(simulators.url, 'GET scripts'), []);
  });

  it('comes in the order in which it was asked for, whether for one or for any', async () => {
    await using simulators = await simulate();
    const client = clientOf(simulators.url);
    await control(simulators.url, 'POST scripts', [
      { error: 21211 },
      { to: PATIENT, error: 21610 },
      { error: 21614, times: null },
    ]);
    const codes: number[] = [];
    for (let count = 0; count < 4; count++) {
      await client.messages.create(text('x')).catch(({ code }: { code: number }) => codes.push(code));
    }
    assert.deepEqual(codes, [21211, 21610, 21614, 21614]);
  });

  it('that makes no sense is refused, with what is wrong', async () => {
    await using simulators = await simulate();
    await assert.rejects(control(simulators.url, 'POST scripts', { times: 0, speed: 'low' }), (thrown: object) => {
      const { status, answer } = thrown as { status: number; answer: { errors: { path: string }[] } };
      assert.deepEqual([status, answer.errors.map(({ path }) => path)], [400, ['times', '']]);
      return true;
    });
  });
});

describe('a scripted delivery', () => {
  for (const [outcome, errorCode, steps] of [
    ['undelivered', 30003, ['sent', 'undelivered']],
    ['undelivered', 30005, ['sent', 'undelivered']],
    ['failed', 30006, ['failed']],
  ] as const) {
    it(`ends ${outcome} with ${errorCode}`, async () => {
      await using simulators = await simulate();
      await using app = await application();
      await control(simulators.url, 'POST scripts', { outcome, errorCode });
      const client = clientOf(simulators.url);
      const { sid } = await client.messages.create({ ...text('x'), statusCallback: `${app.url}/status` });
      const posted = await app.posts(steps.length);
      assert.deepEqual(
        posted.map(({ form }) => form['MessageStatus']),
        steps,
      );
      assert.equal(posted.at(-1)?.form['ErrorCode'], String(errorCode));
      const { status, errorCode: shown } = await client.messages(sid).fetch();
      assert.deepEqual([status, shown], [outcome, errorCode]);
    });
  }

  it('reports twice, in another order, or late, as it was told', async () => {
    await using simulators = await simulate();
    await using app = await application();
    const told = ['delivered', 'sent', 'delivered', 'delivered'];
    await control(simulators.url, 'POST scripts', { callbacks: told, callbackDelayMs: 1 });
    const { sid } = await clientOf(simulators.url).messages.create({
      ...text('x'),
      statusCallback: `${app.url}/status`,
    });
    const posted = await app.posts(4);
    assert.deepEqual(
      posted.map(({ path, form }) => [path, form['MessageStatus']]),
      told.map((status) => ['/status', status]),
    );
    assert.equal((await clientOf(simulators.url).messages(sid).fetch()).status, 'delivered');
  });

  it('reports nothing', async () => {
    await using simulators = await simulate();
    await using app = await application();
    const client = clientOf(simulators.url);
    await control(simulators.url, 'POST scripts', { callbacks: [] });
    const silent = await client.messages.create({ ...text('x'), statusCallback: `${app.url}/status` });
    await client.messages.create({ ...text('y'), statusCallback: `${app.url}/status` });
    const posted = await app.posts(2);
    assert.ok(posted.every(({ form }) => form['MessageSid'] !== silent.sid));
    assert.equal((await client.messages(silent.sid).fetch()).status, 'delivered');
  });

  it('is counted where the application did not answer', async () => {
    await using simulators = await simulate();
    const gone = await application();
    await gone[Symbol.asyncDispose]();
    const client = clientOf(simulators.url);
    const { sid } = await client.messages.create({ ...text('x'), statusCallback: `${gone.url}/status` });
    const callbacks = await until(async () => {
      const { callbacks } = (await control(simulators.url, 'GET counts')) as { callbacks: { unanswered: number } };
      return callbacks.unanswered === 2 ? callbacks : undefined;
    });
    assert.deepEqual(callbacks, { answered: 0, unanswered: 2 });
    assert.equal((await client.messages(sid).fetch()).status, 'delivered');
  });
});

describe('faults by chance', () => {
  const FAULTS = { busy: 0.2, drop: 0.1, undelivered: 0.2 };

  async function outcomesWith(seed: string, order: readonly number[]) {
    await using simulators = await simulate({ seed });
    await control(simulators.url, 'POST faults', FAULTS);
    const client = clientOf(simulators.url);
    const outcomes = new Map<number, unknown>();
    for (const number of order) {
      const sent = await client.messages.create(text('x', `+120255501${number}`)).catch((thrown: unknown) => thrown);
      const { sid, code } = sent as { sid?: string; code?: unknown };
      const status = sid === undefined ? undefined : (await client.messages(sid).fetch()).status;
      outcomes.set(number, status ?? code);
    }
    return [...outcomes].toSorted(([a], [b]) => a - b).map(([, outcome]) => outcome);
  }

  it('follow from the seed and the number, not from who came first', async () => {
    const numbers = Array.from({ length: 40 }, (_, index) => index + 10);
    const one = await outcomesWith('chance', numbers);
    assert.deepEqual(await outcomesWith('chance', numbers.toReversed()), one);
    assert.notDeepEqual(await outcomesWith('another chance', numbers), one);
    assert.deepEqual(new Set(one), new Set([20429, 'ECONNRESET', 'undelivered', 'delivered']));
  });

  it('befall one number anew with each message, and cannot be more than certain', async () => {
    await using simulators = await simulate();
    await control(simulators.url, 'POST faults', { busy: 0.5 });
    const client = clientOf(simulators.url);
    const seen = new Set<string>();
    for (let count = 0; count < 20; count++) {
      seen.add(
        await client.messages.create(text('x')).then(
          () => 'taken',
          () => 'busy',
        ),
      );
    }
    assert.deepEqual(seen, new Set(['taken', 'busy']));
    await assert.rejects(control(simulators.url, 'POST faults', { busy: 0.6, down: 0.6 }), { status: 400 });
  });
});
