/** What an admin does to accounts is done once per idempotency key. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, test } from 'node:test';
import * as accounts from '#accounts';
import * as audit from '#audit';
import { IdempotencyMismatch } from '#platform/errors';
import type { Scope } from '#platform/scope';
import { newUser, PASSWORD, signedIn } from './support/accounts.ts';
import { as, sandboxed } from './support/testing.ts';

// Who never signs in needs no password, which is slow to hash.
const quick = { password: null };

type Call = (scope: Scope, userId: string, idempotencyKey: string) => Promise<unknown>;

const wanted = { name: 'reader', scopes: ['patient.read'], expiresInDays: 1 };
const link = { issuer: 'https://issuer.example' };

/** The call; and with another input. */
const CALLS: Record<string, readonly [Call, Call]> = {
  'user.update': [
    (scope, id, idempotencyKey) => accounts.updateUser(scope, id, { mayOverride: true, idempotencyKey }),
    (scope, id, idempotencyKey) => accounts.updateUser(scope, id, { mayOverride: false, idempotencyKey }),
  ],
  'user.resetPassword': [
    (scope, id, idempotencyKey) => accounts.resetPassword(scope, id, { newPassword: PASSWORD, idempotencyKey }),
    (scope, id, idempotencyKey) =>
      accounts.resetPassword(scope, id, { newPassword: 'copper meadow station', idempotencyKey }),
  ],
  'user.link': [
    (scope, id, idempotencyKey) => accounts.linkIdentity(scope, id, { ...link, subject: id, idempotencyKey }),
    (scope, id, idempotencyKey) => accounts.linkIdentity(scope, id, { ...link, subject: 'x', idempotencyKey }),
  ],
  'session.revokeAll': [
    (scope, id, idempotencyKey) => accounts.revokeUserSessions(scope, id, { idempotencyKey }),
    (scope, _id, idempotencyKey) => accounts.revokeUserSessions(scope, randomUUID(), { idempotencyKey }),
  ],
};

async function recorded(scope: Scope, action: string, resourceId: string): Promise<number> {
  return (await audit.list(as(scope, 'admin'), { action, resourceId })).items.length;
}

describe('with an idempotency key', () => {
  for (const [action, [call, other]] of Object.entries(CALLS)) {
    test(
      `${action} is done once, and refuses the key for another input`,
      sandboxed(async (scope) => {
        const admin = as(scope, 'admin');
        const { id } = await newUser(scope, quick);
        const key = randomUUID();
        const first = await call(admin, id, key);
        const again = await call(admin, id, key);
        if (action === 'user.update')
          assert.equal((again as accounts.User).mayOverride, (first as accounts.User).mayOverride);
        assert.equal(await recorded(scope, action, id), 1);
        await assert.rejects(other(admin, id, key), IdempotencyMismatch);
      }),
    );
  }

  test(
    'an API key is made once, and not shown again',
    sandboxed(async (scope) => {
      const admin = as(scope, 'admin');
      const { id: userId } = await newUser(scope, quick);
      const input = { ...wanted, userId, idempotencyKey: randomUUID() };
      const { apiKey } = await accounts.createApiKey(admin, input);
      await assert.rejects(accounts.createApiKey(admin, input), (thrown: unknown) => {
        assert.ok(thrown instanceof accounts.ApiKeyShown);
        assert.equal(thrown.apiKeyId, apiKey.id);
        return true;
      });
      const mine = (await accounts.apiKeys(admin)).items.filter(({ node }) => node.userId === userId);
      assert.deepEqual(
        mine.map(({ node }) => [node.id, node.revokedAt]),
        [[apiKey.id, null]],
      );
      await assert.rejects(accounts.createApiKey(admin, { ...input, name: 'other' }), IdempotencyMismatch);

      const idempotencyKey = randomUUID();
      await accounts.revokeApiKey(admin, apiKey.id, { idempotencyKey });
      await accounts.revokeApiKey(admin, apiKey.id, { idempotencyKey });
      assert.equal(await recorded(scope, 'apiKey.revoke', apiKey.id), 1);
      await assert.rejects(accounts.revokeApiKey(admin, apiKey.id), { code: 'NOT_FOUND' });
    }),
  );

  for (const role of ['admin', 'agent', 'auditor'] as const) {
    test(
      `an ${role} ends one of their own sessions once`,
      sandboxed(async (scope) => {
        const user = await newUser(scope, { role });
        const [{ scope: mine }, other] = [await signedIn(scope, user), await signedIn(scope, user)];
        const id = other.actor.sessionId ?? '';
        const idempotencyKey = randomUUID();
        await accounts.revokeSession(mine, id, { idempotencyKey });
        await accounts.revokeSession(mine, id, { idempotencyKey });
        assert.equal(await recorded(scope, 'session.revoke', id), 1);
        // Another's key is another key.
        await assert.rejects(accounts.revokeSession(as(scope, 'admin'), id, { idempotencyKey }), { code: 'NOT_FOUND' });
      }),
    );
  }
});
