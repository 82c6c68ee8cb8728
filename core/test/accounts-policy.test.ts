import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, test } from 'node:test';
import { sql } from 'kysely';
import * as accounts from '#accounts';
import { Forbidden, NotFound } from '#platform/errors';
import { type Actor, keyCovers, type Role, type Scope, transact } from '#platform/scope';
import { newEmail, newUser, PASSWORD, signedIn } from './support/accounts.ts';
import { actor, as, asSuperuser, committed, sandboxed } from './support/testing.ts';

const ROLES: readonly Role[] = ['admin', 'agent', 'auditor', 'patient', 'system'];
const ADMINS = ['admin', 'system'];
const EVERYBODY = ['admin', 'agent', 'auditor', 'patient'];
const id = randomUUID();

/** Every function of the face that asks who may, the roles that may, and a call that goes no further than the answer. */
const MATRIX: Record<string, { may: readonly string[]; call: (scope: Scope) => Promise<unknown> }> = {
  createUser: {
    may: ADMINS,
    call: (scope) => accounts.createUser(scope, { email: newEmail(), displayName: 'A', role: 'agent' }),
  },
  users: { may: ADMINS, call: (scope) => accounts.users(scope) },
  updateUser: { may: ADMINS, call: (scope) => accounts.updateUser(scope, id, { disabled: true }) },
  resetPassword: { may: ADMINS, call: (scope) => accounts.resetPassword(scope, id, { newPassword: PASSWORD }) },
  revokeUserSessions: { may: ADMINS, call: (scope) => accounts.revokeUserSessions(scope, id) },
  createApiKey: {
    may: ADMINS,
    call: (scope) => accounts.createApiKey(scope, { userId: id, name: 'k', scopes: ['patient'], expiresInDays: 1 }),
  },
  apiKeys: { may: ADMINS, call: (scope) => accounts.apiKeys(scope) },
  revokeApiKey: { may: ADMINS, call: (scope) => accounts.revokeApiKey(scope, id) },
  linkIdentity: {
    may: ADMINS,
    call: (scope) => accounts.linkIdentity(scope, id, { issuer: 'https://issuer.example', subject: 's' }),
  },
  unlinkIdentity: {
    may: ADMINS,
    call: (scope) => accounts.unlinkIdentity(scope, { issuer: 'https://issuer.example', subject: 's' }),
  },
  userNames: { may: ['admin', 'agent', 'system'], call: (scope) => accounts.userNames(scope, [id]) },
  sessions: { may: EVERYBODY, call: (scope) => accounts.sessions(scope) },
  revokeSession: { may: EVERYBODY, call: (scope) => accounts.revokeSession(scope, id) },
  requestContactChange: { may: ['patient'], call: (scope) => accounts.requestContactChange(scope, {}) },
  confirmContactChange: {
    may: ['patient'],
    call: (scope) => accounts.confirmContactChange(scope, { verificationId: id, code: '123456' }),
  },
  closePatientAccount: { may: ['system'], call: (scope) => accounts.closePatientAccount(scope, id) },
  erasePatientAccount: { may: ['system'], call: (scope) => accounts.erasePatientAccount(scope, id) },
};

const someone = (role: Role): Actor => actor(role, role === 'patient' ? { patientId: randomUUID() } : {});
const isRefused = (call: Promise<unknown>) =>
  call.then(
    () => false,
    (thrown) => thrown instanceof Forbidden,
  );

