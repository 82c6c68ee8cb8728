import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, test } from 'node:test';
import * as accounts from '#accounts';
import { Forbidden, NotFound, RateLimited, Unauthenticated } from '#platform/errors';
import { type Scope, transact } from '#platform/scope';
import { later, newUser, PASSWORD, signedIn, trail } from './support/accounts.ts';
import { as, asSuperuser, committed, sandboxed } from './support/testing.ts';

async function inBrowser(scope: Scope, { email }: { email: string }) {
  const { token, expiresAt } = await accounts.loginBrowser(scope, { email, password: PASSWORD });
  return { token, expiresAt, scope: as(scope, await accounts.authenticate(scope, { cookie: token })) };
}

describe('a browser session', () => {
  test(
    'ends when it was idle, and use puts that off',
    sandboxed(async (scope) => {
      const { token: cookie } = await inBrowser(scope, await newUser(scope));
      const authenticate = (minutes: number) => accounts.authenticate(later(scope, { minutes }), { cookie });
      await authenticate(29);
      const actor = await authenticate(58);
      await assert.rejects(authenticate(88), Unauthenticated);
      await assert.rejects(accounts.me(as(later(scope, { minutes: 88 }), actor)), Unauthenticated);
    }),
  );

  test(
    'ends in any case after its absolute time',
    sandboxed(async (scope) => {
      const { token: cookie, expiresAt } = await inBrowser(scope, await newUser(scope));
      assert.equal(scope.now.until(expiresAt).total('hours'), 12);
      for (let minutes = 20; minutes < 720; minutes += 20) {
        await accounts.authenticate(later(scope, { minutes }), { cookie });
      }
      await assert.rejects(accounts.authenticate(later(scope, { minutes: 720 }), { cookie }), Unauthenticated);
    }),
  );

  test(
    'is written at most once a minute, however often it is used',
    committed(async (scope) => {
      const { token: cookie, scope: mine } = await inBrowser(scope, await newUser(scope));
      const version = async () =>
        (await asSuperuser<{ xmin: string }>('select xmin from sessions where id = $1', [mine.actor.sessionId]))[0]
          ?.xmin;
      const before = await version();
      await accounts.authenticate(later(scope, { seconds: 59 }), { cookie });
      assert.equal(await version(), before);
      await accounts.authenticate(later(scope, { seconds: 60 }), { cookie });
      assert.notEqual(await version(), before);
    }),
  );

  test(
    'is known by its cookie only, and by nothing that is stored',
    committed(async (scope) => {
      const { token, scope: mine } = await inBrowser(scope, await newUser(scope));
      await assert.rejects(accounts.authenticate(scope, { bearer: token }), Unauthenticated);
      const [row] = await asSuperuser<{ token_hash: Buffer }>('select token_hash from sessions where id = $1', [
        mine.actor.sessionId,
      ]);
      for (const cookie of [
        row?.token_hash.toString('hex') ?? '',
        row?.token_hash.toString('base64url') ?? '',
        token.slice(1),
      ]) {
        await assert.rejects(accounts.authenticate(scope, { cookie }), Unauthenticated);
      }
      assert.equal(Buffer.from(token, 'base64url').length, 32);
    }),
  );
});

describe('a client session', () => {
  test(
    'ends when it was not refreshed in time, and in any case after its absolute time',
    sandboxed(async (scope) => {
      const user = await newUser(scope);
      const { tokens, actor } = await signedIn(scope, user);
      await assert.rejects(accounts.refreshToken(later(scope, { minutes: 30 }), tokens.refreshToken), Unauthenticated);
      await assert.rejects(accounts.me(as(later(scope, { minutes: 30 }), actor)), Unauthenticated);

      let { refreshToken } = (await signedIn(scope, user)).tokens;
      for (let minutes = 20; minutes < 720; minutes += 20) {
        ({ refreshToken } = await accounts.refreshToken(later(scope, { minutes }), refreshToken));
      }
      await assert.rejects(accounts.refreshToken(later(scope, { minutes: 720 }), refreshToken), Unauthenticated);
    }),
  );
});

