import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, test } from 'node:test';
import {
  type Place,
  VaultError,
  blindIndex,
  decrypt,
  encrypt,
  hkdf,
  hmac,
  keyIdOf,
  keyRing,
  newDataKey,
  open,
  rewrapDataKey,
  seal,
  unwrapDataKey,
  vault,
} from '#platform/vault';

const hex = (text: string) => Buffer.from(text.replaceAll(/\s/g, ''), 'hex');
const newKey = (id: number) => ({ id, bytes: randomBytes(32) });
const PLACE: Place = { table: 'patients', column: 'identity', row: '01989f9e-0000-7000-8000-000000000001' };

// McGrew and Viega, "The Galois/Counter Mode of Operation", test cases 13 to 16: the ones with a 256-bit key.
const GCM_KEY = hex('feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308');
const GCM_IV = hex('cafebabefacedbaddecaf888');
const GCM_PLAIN = hex(`d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72
  1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255`);
const GCM_CIPHER = hex(`522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa
  8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662898015ad`);
const NONE = Buffer.alloc(0);
const GCM = [
  {
    key: Buffer.alloc(32),
    iv: Buffer.alloc(12),
    aad: NONE,
    plain: NONE,
    cipher: NONE,
    tag: '530f8afbc74536b9a963b4f1c4cb738b',
  },
  {
    key: Buffer.alloc(32),
    iv: Buffer.alloc(12),
    aad: NONE,
    plain: Buffer.alloc(16),
    cipher: hex('cea7403d4d606b6e074ec5d3baf39d18'),
    tag: 'd0d1c8a799996bf0265b98b5d48ab919',
  },
  {
    key: GCM_KEY,
    iv: GCM_IV,
    aad: NONE,
    plain: GCM_PLAIN,
    cipher: GCM_CIPHER,
    tag: 'b094dac5d93471bdec1a502270e3cc6c',
  },
  {
    key: GCM_KEY,
    iv: GCM_IV,
    aad: hex('feedfacedeadbeeffeedfacedeadbeefabaddad2'),
    plain: GCM_PLAIN.subarray(0, 60),
    cipher: GCM_CIPHER.subarray(0, 60),
    tag: '76fc6ece0f4e1768cddf8853bb2d551b',
  },
];

describe('encrypt and decrypt', () => {
  for (const [i, { plain, cipher, tag, ...gcm }] of GCM.entries()) {
    test(`agree with test case ${13 + i} of GCM`, () => {
      const message = Buffer.concat([cipher, hex(tag)]);
      assert.deepEqual(encrypt(gcm, plain), message);
      assert.deepEqual(decrypt(gcm, message), plain);
    });
  }

  test('notice a change of any single byte', () => {
    const gcm = { key: GCM_KEY, iv: GCM_IV, aad: NONE };
    const message = encrypt(gcm, GCM_PLAIN);
    for (let i = 0; i < message.length; i++) {
      const changed = Buffer.from(message);
      changed[i] = (changed[i] ?? 0) ^ 1;
      assert.throws(() => decrypt(gcm, changed));
    }
    assert.throws(() => decrypt(gcm, message.subarray(1)));
    assert.throws(() => decrypt(gcm, message.subarray(0, 15)), VaultError);
  });
});

// RFC 4231, section 4. The fifth shows 16 bytes of the result.
const HMAC = [
  ['0b'.repeat(20), '4869205468657265', 'b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7'],
  [
    '4a656665',
    '7768617420646f2079612077616e7420666f72206e6f7468696e673f',
    '5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843',
  ],
  ['aa'.repeat(20), 'dd'.repeat(50), '773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe'],
  [
    '0102030405060708090a0b0c0d0e0f10111213141516171819',
    'cd'.repeat(50),
    '82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b',
  ],
  ['0c'.repeat(20), '546573742057697468205472756e636174696f6e', 'a3b6167473100ee06e0c796c2955552b'],
  [
    'aa'.repeat(131),
    Buffer.from('Test Using Larger Than Block-Size Key - Hash Key First').toString('hex'),
    '60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54',
  ],
  [
    'aa'.repeat(131),
    Buffer.from(
      'This is a test using a larger than block-size key and a larger than block-size data. ' +
        'The key needs to be hashed before being used by the HMAC algorithm.',
    ).toString('hex'),
    '9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2',
  ],
] as const;

describe('hmac', () => {
  for (const [i, [key, message, mac]] of HMAC.entries()) {
    test(`agrees with test case ${i + 1} of RFC 4231`, () => {
      assert.equal(hmac(hex(key), hex(message)).toString('hex', 0, mac.length / 2), mac);
    });
  }
});

// RFC 5869, appendix A.1 to A.3.
const range = (from: number, to: number) => Buffer.from(Array.from({ length: to - from + 1 }, (_, i) => from + i));
const HKDF = [
  {
    secret: hex('0b'.repeat(22)),
    salt: range(0x00, 0x0c),
    info: range(0xf0, 0xf9),
    key: '3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865',
  },
  {
    secret: range(0x00, 0x4f),
    salt: range(0x60, 0xaf),
    info: range(0xb0, 0xff),
    key: `b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09
      da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87`,
  },
  {
    secret: hex('0b'.repeat(22)),
    salt: NONE,
    info: NONE,
    key: '8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8',
  },
];

