/**
 * An exported part of the trail, which an outsider checks with the public key and a signed head alone.
 *
 * The export is NDJSON, format `careflex-audit-export/1`. Hashes, MACs and proofs are hexadecimal, signatures base64.
 *
 *     {"format":…,"head":…,"publicKey":…,"range":…,"filter":…,"consistency":…}   first line
 *     {"leafIndex":…,"entry":{…},"mac":…,"proof":[…]}                            one line an entry, ascending
 *     {"count":…,"digest":…,"signature":…}                                       last line
 *
 * - `head` is a signed tree head: the Ed25519 signature is over the lines `careflex audit tree head 1`, size, root,
 *   at, keyId, previous, each ended by a line feed. `keyId` is the start of the SHA-256 of the key's DER form.
 * - `range` is [from, to): with `filter` null every leaf in it has a line; with a filter, only those that match.
 * - `consistency` is {"size","proof"}: it proves (RFC 6962, 2.1.2) that the tree of `head` begins with a smaller one.
 * - `entry` is canonical JSON (RFC 8785). The leaf is MAC and entry, the leaf hash SHA-256(0x00 ‖ mac ‖ entry), and
 *   `proof` its audit path (RFC 6962, 2.1.1) in the tree of `head`.
 * - `digest` is the SHA-256 of all lines before the last, line feeds included; the signature is over the lines
 *   `careflex audit export 1`, count, digest. It proves that nothing was left out of a filtered export afterwards.
 *
 * Every line is written without white space and with its members in this order.
 */
import { createHash, sign } from 'node:crypto';
import { type Expression, type SqlBool, sql } from 'kysely';
import type { Db } from '#platform/database';
import { type Scope, transact } from '#platform/scope';
import { canonical, contentColumns, type ContentRow, toContent } from './entry.ts';
import { findHead, publicKey, type SignedHead, signingKey } from './head.ts';
import { consistencyRanges, inclusionRanges, type Range } from './merkle.ts';
import { all } from './list.ts';
import { prunedBelow } from './prune.ts';
import { StoredTree } from './tree.ts';
import { entryLine, EXPORT_FORMAT, exportSeal } from './verify-export.ts';

export interface Selection {
  /** Conditions on `audit_entries e`; none for a complete range. */
  readonly conditions: readonly Expression<SqlBool>[];
  /** What the conditions came from, for the first line. */
  readonly filter: object | null;
  readonly range: { readonly from?: number | null | undefined; readonly to?: number | null | undefined };
  /** The size of a head that the reader keeps already, if it is older than the newest. */
  readonly since: number | null;
}

/** Hands over a line that ends in a line feed. When it returns a promise, that is awaited. */
export type WriteLine = (line: string) => unknown;

export interface Exported {
  readonly count: number;
  readonly head: SignedHead;
  readonly range: Range;
}

const BATCH = 1_000;

/** Writes the export. Returns null, and writes nothing, while nothing is sealed. */
export async function writeExport(scope: Scope, selection: Selection, write: WriteLine): Promise<Exported | null> {
  const start = await transact(scope, (scope) => begin(scope, selection));
  if (start === null) return null;
  const { head, range, first } = start;
  const digest = createHash('sha256');
  const put = async (line: string) => {
    digest.update(line);
    await write(line);
  };
  await put(first);

  const tree = new StoredTree();
  let count = 0;
  for (let [from, to] = range; from < to;) {
    const batch = await transact(scope, async ({ db }) => {
      const rows = await entriesBetween(db, [from, to], selection.conditions);
      const lines: string[] = [];
      for (const row of rows)
        lines.push(toLine(row, await tree.rangeRoots(db, inclusionRanges(row.leaf_index, head.size))));
      return { lines, last: rows.at(-1)?.leaf_index ?? to };
    });
    for (const line of batch.lines) await put(line);
    count += batch.lines.length;
    from = batch.lines.length < BATCH ? to : batch.last + 1;
  }
  const sum = digest.digest('hex');
  const signature = sign(null, exportSeal(count, sum), signingKey(scope.vault)).toString('base64');
  await write(`${JSON.stringify({ count, digest: sum, signature })}\n`);
  return { count, head, range };
}

async function begin({ db, vault }: Scope, { range, filter, since }: Selection) {
  const head = await findHead(db);
  if (head === null) return null;
  const from = Math.max(range.from ?? 0, await prunedBelow(db, vault));
  const to = Math.max(from, Math.min(range.to ?? head.size, head.size));
  const isOlder = since !== null && since < head.size;
  const proof = isOlder ? await new StoredTree().rangeRoots(db, consistencyRanges(since, head.size)) : [];
  const first = {
    format: EXPORT_FORMAT,
    head,
    publicKey: publicKey(vault).export({ format: 'pem', type: 'spki' }),
    range: [from, to],
    filter,
    consistency: isOlder ? { size: since, proof: proof.map((hash) => hash.toString('hex')) } : null,
  };
  return { head, range: [from, to] as const, first: `${JSON.stringify(first)}\n` };
}

type Row = ContentRow & { readonly leaf_index: number };

async function entriesBetween(db: Db, [from, to]: Range, conditions: Selection['conditions']): Promise<Row[]> {
  const { rows } = await sql<Row>`
    select l.leaf_index, ${contentColumns}
    from audit_leaves l join audit_entries e on e.id = l.entry_id
    where l.leaf_index >= ${from} and l.leaf_index < ${to} and ${all(conditions)}
    order by l.leaf_index
    limit ${BATCH}`.execute(db);
  return rows;
}

function toLine(row: Row, proof: readonly Buffer[]): string {
  const hashes = proof.map((hash) => hash.toString('hex'));
  return `${entryLine(row.leaf_index, canonical(toContent(row)), { mac: row.mac.toString('hex'), proof: hashes })}\n`;
}
