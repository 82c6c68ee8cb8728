import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import * as accounts from '#accounts';
import { RateLimited, Unauthenticated } from '#platform/errors';
import type { Scope } from '#platform/scope';
import { open, seal, unwrapDataKey, vault } from '#platform/vault';
import { later, newEmail, newUser, PASSWORD, signedIn, trail } from './support/accounts.ts';
import { as, asSuperuser, committed, sandboxed, testScope, testVault } from './support/testing.ts';

const from = <S extends { request: object }>(scope: S, ip: string | null): S => ({
  ...scope,
  request: { ...scope.request, ip },
});

describe('login', () => {
  test(
    'gives tokens that name the user, however the address is written',
    sandboxed(async (scope) => {
      const user = await newUser(scope);
      const email = `  ${user.email.toUpperCase()} `;
      const { accessToken, viewer, expiresAt } = await accounts.login(scope, { email, password: PASSWORD });
      assert.deepEqual(viewer, {
        id: user.id,
        role: 'agent',
        email: user.email,
        displayName: 'Ada Byron',
        patientId: null,
        mayOverride: false,
      });
      assert.equal(scope.now.until(expiresAt).total('minutes'), 5);
      const actor = await accounts.authenticate(scope, { bearer: accessToken });
      assert.deepEqual({ ...actor, sessionId: null }, { id: user.id, role: 'agent', sessionId: null });
      assert.deepEqual(await accounts.me(as(scope, actor)), viewer);
    }),
  );

  test(
    'answers an unknown user, a wrong password, a disabled user and one without a password alike',
    committed(async (scope) => {
      const [known, disabled, none] = [
        await newUser(scope),
        await newUser(scope),
        await newUser(scope, { password: null }),
      ];
      await accounts.updateUser(as(scope, 'admin'), disabled.id, { disabled: true });
      const answers = await Promise.all(
        [
          { email: known.email, password: 'wrong' },
          { email: newEmail(), password: PASSWORD },
          { email: disabled.email, password: PASSWORD },
          { email: none.email, password: '' },
        ].map((credentials) => accounts.login(scope, credentials).then(String, (thrown: Error) => thrown)),
      );
      for (const answer of answers)
        assert.deepEqual(answer, new Unauthenticated('The e-mail address or the password is wrong'));
      assert.deepEqual((await trail(known.id)).slice(-1), ['session.login FAILURE']);
      assert.deepEqual((await trail(disabled.id)).slice(-1), ['session.login DENIED']);
    }),
  );

  test(
    'records a success with the user as its actor',
    committed(async (scope) => {
      const { actor } = await signedIn(scope, await newUser(scope));
      const rows = await asSuperuser('select user_id, user_role, outcome from audit_entries where resource_id = $1', [
        actor.sessionId,
      ]);
      assert.deepEqual(rows, [{ user_id: actor.id, user_role: 'agent', outcome: 'SUCCESS' }]);
    }),
  );

  test(
    'refuses the demo accounts, old sessions of theirs too, where they are not wanted',
    sandboxed(async (scope) => {
      await accounts.seedDemoUsers(scope);
      await accounts.seedDemoUsers(scope);
      const production = { ...scope, signIn: { ...scope.signIn, demoAccounts: false } };
      for (const { email, role } of accounts.DEMO_USERS) {
        const credentials = { email, password: accounts.DEMO_PASSWORD };
        const { viewer, refreshToken } = await accounts.login(scope, credentials);
        assert.equal(viewer.role, role);
        const { token } = await accounts.loginBrowser(scope, credentials);
        await assert.rejects(accounts.login(production, credentials), Unauthenticated);
        await assert.rejects(accounts.refreshToken(production, refreshToken), Unauthenticated);
        await assert.rejects(accounts.authenticate(production, { cookie: token }), Unauthenticated);
      }
      await assert.rejects(accounts.seedDemoUsers(production), /development only/);
    }),
  );

  test(
    'renews a hash that was made at another cost, and leaves one of today',
    committed(async (scope) => {
      const user = await newUser(scope);
      const stored = async () => {
        const [row] = await asSuperuser<{ password: Buffer; data_key: Buffer }>('select * from users where id = $1', [
          user.id,
        ]);
        assert.ok(row);
        return row;
      };
      const today = await stored();
      await accounts.login(scope, { email: user.email, password: PASSWORD });
      assert.deepEqual((await stored()).password, today.password);

      // The password `violet harbour lantern` at 8 KiB, one pass.
      const old = '$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHRzb21lc2FsdA$CguB4RheAKiMpi/bJVg/lThhynoQwdiS4c4OrOnvxDE';
      const key = unwrapDataKey(testVault.ring, { table: 'users', column: 'data_key', row: user.id }, today.data_key);
      const place = { table: 'users', column: 'password', row: user.id };
      await asSuperuser('update users set password = $2 where id = $1', [user.id, seal(key, place, old)]);
      await accounts.login(scope, { email: user.email, password: PASSWORD });
      const renewed = open(key, place, (await stored()).password).toString();
      assert.match(renewed, /^\$argon2id\$v=19\$m=19456,t=2,p=1\$/);
      await accounts.login(scope, { email: user.email, password: PASSWORD });
    }),
  );
});