describe('policy', () => {
  for (const [name, { may, call }] of Object.entries(MATRIX)) {
    test(
      `lets ${may.join(', ')} call ${name}, and nobody else`,
      sandboxed(async (scope) => {
        const allowed = [];
        for (const role of ROLES) if (!(await isRefused(call(as(scope, someone(role)))))) allowed.push(role);
        assert.deepEqual(allowed.toSorted(), may.toSorted());
      }),
    );
  }

  test(
    'knows nothing by an id that can be none',
    sandboxed(async (scope) => {
      const admin = as(scope, 'admin');
      const calls = [
        () => accounts.updateUser(admin, 'x', { disabled: true }),
        () => accounts.resetPassword(admin, 'x', { newPassword: PASSWORD }),
        () => accounts.revokeUserSessions(admin, 'x'),
        () => accounts.revokeSession(admin, 'x'),
        () => accounts.revokeApiKey(admin, 'x'),
        () => accounts.linkIdentity(admin, 'x', { issuer: 'https://issuer.example', subject: 's' }),
      ];
      for (const call of calls) await assert.rejects(call(), NotFound);
      assert.equal((await accounts.userNames(admin, ['x'])).size, 0);
    }),
  );

  test(
    'has a refusal on record',
    committed(async (scope) => {
      const agent = actor('agent');
      await assert.rejects(accounts.users(as(scope, agent)), Forbidden);
      const entries = await asSuperuser('select action, outcome from audit_entries where user_id = $1', [agent.id]);
      assert.deepEqual(entries, [{ action: 'user.list', outcome: 'DENIED' }]);
    }),
  );
});

describe('an API key', () => {
  const make = async (scope: Scope, more: Partial<accounts.NewApiKey> = {}) => {
    const user = await newUser(scope, { role: 'admin', password: null });
    const input = { userId: user.id, name: 'reports', scopes: ['user.list'], expiresInDays: 30, ...more };
    const { key, apiKey } = await accounts.createApiKey(as(scope, 'admin'), input);
    return { key, apiKey, user, scope: as(scope, await accounts.authenticate(scope, { bearer: key })) };
  };

  test(
    'acts as its user, within the actions that it names',
    sandboxed(async (scope) => {
      const { key, apiKey, user, scope: machine } = await make(scope);
      assert.match(key, /^cfk_[0-9a-f]{32}_[\w-]{43}$/);
      assert.deepEqual(machine.actor, {
        id: user.id,
        role: 'admin',
        sessionId: apiKey.id,
        mayOverride: true,
        scopes: ['user.list'],
      });
      await accounts.users(machine);
      await assert.rejects(accounts.apiKeys(machine), Forbidden);
      await assert.rejects(accounts.updateUser(machine, id, { disabled: true }), Forbidden);
      await assert.rejects(accounts.logout(machine), Forbidden);
      await assert.rejects(accounts.me(machine), Forbidden);
      const { scope: knowing, user: itself } = await make(scope, { scopes: ['user.me'] });
      assert.equal((await accounts.me(knowing)).email, itself.email);
    }),
  );

  test(
    'cannot make keys, touch passwords or grant rights, whatever it names',
    sandboxed(async (scope) => {
      const { scope: machine } = await make(scope, { scopes: ['user', 'apiKey', 'session'] });
      const key = { userId: machine.actor.id, name: 'k', scopes: ['patient'], expiresInDays: 1 };
      const another = { email: newEmail(), displayName: 'A', role: 'admin', password: PASSWORD } as const;
      const subject = { issuer: 'https://issuer.example', subject: 's' };
      const { id } = await newUser(scope, { password: null });
      await assert.rejects(accounts.createApiKey(machine, key), Forbidden);
      await assert.rejects(accounts.resetPassword(machine, id, { newPassword: PASSWORD }), Forbidden);
      await assert.rejects(accounts.createUser(machine, another), Forbidden);
      await assert.rejects(accounts.updateUser(machine, id, { role: 'admin' }), Forbidden);
      await assert.rejects(accounts.linkIdentity(machine, id, subject), Forbidden);
      await assert.rejects(accounts.unlinkIdentity(machine, subject), Forbidden);
      await accounts.users(machine);
    }),
  );

  test(
    'cannot change where a patient is reached, nor can a patient without a record',
    sandboxed(async (scope) => {
      const proof = { verificationId: id, code: '123456' };
      for (const who of [actor('patient', { patientId: id, scopes: ['contact'] }), actor('patient')]) {
        await assert.rejects(accounts.requestContactChange(as(scope, who), { email: newEmail() }), Forbidden);
        await assert.rejects(accounts.confirmContactChange(as(scope, who), proof), Forbidden);
      }
    }),
  );

  test('covers an action by name or by a whole leading part of it', () => {
    const covers = (...scopes: string[]) => keyCovers({ ...actor('agent'), scopes }, 'patient.read');
    assert.deepEqual(
      [covers('patient'), covers('patient.read'), covers('patient.re'), covers('pat'), covers('audit'), covers('')],
      [true, true, false, false, false, false],
    );
    assert.equal(covers(), false);
    assert.equal(keyCovers(actor('agent'), 'patient.read'), true);
  });

  test(
    'ends by its date, by being revoked, and with its user',
    sandboxed(async (scope) => {
      const { key: bearer, scope: machine, user } = await make(scope);
      const at = (hours: number) => ({ ...scope, now: scope.now.add({ hours }) });
      await accounts.authenticate(at(24 * 30 - 1), { bearer });
      await assert.rejects(accounts.authenticate(at(24 * 30), { bearer }), { code: 'UNAUTHENTICATED' });
      await accounts.updateUser(as(scope, 'system'), user.id, { disabled: true });
      await assert.rejects(accounts.users(machine), { code: 'UNAUTHENTICATED' });
      await assert.rejects(accounts.authenticate(scope, { bearer }), { code: 'UNAUTHENTICATED' });

      const second = await make(scope);
      await accounts.revokeApiKey(as(scope, 'admin'), second.apiKey.id);
      await assert.rejects(accounts.users(second.scope), { code: 'UNAUTHENTICATED' });
      await assert.rejects(accounts.revokeApiKey(as(scope, 'admin'), second.apiKey.id), { code: 'NOT_FOUND' });
      const listed = await accounts.apiKeys(as(scope, 'admin'), { first: 1 });
      assert.equal(listed.items[0]?.node.id, second.apiKey.id);
      assert.ok(listed.items[0]?.node.revokedAt);
      assert.equal(listed.hasNextPage, true);
    }),
  );

  test(
    'outlives its user’s change of password',
    sandboxed(async (scope) => {
      const user = await newUser(scope);
      const input = { userId: user.id, name: 'nightly', scopes: ['patient'], expiresInDays: 30 };
      const { key } = await accounts.createApiKey(as(scope, 'admin'), input);
      const { scope: mine } = await signedIn(scope, user);
      await accounts.changePassword(mine, { currentPassword: PASSWORD, newPassword: 'marble orchard sunrise' });
      await accounts.authenticate(scope, { bearer: key });
    }),
  );
});

