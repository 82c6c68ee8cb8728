/** Words of people that belong to no patient for certain: sealed with the key ring. */
import { keyIdOf, open, type Place, seal, type Vault } from '#platform/vault';
import type { KeyColumn } from '#platform/rotation';

/** Sealed with the ring itself, for `rotateKeys`. */
export const sealedWords: readonly KeyColumn[] = [
  { table: 'inbound_messages', column: 'body' },
  { table: 'tasks', column: 'outcome' },
];

export const bodyOf = (row: string): Place => ({ table: 'inbound_messages', column: 'body', row });
export const outcomeOf = (row: string): Place => ({ table: 'tasks', column: 'outcome', row });

const PADDED_TO = 64;

/** How long the text is can be told from the sealed value in steps of 64 bytes only. */
export function sealWords({ ring }: Vault, place: Place, text: string): Buffer {
  const json = JSON.stringify(text);
  const bytes = Buffer.byteLength(json);
  return seal(ring.active, place, json + ' '.repeat(Math.ceil(bytes / PADDED_TO) * PADDED_TO - bytes));
}

/** Throws VaultError. */
export function openWords({ ring }: Vault, place: Place, sealed: Buffer): string {
  return JSON.parse(open(ring.get(keyIdOf(sealed)), place, sealed).toString('utf8')) as string;
}
