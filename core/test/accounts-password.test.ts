import assert from 'node:assert/strict';
import { argon2Sync } from 'node:crypto';
import { describe, test } from 'node:test';
import * as accounts from '#accounts';
import { InvalidInput } from '#platform/errors';
import { newUser } from './support/accounts.ts';
import { sandboxed } from './support/testing.ts';

describe('hashPassword', () => {
  test('writes argon2id in PHC form, at the cost that OWASP names and under a fresh salt', async () => {
    const [hash, again] = [await accounts.hashPassword('a password'), await accounts.hashPassword('a password')];
    const [, salt = '', tag = ''] =
      /^\$argon2id\$v=19\$m=19456,t=2,p=1\$([A-Za-z0-9+/]{22})\$([A-Za-z0-9+/]{43})$/.exec(hash) ?? [];
    const expected = argon2Sync('argon2id', {
      message: 'a password',
      nonce: Buffer.from(salt, 'base64'),
      memory: 19_456,
      passes: 2,
      parallelism: 1,
      tagLength: 32,
    });
    assert.deepEqual(Buffer.from(tag, 'base64'), expected);
    assert.notEqual(hash, again);
  });
});

describe('verifyPassword', () => {
  test('reads what the reference implementation writes', async () => {
    // From the test suite of the reference implementation (P-H-C/phc-winner-argon2, src/test.c).
    const hash = '$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc';
    assert.equal(await accounts.verifyPassword(hash, 'password'), true);
    assert.equal(await accounts.verifyPassword(hash, 'Password'), false);
  });

  test('takes a password as the same however its accents were typed', async () => {
    const hash = await accounts.hashPassword('jose\u0301 de la cruz');
    assert.equal(await accounts.verifyPassword(hash, 'jos\u00e9 de la cruz'), true);
  });

  test('says no where there is no hash, and refuses what is none', async () => {
    assert.equal(await accounts.verifyPassword(null, ''), false);
    await assert.rejects(accounts.verifyPassword('$2b$10$abcdefghijklmnopqrstuv', 'a'), /PHC/);
  });
});

describe('a new password', () => {
  const weak = {
    'is too short': 'kV9#qz7Lp2x',
    'is too long': 'long enough '.repeat(11),
    'is common': 'PasswordPassword',
    'is on the list of the common ones': '1qaz2wsx3edc4rfv',
    'is the demo’s': 'careflex-demo',
    'names the service': 'my CareFlex login',
    'names the user': 'xx ada.byron xx',
    'repeats itself': 'abcabcabcabcabc',
    'is a run of characters': 'abcdefghijklmnop',
  };
  for (const [why, password] of Object.entries(weak)) {
    test(
      `is refused when it ${why}`,
      sandboxed(async (scope) => {
        await assert.rejects(newUser(scope, { password, email: 'ada.byron@staff.example' }), (thrown) => {
          assert.ok(thrown instanceof InvalidInput);
          assert.deepEqual(thrown.issues[0]?.path, ['password']);
          assert.ok(!thrown.message.includes(password));
          return true;
        });
      }),
    );
  }

  test(
    'may be any sentence of 12 to 128 characters, without capitals, digits or signs',
    sandboxed(async (scope) => {
      for (const password of ['twelve chars', 'ünïcödé wörds ärë fïne 🚲', 'tall trees wave '.repeat(8)]) {
        await newUser(scope, { password });
      }
    }),
  );
});