describe('logout', () => {
  test(
    'ends the caller’s own session at once, and no other',
    committed(async (scope) => {
      const user = await newUser(scope);
      const [first, second] = [await signedIn(scope, user), await inBrowser(scope, user)];
      await accounts.logout(first.scope);
      await assert.rejects(accounts.me(first.scope), Unauthenticated);
      await assert.rejects(accounts.refreshToken(scope, first.tokens.refreshToken), Unauthenticated);
      await assert.rejects(accounts.logout(first.scope), Unauthenticated);
      await accounts.me(second.scope);
      assert.deepEqual(await trail(first.actor.sessionId ?? ''), ['session.login SUCCESS', 'session.logout SUCCESS']);
    }),
  );
});

describe('an ended session', () => {
  test(
    'is announced to whoever holds its sockets, and only once it is committed',
    committed(async (scope) => {
      const announced: string[] = [];
      const announce = (channel: string, payload: string) => void announced.push(`${channel} ${payload}`);
      const { scope: mine, actor } = await signedIn({ ...scope, announce }, await newUser(scope));
      const undone = transact(mine, async (scope) => {
        await accounts.logout(scope);
        throw new Error('undone');
      });
      await assert.rejects(undone, /undone/);
      assert.deepEqual(announced, []);
      await accounts.logout(mine);
      assert.deepEqual(announced, [`${accounts.SESSIONS_CHANNEL} ${actor.sessionId}`]);
    }),
  );

  test(
    'stays ended: its owner cannot bring it back, whatever they get the database to run',
    sandboxed(async (scope) => {
      const user = await newUser(scope);
      const [ended, mine] = [await signedIn(scope, user), await signedIn(scope, user)];
      await accounts.logout(ended.scope);
      const revive = transact(mine.scope, async ({ db }) =>
        db.updateTable('sessions').set({ ended_at: null }).where('user_id', '=', user.id).execute(),
      );
      await assert.rejects(revive, /row-level security/);
      await assert.rejects(accounts.me(ended.scope), Unauthenticated);
    }),
  );
});

describe('liveSessions', () => {
  test(
    'keeps those that a transaction would accept',
    sandboxed(async (scope) => {
      const [user, other] = [await newUser(scope), await newUser(scope)];
      const ids: string[] = [];
      for (const who of [user, user, other]) ids.push((await signedIn(scope, who)).actor.sessionId ?? '');
      assert.deepEqual(await accounts.liveSessions(scope, [...ids, randomUUID()]), new Set(ids));
      await accounts.revokeSession(as(scope, 'admin'), ids[0] ?? '');
      await accounts.updateUser(as(scope, 'admin'), other.id, { disabled: true });
      assert.deepEqual(await accounts.liveSessions(scope, ids), new Set([ids[1]]));
      assert.equal((await accounts.liveSessions(later(scope, { minutes: 30 }), ids)).size, 0);
      assert.equal((await accounts.liveSessions(scope, [])).size, 0);
    }),
  );
});

describe('a disabled user', () => {
  test(
    'is shut out of sessions that nobody has ended, too',
    sandboxed(async (scope) => {
      const user = await newUser(scope);
      const [client, browser] = [await signedIn(scope, user), await inBrowser(scope, user)];
      await transact(as(scope, 'system'), async ({ db, now }) =>
        db.updateTable('users').set({ disabled_at: now.toString() }).where('id', '=', user.id).execute(),
      );
      await assert.rejects(accounts.me(client.scope), Unauthenticated);
      await assert.rejects(accounts.authenticate(scope, { cookie: browser.token }), Unauthenticated);
      await assert.rejects(accounts.refreshToken(scope, client.tokens.refreshToken), Unauthenticated);
      assert.equal((await accounts.liveSessions(scope, [client.actor.sessionId ?? ''])).size, 0);
    }),
  );
});

describe('sessions', () => {
  test(
    'lists one’s own that are alive, and says which one asks',
    sandboxed(async (scope) => {
      const user = await newUser(scope);
      await signedIn(scope, await newUser(scope));
      const [ended, browser, client] = [
        await signedIn(scope, user),
        await inBrowser(scope, user),
        await signedIn(scope, user),
      ];
      await accounts.logout(ended.scope);
      const listed = await accounts.sessions(client.scope);
      assert.deepEqual(
        listed.map(({ id, kind, current, ipAddress }) => ({ id, kind, current, ipAddress })),
        [
          { id: browser.scope.actor.sessionId, kind: 'browser', current: false, ipAddress: '192.0.2.1' },
          { id: client.actor.sessionId, kind: 'client', current: true, ipAddress: '192.0.2.1' },
        ],
      );
    }),
  );
});

