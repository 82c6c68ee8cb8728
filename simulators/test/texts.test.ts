import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { application, clientOf, control, OURS, PATIENT, simulate, until } from './support/world.ts';

const now = () => Temporal.Instant.from('2026-03-02T15:00:00Z');
const text = (body: string, to = PATIENT) => ({ to, from: OURS, body });

describe('text messages', () => {
  it('sent by the official client are listed as JSON, with ids that follow from the seed', async () => {
    await using simulators = await simulate({ now });
    const { sid, status } = await clientOf(simulators.url).messages.create(text('Your code is 123456 <b>'));
    assert.match(sid, /^SM[0-9a-f]{32}$/);
    assert.equal(status, 'queued');
    assert.deepEqual(await control(simulators.url, 'GET messages'), [
      {
        kind: 'text',
        id: sid,
        at: '2026-03-02T15:00:00Z',
        from: OURS,
        to: PATIENT,
        body: 'Your code is 123456 <b>',
        direction: 'outbound-api',
        status: 'delivered',
        sentAt: '2026-03-02T15:00:00Z',
        errorCode: null,
        reports: [],
      },
    ]);

    await using again = await simulate();
    assert.equal((await clientOf(again.url).messages.create(text('Another'))).sid, sid);
    await using other = await simulate({ seed: 'another' });
    assert.notEqual((await clientOf(other.url).messages.create(text('Another'))).sid, sid);
  });

  it('can be looked up', async () => {
    await using simulators = await simulate({ now });
    const client = clientOf(simulators.url);
    const { sid } = await client.messages.create(text('¿Dónde está el niño? 🙂'.repeat(4)));
    const { to, status, numSegments, direction, dateCreated } = await client.messages(sid).fetch();
    assert.deepEqual(
      { to, status, numSegments, direction, at: dateCreated.toISOString() },
      { to: PATIENT, status: 'delivered', numSegments: '2', direction: 'outbound-api', at: '2026-03-02T15:00:00.000Z' },
    );
    await assert.rejects(client.messages(`SM${'0'.repeat(32)}`).fetch(), { status: 404, code: 20404 });
  });

  it('need the right token, a number, a text and a callback that can be called', async () => {
    await using simulators = await simulate();
    const stranger = clientOf(simulators.url, 'another-token-entirely');
    await assert.rejects(stranger.messages.create(text('x')), { status: 401, code: 20003 });
    const client = clientOf(simulators.url);
    const wrong = [
      [text('x', '5550123'), 21211],
      [text(''), 21602],
      [text('x'.repeat(1_601)), 21617],
      [{ to: PATIENT, body: 'x' }, 21603],
      [{ ...text('x'), statusCallback: 'nowhere' }, 21609],
    ] as const;
    for (const [message, code] of wrong) {
      await assert.rejects(client.messages.create(message), { status: 400, code });
    }
    assert.deepEqual([...simulators.outbox.newestFirst()], []);
  });

  for (const [number, code] of [
    ['+15005550001', 21211],
    ['+15005550004', 21610],
    ['+15005550009', 21614],
  ] as const) {
    it(`to ${number} are refused with ${code}, as at Twilio`, async () => {
      await using simulators = await simulate();
      await assert.rejects(clientOf(simulators.url).messages.create(text('x', number)), { status: 400, code });
    });
  }

  it('report each step of their delivery, signed as the official client checks it', async () => {
    await using simulators = await simulate();
    await using app = await application();
    const statusCallback = `${app.url}/status?kind=code`;
    const { sid } = await clientOf(simulators.url).messages.create({ ...text('x'), statusCallback });
    const posted = await app.posts(2);
    assert.deepEqual(
      posted.map(({ path, form }) => [path, form['MessageSid'], form['MessageStatus'], form['ErrorCode']]),
      [
        ['/status?kind=code', sid, 'sent', undefined],
        ['/status?kind=code', sid, 'delivered', undefined],
      ],
    );
    const reports = await until(() => {
      const sent = simulators.outbox.find(sid);
      return sent?.kind === 'text' && sent.reports.length === 2 ? sent.reports : undefined;
    });
    assert.deepEqual(reports, [
      { status: 'sent', answered: 200 },
      { status: 'delivered', answered: 200 },
    ]);
  });
});