describe('hkdf', () => {
  for (const [i, { secret, salt, info, key }] of HKDF.entries()) {
    test(`agrees with appendix A.${i + 1} of RFC 5869`, () => {
      const expected = hex(key);
      assert.deepEqual(hkdf(secret, { salt, info, bytes: expected.length }), expected);
    });
  }
});

describe('seal and open', () => {
  const key = newKey(7);
  const sealed = seal(key, PLACE, 'José');

  test('give back what was sealed, and never the same sealed value twice', () => {
    assert.equal(open(key, PLACE, sealed).toString(), 'José');
    assert.equal(keyIdOf(sealed), 7);
    const many = Array.from({ length: 1000 }, () => seal(key, PLACE, 'José').toString('hex'));
    assert.equal(new Set(many).size, 1000);
    assert.equal(new Set(many.map((value) => value.slice(10, 34))).size, 1000, 'an IV occurred twice');
  });

  for (const other of [{ table: 'users' }, { column: 'details' }, { row: PLACE.row.replace(/1$/, '2') }]) {
    test(`do not open in another ${Object.keys(other).join()}`, () => {
      assert.throws(() => open(key, { ...PLACE, ...other }, sealed), VaultError);
    });
  }

  test('do not open with another key, nor under another id, nor cut short', () => {
    assert.throws(() => open({ ...key, bytes: randomBytes(32) }, PLACE, sealed), VaultError);
    assert.throws(() => open({ ...key, id: 8 }, PLACE, sealed), VaultError);
    assert.throws(() => open(key, PLACE, sealed.subarray(0, 20)), VaultError);
    assert.throws(() => open(key, PLACE, NONE), VaultError);
  });

  test('say nothing of the value when they fail', () => {
    assert.throws(
      () => open(newKey(7), PLACE, sealed),
      (error: Error) => !error.message.includes('José') && !error.message.includes(PLACE.row),
    );
  });
});

describe('data keys', () => {
  const [old, young] = [newKey(1), newKey(2)];
  const place = { ...PLACE, column: 'data_key' };

  test('open after they were wrapped anew, with the new key alone', () => {
    const { key, wrapped } = newDataKey(keyRing([old]), place);
    const renewed = rewrapDataKey(keyRing([young, old]), place, wrapped);
    assert.ok(renewed);
    assert.equal(keyIdOf(renewed), 2);
    assert.deepEqual(unwrapDataKey(keyRing([young]), place, renewed), key);
    assert.equal(rewrapDataKey(keyRing([young]), place, renewed), null);
    assert.throws(() => unwrapDataKey(keyRing([young]), place, wrapped), VaultError);
  });

  test('are remembered for their own place only, and not once forgotten', () => {
    const { key, wrapped } = newDataKey(keyRing([old]), place);
    const keys = vault(keyRing([old]), randomBytes(32));
    const remembered = keys.dataKey(place, wrapped);
    assert.deepEqual(remembered, key);
    assert.equal(keys.dataKey(place, wrapped), remembered);
    assert.throws(() => keys.dataKey({ ...place, row: 'another' }, wrapped), VaultError);
    keys.forget(place, wrapped);
    // Whoever is about to seal with it must not seal with zeros.
    assert.deepEqual(remembered, key);
    assert.notEqual(keys.dataKey(place, wrapped), remembered);
  });

  test('are forgotten when others were used since', () => {
    const keys = vault(keyRing([old]), randomBytes(32), 2);
    const [a, b, c] = ['a', 'b', 'c'].map((row) => {
      const at = { ...place, row };
      return { at, wrapped: newDataKey(keyRing([old]), at).wrapped };
    }) as [Stored, Stored, Stored];
    const first = keys.dataKey(a.at, a.wrapped);
    keys.dataKey(b.at, b.wrapped);
    assert.equal(keys.dataKey(a.at, a.wrapped), first);
    const second = keys.dataKey(b.at, b.wrapped);
    keys.dataKey(c.at, c.wrapped);
    assert.equal(keys.dataKey(b.at, b.wrapped), second);
    assert.notEqual(keys.dataKey(a.at, a.wrapped), first);
  });
});

interface Stored {
  readonly at: Place;
  readonly wrapped: Buffer;
}

describe('blindIndex', () => {
  test('is the same for the same value, and another in another column or under another secret', () => {
    const [mine, other] = [vault(keyRing([newKey(1)]), randomBytes(32)), vault(keyRing([newKey(1)]), randomBytes(32))];
    const index = blindIndex(mine, 'patients.email', 'a@example.test');
    assert.equal(index.length, 32);
    assert.deepEqual(blindIndex(mine, 'patients.email', 'a@example.test'), index);
    assert.notDeepEqual(blindIndex(mine, 'patients.phone', 'a@example.test'), index);
    assert.notDeepEqual(blindIndex(other, 'patients.email', 'a@example.test'), index);
  });
});