describe('revokeSession', () => {
  test(
    'answers another’s session like one that there is not, unless an admin asks',
    sandboxed(async (scope) => {
      const [mine, other] = [await signedIn(scope, await newUser(scope)), await signedIn(scope, await newUser(scope))];
      const foreign = other.actor.sessionId ?? '';
      await assert.rejects(accounts.revokeSession(mine.scope, foreign), new NotFound('The session'));
      await assert.rejects(accounts.revokeSession(mine.scope, randomUUID()), new NotFound('The session'));
      await accounts.me(other.scope);
      await accounts.revokeSession(as(scope, 'admin'), foreign);
      await assert.rejects(accounts.me(other.scope), Unauthenticated);
    }),
  );
});

describe('revokeUserSessions', () => {
  test(
    'ends all of them, API keys too',
    sandboxed(async (scope) => {
      const user = await newUser(scope);
      const [client, browser] = [await signedIn(scope, user), await inBrowser(scope, user)];
      const key = { userId: user.id, name: 'nightly', scopes: ['patient'], expiresInDays: 1 };
      const { key: bearer } = await accounts.createApiKey(as(scope, 'admin'), key);
      assert.equal(await accounts.revokeUserSessions(as(scope, 'admin'), user.id), 3);
      for (const { scope } of [client, browser]) await assert.rejects(accounts.me(scope), Unauthenticated);
      await assert.rejects(accounts.authenticate(scope, { cookie: browser.token }), Unauthenticated);
      await assert.rejects(accounts.authenticate(scope, { bearer }), Unauthenticated);
      await assert.rejects(accounts.revokeUserSessions(client.scope, user.id), Unauthenticated);
      await assert.rejects(accounts.revokeUserSessions(as(scope, 'agent'), user.id), Forbidden);
    }),
  );
});

describe('changePassword', () => {
  const next = 'marble orchard sunrise';

  test(
    'ends the other sessions and keeps the one that asks',
    sandboxed(async (scope) => {
      const user = await newUser(scope);
      const [other, mine] = [await inBrowser(scope, user), await signedIn(scope, user)];
      await accounts.changePassword(mine.scope, { currentPassword: PASSWORD, newPassword: next });
      await accounts.me(mine.scope);
      await assert.rejects(accounts.me(other.scope), Unauthenticated);
      await assert.rejects(accounts.login(scope, { email: user.email, password: PASSWORD }), Unauthenticated);
      await accounts.login(scope, { email: user.email, password: next });
    }),
  );

  test(
    'refuses a wrong current password, and slows down who guesses at it',
    sandboxed(async (scope) => {
      const { scope: mine } = await signedIn(scope, await newUser(scope));
      const guess = () => accounts.changePassword(mine, { currentPassword: 'wrong', newPassword: next });
      for (let i = 0; i < 5; i++) await assert.rejects(guess(), accounts.WrongPassword);
      await assert.rejects(guess(), RateLimited);
    }),
  );

  test(
    'is refused to a session that has ended, and to an API key',
    sandboxed(async (scope) => {
      const user = await newUser(scope);
      const { scope: mine, actor } = await signedIn(scope, user);
      const change = { currentPassword: PASSWORD, newPassword: next };
      await assert.rejects(accounts.changePassword(as(mine, { ...actor, scopes: ['user'] }), change), Forbidden);
      await accounts.logout(mine);
      await assert.rejects(accounts.changePassword(mine, change), Unauthenticated);
    }),
  );

  test(
    'lets one of two changes at once win',
    committed(async (scope) => {
      const { scope: mine } = await signedIn(scope, await newUser(scope));
      const results = await Promise.allSettled(
        ['first', 'second'].map((word) =>
          accounts.changePassword(mine, { currentPassword: PASSWORD, newPassword: `${next} ${word}` }),
        ),
      );
      assert.deepEqual(results.map(({ status }) => status).toSorted(), ['fulfilled', 'rejected']);
    }),
  );
});
