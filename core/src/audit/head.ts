/**
 * Signed tree heads: what the platform vouches for, and what an outside checker keeps.
 *
 * A head names the size and the root of the tree, when it was signed, by which key, and the hash of the head
 * before it. It is signed with Ed25519 (RFC 8032) over {@link headText}.
 */
import { createPrivateKey, createPublicKey, hash, type KeyObject, sign, verify } from 'node:crypto';
import { open, readFile, rename } from 'node:fs/promises';
import type pg from 'pg';
import { z } from 'zod';
import type { Db } from '#platform/database';
import type { Vault } from '#platform/vault';

const Hash = z.string().regex(/^[0-9a-f]{64}$/);

/** A tree head as JSON carries it: hashes in hexadecimal, the signature in base64. */
export const SignedHead = z.strictObject({
  size: z.int().min(1),
  root: Hash,
  /** UTC, milliseconds. */
  at: z.iso.datetime({ precision: 3 }),
  keyId: z.string().regex(/^[0-9a-f]{16}$/),
  /** The hash of the head before this one; zeros before the first. */
  previous: Hash,
  signature: z.base64().length(88),
});
export type SignedHead = z.output<typeof SignedHead>;
export type Head = Omit<SignedHead, 'signature'>;

/** What is stored is not what was signed. Nothing is sealed or pruned on top of it, so that the evidence stays. */
export class TrailDamaged extends Error {}

export const NO_HEAD = '0'.repeat(64);

/** The bytes that are signed. No part can hold a line break, so no two heads have the same. */
export function headText({ size, root, at, keyId, previous }: Head): Buffer {
  return Buffer.from(`careflex audit tree head 1\n${size}\n${root}\n${at}\n${keyId}\n${previous}\n`);
}

export function headHash(head: Head): string {
  return hash('sha256', headText(head), 'hex');
}

export function signHead(vault: Vault, head: Omit<Head, 'keyId'>): SignedHead {
  const keyed = { ...head, keyId: keyIdOf(publicKey(vault)) };
  return { ...keyed, signature: sign(null, headText(keyed), signingKey(vault)).toString('base64') };
}

/** Whether the owner of this public key signed the head. */
export function isGenuine(head: SignedHead, key: KeyObject): boolean {
  return head.keyId === keyIdOf(key) && verify(null, headText(head), key, Buffer.from(head.signature, 'base64'));
}

/** The first 8 bytes of the SHA-256 of the key's DER form, in hexadecimal. */
function keyIdOf(key: KeyObject): string {
  return hash('sha256', key.export({ format: 'der', type: 'spki' }), 'hex').slice(0, 16);
}

const signingKeys = new WeakMap<Vault, KeyObject>();

// What comes before the 32 bytes of an Ed25519 private key in PKCS #8 (RFC 8410).
const PKCS8_ED25519 = Buffer.from('302e020100300506032b657004220420', 'hex');

export function signingKey(vault: Vault): KeyObject {
  const known = signingKeys.get(vault);
  if (known !== undefined) return known;
  const der = Buffer.concat([PKCS8_ED25519, vault.keyFor('audit:sign')]);
  const key = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
  signingKeys.set(vault, key);
  return key;
}

export function publicKey(vault: Vault): KeyObject {
  return createPublicKey(signingKey(vault));
}

/** The newest head in the database, or that of a given size. */
export async function findHead(db: Db, size?: number): Promise<SignedHead | null> {
  const heads = db.selectFrom('audit_heads').selectAll().orderBy('size', 'desc').limit(1);
  const row = await (size === undefined ? heads : heads.where('size', '=', size)).executeTakeFirst();
  return row === undefined ? null : toHead(row);
}

/**
 * Whether the newest head was signed with this vault's key; true where there is none yet. For an administrator's
 * connection, before anything runs.
 */
export async function isOwnTrail(vault: Vault, client: pg.Client): Promise<boolean> {
  const { rows: there } = await client.query<{ exists: boolean }>(
    `select to_regclass('audit_heads') is not null as exists`,
  );
  if (!there[0]?.exists) return true;
  const { rows } = await client.query<HeadRow>('select * from audit_heads order by size desc limit 1');
  const newest = rows[0];
  if (newest === undefined) return true;
  return isGenuine(toHead(newest), publicKey(vault));
}

export interface HeadRow {
  readonly size: number;
  readonly root: Buffer;
  readonly at: Date | string;
  readonly key_id: string;
  readonly previous: Buffer;
  readonly signature: Buffer;
}

export function toHead(row: HeadRow): SignedHead {
  return {
    size: row.size,
    root: row.root.toString('hex'),
    at: (row.at as Date).toTemporalInstant().toString({ fractionalSecondDigits: 3 }),
    keyId: row.key_id,
    previous: row.previous.toString('hex'),
    signature: row.signature.toString('base64'),
  };
}

/** The head that was left outside the database; null when there is no such file. Throws when it holds no head. */
export async function readHeadFile(file: string): Promise<SignedHead | null> {
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null;
    throw error;
  });
  if (text === null) return null;
  try {
    return SignedHead.parse(JSON.parse(text));
  } catch (cause) {
    throw new Error(`${file} does not hold a signed tree head`, { cause });
  }
}

/** Replaces the file as a whole: a reader, or a crash at any point, finds the old head or the new one. */
export async function writeHeadFile(file: string, head: SignedHead): Promise<void> {
  const draft = `${file}.${process.pid}.tmp`;
  const handle = await open(draft, 'w', 0o644);
  try {
    await handle.writeFile(`${JSON.stringify(head)}\n`);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(draft, file);
}
