import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type Clock, systemClock } from '@careflex/core/platform/clock';
import { createApp } from '@careflex/core/app';
import { urls } from '@careflex/core/testing';
import { startApi } from '../src/main.ts';
import { dataOf, useApi } from './support/api.ts';
import { openClient } from './support/subscriber.ts';

const api = useApi({ presenceBeatMs: 50 });

interface Changed {
  readonly agentPresenceChanged: { userId: string; name: string; status: string; patientId: string | null };
}
const CHANGED = 'subscription { agentPresenceChanged { userId name status patientId } }';
const TRACK = 'mutation($status: AgentStatus!) { trackAgent(status: $status) { userId status } }';
interface Online {
  readonly onlineAgents: { readonly userId: string }[];
}
const ONLINE = '{ onlineAgents { userId name status patientId since } }';

async function whoIsOnline(): Promise<string[]> {
  const online = dataOf<{ userId: string }[]>(await api.graphql(ONLINE, {}, { as: 'admin' }), 'onlineAgents');
  return online.map(({ userId }) => userId);
}

describe('presence', () => {
  test('is seen by colleagues as it changes, and in a list', async () => {
    const [agent, colleague] = [await api.newPerson('agent'), openClient(api.url, (await api.person('admin')).token)];
    const changes = colleague.follow<Changed>(CHANGED);
    const first = changes.next();
    await colleague.client.iterate({ query: '{ me { id } }' }).next();
    const mine = openClient(api.url, agent.token);
    await mine.client.iterate({ query: TRACK, variables: { status: 'AVAILABLE' } }).next();
    const expected = { userId: agent.id, name: 'Some agent', status: 'AVAILABLE', patientId: null };
    assert.deepEqual((await first).value, { agentPresenceChanged: expected });
    assert.ok((await whoIsOnline()).includes(agent.id));
    await mine.client.iterate({ query: TRACK, variables: { status: 'OFFLINE' } }).next();
    assert.deepEqual((await changes.next()).value.agentPresenceChanged.status, 'OFFLINE');
    assert.ok(!(await whoIsOnline()).includes(agent.id));
    await Promise.all([mine.client.dispose(), colleague.client.dispose()]);
  });

  test('lasts as long as the socket does, and ends soon after a client that was lost', async () => {
    let ahead = 0;
    const clock: Clock = { now: () => systemClock.now().add({ seconds: ahead }) };
    await using app = await createApp(api.app.config, { databaseUrl: urls.login, log: api.app.log, clock });
    const later = await startApi(app, { port: 0, host: '127.0.0.1', presenceBeatMs: 50 });
    const [agent, watcher] = [await api.newPerson('agent'), openClient(later.url, (await api.person('admin')).token)];
    const changes = watcher.follow<Changed>(CHANGED);
    const first = changes.next();
    await watcher.client.iterate({ query: '{ me { id } }' }).next();
    const mine = openClient(later.url, agent.token);
    await mine.client.iterate({ query: TRACK, variables: { status: 'BUSY' } }).next();
    assert.equal((await first).value.agentPresenceChanged.status, 'BUSY');

    ahead = 600;
    const online = async () => (await mine.follow<Online>(ONLINE).next()).value as Online;
    while (!(await online()).onlineAgents.some(({ userId }) => userId === agent.id)) continue;
    mine.client.terminate();
    ahead = 630;
    // Nothing was said of the agent in between.
    const gone = (await changes.next()).value.agentPresenceChanged;
    assert.deepEqual([gone.userId, gone.status], [agent.id, 'OFFLINE']);
    await watcher.client.dispose();
    await later.close();
  });
});
