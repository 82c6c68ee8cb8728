import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, test } from 'node:test';
import * as accounts from '#accounts';
import { Forbidden, InvalidInput, NotFound, Unauthenticated } from '#platform/errors';
import { newEmail, newUser, PASSWORD, signedIn, trail } from './support/accounts.ts';
import { actor, as, asSuperuser, committed, sandboxed, testScope } from './support/testing.ts';

const quick = { password: null };

describe('createUser', () => {
  test(
    'makes staff, on record and with an event',
    committed(async (scope) => {
      const email = newEmail();
      const user = await accounts.createUser(as(scope, 'admin'), {
        email,
        displayName: ' Grace Hopper ',
        role: 'agent',
        mayOverride: true,
      });
      assert.deepEqual(
        { ...user, createdAt: null, updatedAt: null, id: null },
        {
          id: null,
          role: 'agent',
          email,
          displayName: 'Grace Hopper',
          patientId: null,
          mayOverride: true,
          demo: false,
          disabledAt: null,
          createdAt: null,
          updatedAt: null,
        },
      );
      assert.deepEqual(await trail(user.id), ['user.create SUCCESS']);
      const events = await asSuperuser("select payload from events where topic = 'user.created'");
      assert.ok(events.some(({ payload }) => payload.userId === user.id));
    }),
  );

  test(
    'does it once for one idempotency key',
    sandboxed(async (scope) => {
      const admin = as(scope, 'admin');
      const input = {
        email: newEmail(),
        displayName: 'Once',
        role: 'auditor',
        idempotencyKey: 'k1',
        ...quick,
      } as const;
      assert.equal((await accounts.createUser(admin, input)).id, (await accounts.createUser(admin, input)).id);
    }),
  );

  test(
    'refuses an address that is taken, however it is written, with 64 callers at once too',
    committed(async (scope) => {
      const email = newEmail();
      const results = await Promise.allSettled(
        Array.from({ length: 64 }, (_, i) =>
          newUser(scope, { email: i % 2 ? email : ` ${email.toUpperCase()}`, ...quick }),
        ),
      );
      assert.equal(results.filter(({ status }) => status === 'fulfilled').length, 1);
      for (const result of results) {
        assert.ok(result.status === 'fulfilled' || result.reason instanceof accounts.EmailInUse);
      }
    }),
  );

  test(
    'says everything that is wrong at once, and makes no patients',
    sandboxed(async (scope) => {
      const input = { email: 'nobody', displayName: ' ', role: 'patient' as 'agent', password: null };
      await assert.rejects(accounts.createUser(as(scope, 'admin'), input), (thrown) => {
        assert.ok(thrown instanceof InvalidInput);
        assert.deepEqual(thrown.issues.map(({ path }) => path.join('.')).toSorted(), ['displayName', 'email', 'role']);
        return true;
      });
      await assert.rejects(newUser(scope, { role: 'auditor', mayOverride: true, ...quick }), InvalidInput);
    }),
  );
});

describe('users', () => {
  test(
    'are listed page by page, by role if wanted',
    sandboxed(async (scope) => {
      const made = [];
      for (let i = 0; i < 5; i++)
        made.push((await newUser(scope, { role: i === 4 ? 'auditor' : 'agent', ...quick })).id);
      const seen: string[] = [];
      let after: string | null = null;
      do {
        const page: Awaited<ReturnType<typeof accounts.users>> = await accounts.users(as(scope, 'admin'), {
          first: 2,
          after,
        });
        seen.push(...page.items.map(({ node }) => node.id));
        after = page.hasNextPage ? (page.items.at(-1)?.cursor ?? null) : null;
      } while (after !== null);
      assert.deepEqual(seen.slice(-5), made);
      assert.equal(new Set(seen).size, seen.length);
      const auditors = await accounts.users(as(scope, 'admin'), { role: 'auditor' });
      assert.equal(auditors.items.at(-1)?.node.id, made[4]);
      assert.ok(auditors.items.every(({ node }) => node.role === 'auditor'));
    }),
  );
});

