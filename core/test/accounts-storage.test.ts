import assert from 'node:assert/strict';
import { randomBytes, randomUUID } from 'node:crypto';
import { describe, test } from 'node:test';
import * as accounts from '#accounts';
import * as care from '#care';
import { rotateKeys } from '#platform/rotation';
import type { Scope } from '#platform/scope';
import { type Key, keyRing } from '#platform/vault';
import { later, newUser, PASSWORD, signedIn } from './support/accounts.ts';
import { actor, as, asSuperuser, committed, testVault } from './support/testing.ts';

const TABLES = [
  'users',
  'sessions',
  'refresh_tokens',
  'identities',
  'throttles',
  'verifications',
  'audit_entries',
  'events',
];

/** Everything that the tables hold, as text; bytes once as hex and once as they are. */
async function dump(): Promise<string> {
  const parts = [];
  for (const table of TABLES) {
    for (const row of await asSuperuser(`select * from ${table}`)) {
      for (const value of Object.values(row)) {
        parts.push(
          Buffer.isBuffer(value) ? `${value.toString('hex')} ${value.toString('latin1')}` : JSON.stringify(value),
        );
      }
    }
  }
  return parts.join('\n').toLowerCase();
}

describe('a copy of the database', () => {
  test(
    'shows no address, name, password, token, key or code',
    committed(async (scope) => {
      const patient = await care.createPatient(scope, {
        firstName: 'Wilhelmina',
        lastName: 'Harker',
        email: 'mina@whitby.example',
        phone: '+12125550177',
        dateOfBirth: '1971-05-26',
      });
      const codes: string[] = [];
      const sender: accounts.Sender = { send: async (_to, text) => void codes.push(/\d{6}/.exec(text)?.[0] ?? '') };
      const channels = { sms: sender, email: sender };
      const unsent = await accounts.requestVerification(scope, { email: 'lucy@whitby.example' });
      const { verificationId } = await accounts.requestVerification(scope, { phone: patient.phone });
      await accounts.deliverVerification(scope, verificationId, channels);
      const code = codes[0] ?? '';
      const registration = { verificationId, code, dateOfBirth: '1971-05-26', password: 'garlic and crosses' };
      await accounts.register(scope, { ...registration, email: 'mina@whitby.example' });
      const own = as(scope, actor('patient', { patientId: patient.id }));
      const change = await accounts.requestContactChange(own, { email: 'madam.mina@hermannstadt.example' });
      await accounts.deliverVerification(scope, change.verificationId, channels);
      await accounts.requestContactChange(own, { phone: '+12125550178' });

      const user = await newUser(scope, { email: 'vanhelsing@amsterdam.example', displayName: 'Abraham van Helsing' });
      const { tokens } = await signedIn(scope, user);
      const { token } = await accounts.loginBrowser(scope, { email: user.email, password: PASSWORD });
      const wanted = { userId: user.id, name: 'k', scopes: ['patient'], expiresInDays: 1 };
      const { key } = await accounts.createApiKey(as(scope, 'admin'), wanted);
      const subject = { issuer: 'https://issuer.example', subject: 'seward@asylum.example' };
      await accounts.linkIdentity(as(scope, 'admin'), user.id, subject);
      await accounts
        .login(scope, { email: 'renfield@asylum.example', password: 'flies and spiders' })
        .catch(() => undefined);

      const text = await dump();
      assert.ok(text.includes(user.id) && text.includes(unsent.verificationId), 'the dump is one');
      const personal = [
        'whitby',
        'amsterdam',
        'asylum',
        'harker',
        'helsing',
        'wilhelmina',
        '2125550177',
        '1971-05-26',
        'hermannstadt',
        '2125550178',
      ];
      const proofs = [PASSWORD, 'garlic', 'argon2', 'flies and spiders', ...codes.map((code) => `"${code}"`)];
      const secrets = [...personal, ...proofs, tokens.accessToken, tokens.refreshToken, token, key];
      for (const secret of secrets) {
        for (const form of [secret, Buffer.from(secret).toString('hex'), Buffer.from(secret).toString('base64')]) {
          assert.ok(!text.includes(form.toLowerCase()), secret);
        }
      }
    }),
  );
});

describe('keys rotate', () => {
  test(
    'leaves every user readable, and the old key unneeded',
    committed(async (scope) => {
      const user = await newUser(scope);
      const next = { id: 2, bytes: randomBytes(32) };
      const withKeys = (...keys: [Key, ...Key[]]): Scope => ({
        ...scope,
        vault: { ...testVault, ring: keyRing(keys) },
      });
      const rotate = (scope: Scope) => rotateKeys(as(scope, 'system'), [accounts.wrappedKeys]);
      await rotate(withKeys(next, testVault.ring.active));
      const { viewer } = await accounts.login(withKeys(next), { email: user.email, password: PASSWORD });
      assert.equal(viewer.displayName, 'Ada Byron');
      await rotate(withKeys(testVault.ring.active, next));
    }),
  );
});

describe('forgetExpired', () => {
  test(
    'removes what is past its time and nothing else',
    committed(async (scope) => {
      const user = await newUser(scope);
      const { actor } = await signedIn(scope, user);
      const { verificationId } = await accounts.requestVerification(scope, { email: `${randomUUID()}@home.example` });
      await accounts.login(scope, { email: user.email, password: 'wrong' }).catch(() => undefined);
      const counts = async () => {
        const [row] = await asSuperuser(
          `select (select count(*) from sessions where id = $1) as sessions, (select count(*) from throttles) > 0 as throttled,
            (select count(*) from refresh_tokens where session_id = $1) as tokens,
            (select count(*) from verifications where id = $2) as verifications`,
          [actor.sessionId, verificationId],
        );
        return Object.values(row ?? {}).map(Number);
      };
      await accounts.forgetExpired(later(scope, { minutes: 9 }));
      assert.deepEqual(await counts(), [1, 1, 1, 1]);
      await accounts.forgetExpired(later(scope, { hours: 24 }));
      assert.deepEqual(await counts(), [1, 0, 1, 0]);
      await accounts.forgetExpired(later(scope, { hours: 24 * 31 }));
      assert.deepEqual(await counts(), [0, 0, 0, 0]);
    }),
  );
});
