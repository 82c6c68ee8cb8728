/**
 * The vault: sealed values, the ring of key-encryption keys, and blind indexes. Pure functions of their keys.
 *
 * A sealed value is version (1 byte), key id (4), IV (12), ciphertext, tag (16), by AES-256-GCM. The additional
 * authenticated data names table, column and row, so a value moved elsewhere fails to open.
 */
import { createCipheriv, createDecipheriv, createHmac, hkdfSync, randomBytes, timingSafeEqual } from 'node:crypto';

const VERSION = 1;
const HEADER = 5;
const IV = 12;
const TAG = 16;
export const KEY_BYTES = 32;

/** A key with the id under which sealed values name it. Patients' data keys all have id 0: their row names them. */
export interface Key {
  /** 0 to 2^32 − 1. */
  readonly id: number;
  readonly bytes: Buffer;
}

/** Where a sealed value lives. Two different places never have the same encoding. */
export interface Place {
  readonly table: string;
  readonly column: string;
  /** The row's primary key. */
  readonly row: string;
}

/** A value that cannot be opened: another key, another place, or a changed byte. Says nothing of the value. */
export class VaultError extends Error {}

/** The ring lacks a key under which something is still sealed. */
export class KeyMissing extends VaultError {}

/** Seals `plain` for its place, under a fresh random IV. */
export function seal(key: Key, place: Place, plain: Buffer | string): Buffer {
  const header = Buffer.allocUnsafe(HEADER);
  header.writeUInt8(VERSION, 0);
  header.writeUInt32BE(key.id, 1);
  const iv = freshIv();
  return Buffer.concat([header, iv, encrypt({ key: key.bytes, iv, aad: additionalData(place) }, plain)]);
}

// Drawn many at a time: a draw takes as long as a short value takes to seal.
let drawn = Buffer.alloc(0);

function freshIv(): Buffer {
  if (drawn.length === 0) drawn = randomBytes(256 * IV);
  const iv = drawn.subarray(0, IV);
  drawn = drawn.subarray(IV);
  return iv;
}

/** What AES-256-GCM works with: a key of 32 bytes, an IV that never repeats under it, and what else is authenticated. */
export interface Gcm {
  readonly key: Buffer;
  readonly iv: Buffer;
  readonly aad: Buffer;
}

/** AES-256-GCM (NIST SP 800-38D): the ciphertext followed by the 16-byte tag. */
export function encrypt({ key, iv, aad }: Gcm, plain: Buffer | string): Buffer {
  const cipher = createCipheriv('aes-256-gcm', key, iv, { authTagLength: TAG });
  cipher.setAAD(aad);
  const body = typeof plain === 'string' ? cipher.update(plain, 'utf8') : cipher.update(plain);
  return Buffer.concat([body, cipher.final(), cipher.getAuthTag()]);
}

/** Opens what {@link seal} made for the same key and place. Throws {@link VaultError}. */
export function open(key: Key, place: Place, sealed: Buffer): Buffer {
  if (sealed.length < HEADER + IV + TAG || sealed[0] !== VERSION) throw new VaultError('Not a sealed value');
  if (keyIdOf(sealed) !== key.id) throw new VaultError('Sealed with another key');
  const iv = sealed.subarray(HEADER, HEADER + IV);
  try {
    return decrypt({ key: key.bytes, iv, aad: additionalData(place) }, sealed.subarray(HEADER + IV));
  } catch {
    throw new VaultError(`A value of ${place.table}.${place.column} does not open`);
  }
}

/** The inverse of {@link encrypt}. Throws when key, IV, additional data or a single bit of the message is another. */
export function decrypt({ key, iv, aad }: Gcm, message: Buffer): Buffer {
  if (message.length < TAG) throw new VaultError('Shorter than a tag');
  const end = message.length - TAG;
  const decipher = createDecipheriv('aes-256-gcm', key, iv, { authTagLength: TAG });
  decipher.setAAD(aad);
  decipher.setAuthTag(message.subarray(end));
  const plain = decipher.update(message.subarray(0, end));
  // GCM deciphers byte by byte: `final` adds nothing, it checks the tag.
  decipher.final();
  return plain;
}

/** The id of the key that sealed this value. */
export function keyIdOf(sealed: Buffer): number {
  return sealed.readUInt32BE(1);
}

/** Unambiguous: none of the three parts may hold a line break. */
export function additionalData({ table, column, row }: Place): Buffer {
  return Buffer.from(`${table}\n${column}\n${row}`, 'utf8');
}