describe('updateUser', () => {
  const changes: [string, accounts.UserChanges][] = [
    ['another role', { role: 'auditor' }],
    ['a withdrawn grant', { mayOverride: false }],
    ['disabling', { disabled: true }],
  ];
  for (const [what, change] of changes) {
    test(
      `signs a user out by ${what}`,
      sandboxed(async (scope) => {
        const user = await newUser(scope, { mayOverride: change.mayOverride === false });
        const { scope: mine } = await signedIn(scope, user);
        await accounts.updateUser(as(scope, 'admin'), user.id, change);
        await assert.rejects(accounts.me(mine), Unauthenticated);
      }),
    );
  }

  test(
    'leaves a user signed in who only gains, or when nothing changes',
    sandboxed(async (scope) => {
      const user = await newUser(scope);
      const { scope: mine } = await signedIn(scope, user);
      const { mayOverride } = await accounts.updateUser(as(scope, 'admin'), user.id, { mayOverride: true });
      assert.equal(mayOverride, true);
      await accounts.updateUser(as(scope, 'admin'), user.id, { role: 'agent', disabled: false });
      await accounts.me(mine);
    }),
  );

  test(
    'takes the grant to override along with the role that it belongs to',
    sandboxed(async (scope) => {
      const admin = as(scope, 'admin');
      const { id } = await newUser(scope, { mayOverride: true, ...quick });
      assert.equal((await accounts.updateUser(admin, id, { role: 'auditor' })).mayOverride, false);
      await assert.rejects(accounts.updateUser(admin, id, { mayOverride: true }), InvalidInput);
      assert.equal((await accounts.updateUser(admin, id, { role: 'admin' })).mayOverride, true);
      assert.equal((await accounts.updateUser(admin, id, { role: 'agent' })).mayOverride, false);
    }),
  );

  test(
    'lets nobody change themselves, however they write their id, and knows nobody else',
    sandboxed(async (scope) => {
      const { scope: mine, actor } = await signedIn(scope, await newUser(scope, { role: 'admin' }));
      for (const id of [actor.id, actor.id.toUpperCase()]) {
        await assert.rejects(accounts.updateUser(mine, id, { role: 'agent' }), Forbidden);
        await assert.rejects(accounts.resetPassword(mine, id, { newPassword: PASSWORD }), Forbidden);
      }
      await assert.rejects(accounts.updateUser(mine, randomUUID(), { disabled: true }), NotFound);
    }),
  );
});

describe('two admins who demote each other at once', () => {
  test(
    'leave one of them an admin',
    committed(async (scope) => {
      const pairs = await Promise.all(
        Array.from({ length: 8 }, () =>
          Promise.all([newUser(scope, { role: 'admin', ...quick }), newUser(scope, { role: 'admin', ...quick })]),
        ),
      );
      const demote = (by: accounts.User, whom: accounts.User) =>
        accounts.updateUser(as(scope, actor('admin', { id: by.id })), whom.id, { role: 'agent' });
      for (const [a, b] of pairs) {
        const results = await Promise.allSettled([demote(a, b), demote(b, a)]);
        assert.deepEqual(results.map(({ status }) => status).toSorted(), ['fulfilled', 'rejected']);
        const refusal = results.find((result) => result.status === 'rejected');
        assert.ok(refusal?.reason instanceof Unauthenticated);
      }
    }),
  );
});

describe('resetPassword', () => {
  test(
    'signs the user out and gives them the new password',
    sandboxed(async (scope) => {
      const user = await newUser(scope);
      const { scope: mine } = await signedIn(scope, user);
      await assert.rejects(accounts.resetPassword(as(scope, 'admin'), user.id, { newPassword: 'short' }), InvalidInput);
      await accounts.resetPassword(as(scope, 'admin'), user.id, { newPassword: 'copper meadow station' });
      await assert.rejects(accounts.me(mine), Unauthenticated);
      await accounts.login(scope, { email: user.email, password: 'copper meadow station' });
    }),
  );
});

describe('userNames', () => {
  test(
    'tells staff each other’s names',
    sandboxed(async (scope) => {
      const { id } = await newUser(scope, quick);
      assert.deepEqual(await accounts.userNames(scope, [id, randomUUID()]), new Map([[id, 'Ada Byron']]));
      await assert.rejects(accounts.userNames(as(scope, 'auditor'), [id]), Forbidden);
    }),
  );
});

describe('an account of a patient who left', () => {
  test(
    'is closed, or erased for good',
    committed(async (scope) => {
      const system = as(scope, 'system');
      await accounts.seedDemoUsers(scope);
      const credentials = { email: 'patient@demo.careflex.test', password: accounts.DEMO_PASSWORD };
      const { accessToken, viewer } = await accounts.login(scope, credentials);
      const mine = as(scope, await accounts.authenticate(scope, { bearer: accessToken }));
      await accounts.closePatientAccount(system, viewer.patientId ?? '');
      await assert.rejects(accounts.me(mine), Unauthenticated);
      await assert.rejects(accounts.login(scope, credentials), Unauthenticated);
      await accounts.erasePatientAccount(system, viewer.patientId ?? '');
      const [row] = await asSuperuser('select * from users where id = $1', [viewer.id]);
      for (const column of ['data_key', 'identity', 'email_index', 'password']) assert.equal(row?.[column], null);
      await assert.rejects(accounts.updateUser(as(scope, 'admin'), viewer.id, { disabled: false }), NotFound);
      await accounts.erasePatientAccount(system, randomUUID());
      await assert.rejects(accounts.erasePatientAccount(as(testScope(), 'admin'), viewer.patientId ?? ''), Forbidden);
    }),
  );
});