describe('a sign-in under way', () => {
  /** How it ends when `meanwhile` is done while the password is being verified. */
  async function outcomeOf(scope: Scope, user: accounts.User, meanwhile: () => Promise<unknown>) {
    const busy = Array.from({ length: 6 }, () => accounts.hashPassword('keeps both turns taken'));
    const attempts = async () => (await asSuperuser('select from throttles')).length;
    const before = await attempts();
    const outcome = accounts
      .login(from(scope, null), { email: user.email, password: PASSWORD })
      .catch((thrown: unknown) => thrown);
    while ((await attempts()) === before) await setImmediate();
    await meanwhile();
    await Promise.all(busy);
    return outcome;
  }

  test(
    'comes to nothing when the password is changed before it is done',
    committed(async (scope) => {
      const user = await newUser(scope);
      const change = () => asSuperuser("update users set password = 'another' where id = $1", [user.id]);
      assert.ok((await outcomeOf(scope, user, change)) instanceof Unauthenticated);
    }),
  );

  test(
    'gives no right that the user loses before it is done',
    committed(async (scope) => {
      const user = await newUser(scope, { role: 'admin' });
      const demote = () => accounts.updateUser(as(scope, 'system'), user.id, { role: 'agent' });
      const tokens = (await outcomeOf(scope, user, demote)) as accounts.SignedIn;
      assert.equal(tokens.viewer.role, 'agent');
      const actor = await accounts.authenticate(scope, { bearer: tokens.accessToken });
      assert.deepEqual([actor.role, actor.mayOverride], ['agent', undefined]);
    }),
  );
});

describe('delays on failure', () => {
  const wrong = (scope: Parameters<typeof accounts.login>[0], email: string) =>
    accounts.login(scope, { email, password: 'wrong' }).then(
      () => assert.fail('signed in'),
      (thrown: unknown) => thrown,
    );

  test(
    'grow, hold for unknown users as well, and let the right password in after them',
    sandboxed(async (scope) => {
      const user = await newUser(scope);
      const unknown = newEmail();
      for (const email of [user.email, unknown]) {
        let now = from(scope, null);
        for (let i = 0; i < 5; i++) assert.ok((await wrong(now, email)) instanceof Unauthenticated);
        for (const seconds of [1, 2, 4, 8]) {
          const blocked = await wrong(now, email);
          assert.ok(blocked instanceof RateLimited);
          assert.equal(blocked.retryAfterSeconds, seconds);
          now = later(now, { seconds });
          assert.ok((await wrong(now, email)) instanceof Unauthenticated);
        }
        await assert.rejects(accounts.login(now, { email, password: PASSWORD }), RateLimited);
        now = later(now, { seconds: 16 });
        if (email === unknown) continue;
        await accounts.login(now, { email, password: PASSWORD });
        assert.ok((await wrong(now, email)) instanceof Unauthenticated, 'a success forgives');
      }
    }),
  );

  test(
    'hold against one address that tries many users, an IPv6 network counting as one, and not against another',
    sandboxed(async (scope) => {
      for (let i = 0; i < 50; i++) await wrong(from(scope, `2001:db8:0:1::${i.toString(16)}`), newEmail());
      assert.ok((await wrong(from(scope, '2001:DB8:0:1:ffff::1'), newEmail())) instanceof RateLimited);
      assert.ok((await wrong(from(scope, '2001:db8:0:2::1'), newEmail())) instanceof Unauthenticated);
      assert.ok((await wrong(from(scope, '::ffff:192.0.2.7'), newEmail())) instanceof Unauthenticated);
      const tomorrow = later(from(scope, '2001:db8:0:1::1'), { hours: 24 });
      for (let i = 0; i < 2; i++)
        assert.ok((await wrong(tomorrow, newEmail())) instanceof Unauthenticated, 'forgotten');
    }),
  );

  test(
    'count what is refused for nobody: neither for the account nor for the network address',
    sandboxed(async (scope) => {
      const [blocked, open, victim] = [from(scope, '198.51.100.1'), from(scope, '198.51.100.2'), newEmail()];
      for (let i = 0; i < 50; i++) await wrong(blocked, newEmail());
      for (let i = 0; i < 6; i++) assert.ok((await wrong(blocked, victim)) instanceof RateLimited);
      for (let i = 0; i < 5; i++) assert.ok((await wrong(open, victim)) instanceof Unauthenticated);
      for (let i = 0; i < 60; i++) assert.ok((await wrong(open, victim)) instanceof RateLimited);
      assert.ok((await wrong(open, newEmail())) instanceof Unauthenticated);
    }),
  );

  test(
    'cannot be outrun by guessing 64 times at once',
    committed(async (scope) => {
      const user = await newUser(scope);
      const answers = await Promise.all(Array.from({ length: 64 }, () => wrong(from(scope, null), user.email)));
      assert.equal(answers.filter((answer) => answer instanceof Unauthenticated).length, 5);
      assert.equal(answers.filter((answer) => answer instanceof RateLimited).length, 59);
      assert.equal((await trail(user.id)).filter((entry) => entry === 'session.login DENIED').length, 59);
    }),
  );
});