/** Key-encryption keys by id. The active one wraps; every one of them unwraps. */
export interface KeyRing {
  readonly active: Key;
  /** Throws {@link KeyMissing} when the ring does not hold it. */
  get(id: number): Key;
}

/** A ring of the given keys; the first is active. */
export function keyRing(keys: readonly [Key, ...Key[]]): KeyRing {
  const byId = new Map(keys.map((key) => [key.id, key]));
  return {
    active: keys[0],
    get(id) {
      const key = byId.get(id);
      if (!key) throw new KeyMissing(`The key ring has no key ${id}`);
      return key;
    },
  };
}

const DATA_KEY_ID = 0;

/** A new data key and its wrapped form for the place where the latter is stored. */
export function newDataKey(ring: KeyRing, place: Place): { key: Key; wrapped: Buffer } {
  const bytes = randomBytes(KEY_BYTES);
  return { key: { id: DATA_KEY_ID, bytes }, wrapped: seal(ring.active, place, bytes) };
}

/** The data key inside `wrapped`. Throws {@link VaultError}. */
export function unwrapDataKey(ring: KeyRing, place: Place, wrapped: Buffer): Key {
  return { id: DATA_KEY_ID, bytes: open(ring.get(keyIdOf(wrapped)), place, wrapped) };
}

/** The same data key under the ring's active key, or null when it already is. Throws {@link VaultError}. */
export function rewrapDataKey(ring: KeyRing, place: Place, wrapped: Buffer): Buffer | null {
  if (keyIdOf(wrapped) === ring.active.id) return null;
  return seal(ring.active, place, open(ring.get(keyIdOf(wrapped)), place, wrapped));
}

/** HKDF-SHA-256 (RFC 5869). */
export function hkdf(secret: Buffer, { salt, info, bytes }: { salt: Buffer; info: Buffer; bytes: number }): Buffer {
  return Buffer.from(hkdfSync('sha256', secret, salt, info, bytes));
}

/** A key for one purpose. */
export function deriveKey(secret: Buffer, purpose: string): Buffer {
  return hkdf(secret, { salt: Buffer.alloc(0), info: Buffer.from(purpose, 'utf8'), bytes: KEY_BYTES });
}

/** HMAC-SHA-256 (RFC 2104). */
export function hmac(key: Buffer, message: string | Buffer): Buffer {
  return createHmac('sha256', key).update(message).digest();
}

export function sameBytes(a: Buffer, b: Buffer): boolean {
  return a.length === b.length && timingSafeEqual(a, b);
}

/** What a scope carries: the ring, and keys derived for one purpose each from the platform's secret. */
export interface Vault {
  readonly ring: KeyRing;
  /** The key for a purpose such as `index:patients.email`, derived once and remembered. */
  keyFor(purpose: string): Buffer;
  /** As {@link unwrapDataKey}, remembering the keys that were used last. */
  dataKey(place: Place, wrapped: Buffer): Key;
  /** Forgets one data key: for an erasure. Whoever holds it at this moment still does. */
  forget(place: Place, wrapped: Buffer): void;
}

/** Some hundred bytes each. A page of patients that was shown a moment ago needs no unwrapping again. */
const REMEMBERED_DATA_KEYS = 10_000;

export function vault(ring: KeyRing, secret: Buffer, remembered = REMEMBERED_DATA_KEYS): Vault {
  const derived = new Map<string, Buffer>();
  // In the order of use, the oldest first. Found by place and wrapped bytes: who has not read the row gets no key.
  const dataKeys = new Map<string, Key>();
  return {
    ring,
    keyFor(purpose) {
      let key = derived.get(purpose);
      if (!key) derived.set(purpose, (key = deriveKey(secret, `careflex:${purpose}`)));
      return key;
    },
    dataKey(place, wrapped) {
      const name = nameOf(place, wrapped);
      const key = dataKeys.get(name) ?? unwrapDataKey(ring, place, wrapped);
      dataKeys.delete(name);
      dataKeys.set(name, key);
      if (dataKeys.size > remembered) dataKeys.delete(dataKeys.keys().next().value as string);
      return key;
    },
    forget(place, wrapped) {
      dataKeys.delete(nameOf(place, wrapped));
    },
  };
}

function nameOf({ table, column, row }: Place, wrapped: Buffer): string {
  return `${table}\n${column}\n${row}\n${wrapped.toString('latin1')}`;
}

/** The blind index of an already normalised value: a full HMAC under its column's own key. */
export function blindIndex(vault: Vault, column: string, normalised: string): Buffer {
  return hmac(vault.keyFor(`index:${column}`), normalised);
}
