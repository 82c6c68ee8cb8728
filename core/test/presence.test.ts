import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as care from '#care';
import * as presence from '#presence';
import * as accounts from '#accounts';
import { Forbidden, InvalidInput, NotFound } from '#platform/errors';
import { asSystem, type Scope, transact } from '#platform/scope';
import { later, newUser, signedIn, trail } from './support/accounts.ts';
import { aPatient, eventsSoFar } from './support/patients.ts';
import { as, asSuperuser, committed, sandboxed } from './support/testing.ts';
import { assertSame } from './support/same.ts';

const NOBODY = '019f0000-0000-7000-8000-000000000000';

/** An agent at work with so many sessions. */
async function agentWith(scope: Scope, sessions: number): Promise<{ id: string; sessions: Scope[]; ids: string[] }> {
  const user = await newUser(scope);
  const signed = [];
  for (let i = 0; i < sessions; i++) signed.push(await signedIn(scope, user));
  return { id: user.id, sessions: signed.map((it) => it.scope), ids: signed.map(({ actor }) => actor.sessionId ?? '') };
}

/** What was told of the agent, oldest first. */
async function told(scope: Scope, userId: string): Promise<string[]> {
  const events = await eventsSoFar(scope);
  return events.flatMap(({ topic, payload }) => {
    const { userId: whose, status } = payload as presence.AgentPresenceChanged;
    return topic === 'agent.presence_changed' && whose === userId ? status : [];
  });
}

async function statusOf(scope: Scope, userId: string): Promise<string> {
  const online = await presence.onlineAgents(scope);
  return online.find((agent) => agent.userId === userId)?.status ?? 'OFFLINE';
}

const keep = (scope: Scope, ids: readonly string[] = []) => presence.keepPresence(asSystem(scope), ids);

describe('trackAgent', () => {
  test(
    'tells every colleague who is at work, since when, and with which patient',
    sandboxed(async (scope) => {
      const {
        id,
        sessions: [mine],
      } = await agentWith(scope, 1);
      const { id: patientId } = await care.createPatient(as(scope, 'system'), aPatient());
      const tracked = await presence.trackAgent(mine as Scope, { status: 'BUSY', patientId });
      const expected = { userId: id, name: 'Ada Byron', status: 'BUSY', patientId, since: scope.now };
      assertSame(tracked, expected);
      assertSame(await presence.onlineAgents(as(scope, 'agent')), [expected]);
      assert.deepEqual(await told(scope, id), ['BUSY']);
    }),
  );

  test(
    'repeated is a sign of life, and no news',
    sandboxed(async (scope) => {
      const {
        id,
        sessions: [mine],
      } = await agentWith(scope, 1);
      await presence.trackAgent(mine as Scope, { status: 'AVAILABLE' });
      const again = await presence.trackAgent(later(mine as Scope, { seconds: 15 }), { status: 'AVAILABLE' });
      assertSame(again.since, scope.now);
      await keep(later(scope, { seconds: 30 }));
      assert.equal(await statusOf(later(as(scope, 'agent'), { seconds: 30 }), id), 'AVAILABLE');
      assert.deepEqual(await told(scope, id), ['AVAILABLE']);
    }),
  );

  test(
    'of several sessions the status that was told last counts, and the agent leaves with the last session',
    sandboxed(async (scope) => {
      const {
        id,
        sessions: [first, second],
      } = await agentWith(scope, 2);
      const at = (scope: Scope | undefined, seconds: number) => later(scope as Scope, { seconds });
      await presence.trackAgent(at(first, 0), { status: 'AVAILABLE' });
      await presence.trackAgent(at(second, 1), { status: 'AWAY' });
      await presence.trackAgent(at(first, 2), { status: 'AVAILABLE' });
      assert.equal(await statusOf(at(as(scope, 'agent'), 2), id), 'AWAY');
      const left = await presence.trackAgent(at(second, 3), { status: 'OFFLINE' });
      assert.equal(left.status, 'AVAILABLE');
      await presence.trackAgent(at(first, 4), { status: 'OFFLINE' });
      assert.deepEqual(await presence.onlineAgents(at(as(scope, 'agent'), 4)), []);
      assert.deepEqual(await told(scope, id), ['AVAILABLE', 'AWAY', 'AVAILABLE', 'OFFLINE']);
    }),
  );

  test(
    'refuses a patient who does not exist, a status that is none, and whoever is no staff',
    sandboxed(async (scope) => {
      const {
        id,
        sessions: [mine],
      } = await agentWith(scope, 1);
      const track = (scope: Scope, input: unknown) => presence.trackAgent(scope, input as presence.Tracked);
      await assert.rejects(track(mine as Scope, { status: 'BUSY', patientId: NOBODY }), NotFound);
      await assert.rejects(track(mine as Scope, { status: 'BUSY', patientId: 'x' }), NotFound);
      await assert.rejects(track(mine as Scope, { status: 'ASLEEP' }), InvalidInput);
      for (const role of ['patient', 'auditor'] as const) {
        await assert.rejects(track(as(scope, role), { status: 'AVAILABLE' }), Forbidden);
        await assert.rejects(presence.onlineAgents(as(scope, role)), Forbidden);
        await assert.rejects(presence.followAgents(as(scope, role)), Forbidden);
        await assert.rejects(presence.keepPresence(as(scope, role), []), Forbidden);
      }
      assert.equal(await statusOf(as(scope, 'agent'), id), 'OFFLINE');
    }),
  );

  test(
    'cannot tell in another agent’s name, whatever an agent gets the database to run',
    sandboxed(async (scope) => {
      const { id, ids } = await agentWith(scope, 1);
      const other = await signedIn(scope, await newUser(scope));
      const row = {
        session_id: ids[0] as string,
        user_id: id,
        status: 'AWAY' as const,
        patient_id: null,
        since: scope.now.toString(),
        expires_at: scope.now.toString(),
        present: true,
      };
      const forge = transact(other.scope, ({ db }) => db.insertInto('presences').values(row).execute());
      await assert.rejects(forge, /row-level security/);
    }),
  );
});