describe('the list of messages', () => {
  it('is filtered by number and date, the newest first, and read page by page', async () => {
    let at = now();
    await using simulators = await simulate({ now: () => at });
    const client = clientOf(simulators.url);
    for (const body of ['1', '2', '3', '4', '5']) {
      await client.messages.create(text(body));
      await client.messages.create(text(`${body} for another`, '+12025550124'));
      at = at.add({ hours: 12 });
    }
    const bodies = async (filter: object) => (await client.messages.list(filter)).map(({ body }) => body);
    assert.deepEqual(await bodies({ to: PATIENT, pageSize: 2 }), ['5', '4', '3', '2', '1']);
    assert.deepEqual(await bodies({ to: PATIENT, limit: 3, pageSize: 2 }), ['5', '4', '3']);
    assert.deepEqual(await bodies({ to: PATIENT, from: '+12025550199' }), []);
    assert.deepEqual(await bodies({ from: OURS, limit: 2 }), ['5 for another', '5']);
    const noon = new Date('2026-03-04T03:00:00Z');
    assert.deepEqual(await bodies({ to: PATIENT, dateSentAfter: noon }), ['5', '4']);
    assert.deepEqual(await bodies({ to: PATIENT, dateSentBefore: noon }), ['4', '3', '2', '1']);
    assert.deepEqual(await bodies({ to: PATIENT, dateSent: new Date('2026-03-03T00:00:00Z') }), ['3', '2']);
  });

  it('has a text that still waits, but not by the date it was sent', async () => {
    await using simulators = await simulate();
    await control(simulators.url, 'POST scripts', { stepMs: 3_600_000 });
    const client = clientOf(simulators.url);
    await client.messages.create(text('x'));
    const [found] = await client.messages.list({ to: PATIENT });
    assert.deepEqual([found?.status, found?.dateSent], ['queued', null]);
    assert.deepEqual(await client.messages.list({ to: PATIENT, dateSentAfter: new Date(0) }), []);
  });

  it('moves nothing between two pages when more arrive', async () => {
    await using simulators = await simulate();
    const client = clientOf(simulators.url);
    for (const body of ['1', '2', '3', '4']) await client.messages.create(text(body));
    const first = await client.messages.page({ to: PATIENT, pageSize: 2 });
    await client.messages.create(text('5'));
    const second = await first.nextPage();
    assert.deepEqual(
      [first, second].flatMap((page) => page?.instances.map(({ body }) => body)),
      ['4', '3', '2', '1'],
    );
  });
});

describe('what is kept', () => {
  it('is the newest, while the counts go on', async () => {
    await using simulators = await simulate({ kept: 3 });
    const client = clientOf(simulators.url);
    const ids: string[] = [];
    for (let count = 1; count <= 8; count++) ids.push((await client.messages.create(text(`${count}`))).sid);
    const kept = (await control(simulators.url, 'GET messages')) as { body: string }[];
    assert.deepEqual(
      kept.map(({ body }) => body),
      ['8', '7', '6'],
    );
    assert.equal((await client.messages.list({ to: PATIENT })).length, 3);
    await assert.rejects(client.messages(ids[0] ?? '').fetch(), { status: 404 });
    const counts = await control(simulators.url, 'GET counts');
    assert.partialDeepStrictEqual(counts, { texts: { taken: 8, refused: 0, byStatus: { delivered: 8 } } });
  });

  it('tells of a text that went to one number twice', async () => {
    await using simulators = await simulate();
    const client = clientOf(simulators.url);
    const send = async (body: string, to = PATIENT) => (await client.messages.create(text(body, to))).sid;
    const once = await send('once');
    await send('once', '+12025550124');
    assert.deepEqual(await control(simulators.url, 'GET repeats'), []);
    const twice = await send('once');
    assert.deepEqual(await control(simulators.url, 'GET repeats'), [{ to: PATIENT, body: 'once', ids: [twice, once] }]);
  });

  it('is found by number, kind and direction', async () => {
    await using simulators = await simulate();
    await clientOf(simulators.url).messages.create(text('ours'));
    await control(simulators.url, 'POST inbound', { from: PATIENT, body: 'theirs' });
    const bodies = async (query: string) =>
      ((await control(simulators.url, `GET messages?${query}`)) as { body: string }[]).map(({ body }) => body);
    const number = encodeURIComponent(PATIENT);
    assert.deepEqual(await bodies(`number=${number}`), ['theirs', 'ours']);
    assert.deepEqual(await bodies(`number=${number}&direction=outbound-api`), ['ours']);
    assert.deepEqual(await bodies(`number=${number}&kind=text&limit=1`), ['theirs']);
    assert.deepEqual(await bodies('kind=call'), []);
  });

  it('is forgotten at a reset, with everything else but the ids', async () => {
    await using simulators = await simulate();
    await using app = await application();
    const client = clientOf(simulators.url);
    await control(simulators.url, 'POST scripts', [{ stepMs: 30 }, { error: 21610, times: null }]);
    const { sid } = await client.messages.create({ ...text('x'), statusCallback: `${app.url}/status` });
    await control(simulators.url, 'POST inbound', { from: PATIENT, body: 'STOP' });
    await control(simulators.url, 'POST reset');
    const again = await client.messages.create(text('y'));
    assert.notEqual(again.sid, sid);
    const [only, ...others] = (await control(simulators.url, 'GET messages')) as { body: string }[];
    assert.deepEqual([only?.body, others], ['y', []]);
    assert.partialDeepStrictEqual(await control(simulators.url, 'GET counts'), { texts: { taken: 1 }, received: 0 });
    assert.deepEqual(app.posted, []);
  });
});