const TABLES = ['users', 'sessions', 'refresh_tokens', 'identities', 'throttles', 'verifications'] as const;
type Table = (typeof TABLES)[number];
type Reach = 'all' | 'own' | 'none';

/** Of two users, each with one session: which rows a role reaches when no code stands before the database. */
const REACH: Record<Role, Partial<Record<Table, Partial<Record<'select' | 'update' | 'delete', Reach>>>>> = {
  admin: {
    users: { select: 'all', update: 'all' },
    sessions: { select: 'all', update: 'all' },
    identities: { select: 'all', delete: 'all' },
  },
  agent: { users: { select: 'own' }, sessions: { select: 'own', update: 'own' } },
  auditor: { users: { select: 'own' }, sessions: { select: 'own', update: 'own' } },
  patient: { users: { select: 'own' }, sessions: { select: 'own', update: 'own' } },
  system: {
    users: { select: 'all', update: 'all' },
    sessions: { select: 'all', update: 'all', delete: 'all' },
    refresh_tokens: { select: 'all', update: 'all', delete: 'all' },
    identities: { select: 'all', delete: 'all' },
    throttles: { select: 'all', update: 'all', delete: 'all' },
    verifications: { select: 'all', update: 'all', delete: 'all' },
  },
};
const UPDATED: Record<Table, string> = {
  users: 'disabled_at = now()',
  sessions: 'ended_at = now()',
  refresh_tokens: 'spent_at = now()',
  identities: 'created_at = now()',
  throttles: 'failures = 0',
  verifications: 'tries = 0',
};