describe('keepPresence', () => {
  test(
    'takes whoever gives no sign of life for gone within 30 seconds',
    sandboxed(async (scope) => {
      const [lost, held] = [await agentWith(scope, 1), await agentWith(scope, 1)];
      for (const agent of [lost, held]) await presence.trackAgent(agent.sessions[0] as Scope, { status: 'AVAILABLE' });
      for (const seconds of [5, 10, 15, 20, 25]) await keep(later(scope, { seconds }), held.ids);
      const afterwards = later(as(scope, 'agent'), { seconds: 25 });
      assert.equal(await statusOf(afterwards, lost.id), 'OFFLINE');
      assert.equal(await statusOf(afterwards, held.id), 'AVAILABLE');
      assert.deepEqual(await told(scope, lost.id), ['AVAILABLE', 'OFFLINE']);
      assert.deepEqual(await told(scope, held.id), ['AVAILABLE']);
    }),
  );

  test(
    'brings a session back that was gone only because nobody could tell',
    sandboxed(async (scope) => {
      const { id, sessions, ids } = await agentWith(scope, 1);
      await presence.trackAgent(sessions[0] as Scope, { status: 'BUSY' });
      await keep(later(scope, { seconds: 60 }));
      await keep(later(scope, { seconds: 61 }), ids);
      assert.equal(await statusOf(later(as(scope, 'agent'), { seconds: 62 }), id), 'BUSY');
      assert.deepEqual(await told(scope, id), ['BUSY', 'OFFLINE', 'BUSY']);
    }),
  );

  test(
    'does not bring back a session that has ended',
    sandboxed(async (scope) => {
      const { id, sessions, ids } = await agentWith(scope, 1);
      await presence.trackAgent(sessions[0] as Scope, { status: 'BUSY' });
      await accounts.logout(sessions[0] as Scope);
      await keep(later(scope, { seconds: 10 }), ids);
      await keep(later(scope, { seconds: 25 }), ids);
      assert.equal(await statusOf(later(as(scope, 'agent'), { seconds: 25 }), id), 'OFFLINE');
      assert.deepEqual(await told(scope, id), ['BUSY', 'OFFLINE']);
    }),
  );

  test(
    'tells of an end once, however many processes notice it at once',
    committed(async (scope) => {
      const { id, sessions } = await agentWith(scope, 3);
      for (const mine of sessions) await presence.trackAgent(mine, { status: 'AVAILABLE' });
      await Promise.all([1, 2, 3, 4].map(() => keep(later(scope, { seconds: 25 }))));
      assert.deepEqual(await told(scope, id), ['AVAILABLE', 'OFFLINE']);
      assert.deepEqual(
        (await trail(id)).filter((entry) => entry.startsWith('agent.')),
        ['agent.track SUCCESS', 'agent.lose SUCCESS'],
      );
      await asSuperuser('delete from presences');
    }),
  );
});