describe('an access token', () => {
  test(
    'is refused when it has expired, was signed by another key, or was tampered with',
    sandboxed(async (scope) => {
      const { tokens } = await signedIn(scope, await newUser(scope));
      const bearer = tokens.accessToken;
      await assert.rejects(accounts.authenticate(later(scope, { minutes: 5 }), { bearer }), Unauthenticated);
      const other = { ...scope, vault: vault(testVault.ring, Buffer.alloc(32, 7)) };
      await assert.rejects(accounts.authenticate(other, { bearer }), Unauthenticated);
      const [header = '', payload = '', signature = ''] = bearer.split('.');
      const claims = JSON.parse(Buffer.from(payload, 'base64url').toString()) as object;
      const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
      const forged = encode({ ...claims, role: 'admin' });
      for (const bearer of [
        `${header}.${forged}.${signature}`,
        `${encode({ alg: 'none', typ: 'at+jwt' })}.${forged}.`,
        `${header}.${payload}.`,
        `${header}.${payload}`,
        'cfr_x',
        '',
      ]) {
        await assert.rejects(accounts.authenticate(scope, { bearer }), Unauthenticated);
      }
    }),
  );

  test(
    'never lives longer than half the time after which a session is idle',
    sandboxed(async (scope) => {
      const strict = { ...scope, signIn: { ...scope.signIn, idleMinutes: 4 } };
      const { tokens } = await signedIn(strict, await newUser(scope));
      assert.equal(scope.now.until(tokens.expiresAt).total('minutes'), 2);
    }),
  );
});

describe('refreshToken', () => {
  test(
    'gives new tokens for the same session, with the rights that the user has by now',
    sandboxed(async (scope) => {
      const user = await newUser(scope);
      const { tokens, actor } = await signedIn(scope, user);
      await accounts.updateUser(as(scope, 'admin'), user.id, { mayOverride: true });
      const next = await accounts.refreshToken(scope, tokens.refreshToken);
      assert.notEqual(next.refreshToken, tokens.refreshToken);
      assert.deepEqual(await accounts.authenticate(scope, { bearer: next.accessToken }), {
        ...actor,
        mayOverride: true,
      });
    }),
  );

  test(
    'ends the whole family when an old one comes back',
    committed(async (scope) => {
      const { tokens, scope: mine, actor } = await signedIn(scope, await newUser(scope));
      const second = await accounts.refreshToken(scope, tokens.refreshToken);
      const third = await accounts.refreshToken(scope, second.refreshToken);
      await accounts.me(mine);
      await assert.rejects(accounts.refreshToken(scope, tokens.refreshToken), Unauthenticated);
      await assert.rejects(accounts.refreshToken(scope, third.refreshToken), Unauthenticated);
      await assert.rejects(accounts.me(mine), Unauthenticated);
      const entries = await trail(actor.sessionId ?? '');
      assert.ok(entries.includes('session.refresh FAILURE'));
    }),
  );

  test(
    'lets one of 64 callers with the same token win, and treats the others as reuse',
    committed(async (scope) => {
      const { tokens, scope: mine } = await signedIn(scope, await newUser(scope));
      const results = await Promise.allSettled(
        Array.from({ length: 64 }, () => accounts.refreshToken(scope, tokens.refreshToken)),
      );
      const won = results.filter((result) => result.status === 'fulfilled');
      assert.equal(won.length, 1);
      for (const result of results)
        assert.ok(result.status === 'fulfilled' || result.reason instanceof Unauthenticated);
      await assert.rejects(accounts.me(mine), Unauthenticated);
      await assert.rejects(accounts.refreshToken(scope, won[0]?.value.refreshToken ?? ''), Unauthenticated);
    }),
  );

  test(
    'refuses what is no refresh token, and takes no refresh token for another credential',
    sandboxed(async (scope) => {
      const { tokens } = await signedIn(scope, await newUser(scope));
      await assert.rejects(accounts.refreshToken(scope, randomUUID()), Unauthenticated);
      await assert.rejects(accounts.refreshToken(scope, tokens.accessToken), Unauthenticated);
      await assert.rejects(accounts.authenticate(scope, { bearer: tokens.refreshToken }), Unauthenticated);
      await assert.rejects(accounts.authenticate(scope, { cookie: tokens.refreshToken }), Unauthenticated);
    }),
  );
});

describe('an argon2id check', () => {
  test('is made for an unknown user too', async () => {
    const usage = async (email: string) => {
      const before = process.cpuUsage();
      await accounts.login(testScope(), { email, password: 'wrong' }).catch(() => undefined);
      const { user, system } = process.cpuUsage(before);
      return user + system;
    };
    await newUser(testScope()).then(({ email }) => usage(email));
    const microseconds = [await usage(newEmail()), await usage(newEmail()), await usage(newEmail())];
    assert.ok(Math.min(...microseconds) > 15_000);
  });
});