describe('row-level security', () => {
  const statements = (table: Table) => ({
    select: `select from ${table}`,
    // Neither reads a column: so only the policy of the verb itself stands in the way.
    update: `update ${table} set ${UPDATED[table]}`,
    delete: `delete from ${table}`,
  });

  class Undone extends Error {}

  /** How many rows the statement reaches; it is undone at once, since the next one needs them. */
  async function affected(scope: Scope, statement: string): Promise<number> {
    let count = 0;
    await transact(scope, async ({ db }) => {
      const { rows, numAffectedRows } = await sql.raw(statement).execute(db);
      count = Number(numAffectedRows ?? rows.length);
      throw new Undone();
    }).catch((thrown: unknown) => {
      if (!(thrown instanceof Undone) && !/permission denied/.test(String(thrown))) throw thrown;
    });
    return count;
  }

  for (const role of ROLES) {
    test(
      `gives ${role} these rows and no others`,
      sandboxed(async (scope) => {
        const system = as(scope, 'system');
        const [mine, other] = [await newUser(scope), await newUser(scope)];
        for (const user of [mine, other]) {
          await signedIn(scope, user);
          const subject = { issuer: 'https://issuer.example', subject: user.id };
          await accounts.linkIdentity(system, user.id, subject);
          await accounts.requestVerification(scope, { email: user.email });
          await accounts.login(scope, { email: user.email, password: 'wrong' }).catch(() => undefined);
        }
        const me = as(scope, { id: mine.id, role, sessionId: null, patientId: randomUUID() });
        for (const table of TABLES) {
          const total = await affected(system, `select from ${table}`);
          assert.ok(total > 1, table);
          const rows = { none: 0, own: 1, all: total };
          for (const [verb, statement] of Object.entries(statements(table))) {
            const reach = REACH[role][table]?.[verb as 'select'] ?? 'none';
            assert.equal(await affected(me, statement), rows[reach], `${role} ${verb} ${table}`);
          }
        }
      }),
    );
  }

  test(
    'lets nobody but an admin or the system make a user, and an admin no session but an API key',
    sandboxed(async (scope) => {
      const { id } = await newUser(scope, { password: null });
      const inserts = {
        users: `insert into users (id, role, data_key, identity, email_index, email_verified, created_at, updated_at)
          values (gen_random_uuid(), 'admin', '\\x00', '\\x00', '\\x00', true, now(), now())`,
        sessions: `insert into sessions (id, user_id, kind, token_hash, created_at, last_seen_at, idle_expires_at, expires_at)
          values (gen_random_uuid(), '${id}', 'browser', '\\x00', now(), now(), now(), now())`,
        keys: `insert into sessions (id, user_id, kind, token_hash, name, scopes, created_at, last_seen_at, expires_at)
          values (gen_random_uuid(), '${id}', 'api_key', '\\x00', 'k', '{patient}', now(), now(), now())`,
        refresh_tokens: `insert into refresh_tokens select '\\x01', id from sessions limit 1`,
        identities: `insert into identities values ('\\x00', 'https://issuer.example', '${id}', now())`,
        throttles: `insert into throttles values ('\\x00', 1, now(), now())`,
        verifications: `insert into verifications (id, channel, contact_index, code_hash, created_at, expires_at)
          values (gen_random_uuid(), 'sms', '\\x00', '\\x00', now(), now())`,
      };
      const admitted: Record<string, string[]> = {};
      for (const role of ROLES) {
        admitted[role] = [];
        for (const [name, insert] of Object.entries(inserts)) {
          const run = transact(as(scope, role), async ({ db }) => {
            await sql.raw(insert).execute(db);
            throw new Undone();
          });
          await run.catch((thrown: unknown) => {
            if (thrown instanceof Undone) admitted[role]?.push(name);
            else assert.match(String(thrown), /permission denied|row-level security/);
          });
        }
      }
      assert.deepEqual(admitted, {
        admin: ['users', 'keys', 'identities'],
        agent: [],
        auditor: [],
        patient: [],
        system: Object.keys(inserts),
      });
    }),
  );

  test(
    'shows no role but the system a hash of anything',
    sandboxed(async (scope) => {
      for (const role of ROLES.filter((role) => role !== 'system')) {
        for (const query of ['select password from users', 'select token_hash from sessions', 'select * from users']) {
          const read = transact(as(scope, role), async ({ db }) => sql.raw(query).execute(db));
          await assert.rejects(read, /permission denied/, `${role}: ${query}`);
        }
      }
    }),
  );
});
