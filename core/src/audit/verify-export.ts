/** Checks an export (its format: see export.ts) without a database and without a secret. */
import { createHash, createPublicKey, KeyObject, verify } from 'node:crypto';
import { z } from 'zod';
import { canonical, entryLeafHash } from './entry.ts';
import { isGenuine, SignedHead } from './head.ts';
import { verifyConsistency, verifyInclusion } from './merkle.ts';

export const EXPORT_FORMAT = 'careflex-audit-export/1';

/** One clear sentence: the export and the trusted head say nothing about each other, so nothing is known to be wrong. */
export class HeadsApart extends Error {}

/** What the signature of the last line covers. */
export function exportSeal(count: number, digest: string): Buffer {
  return Buffer.from(`careflex audit export 1\n${count}\n${digest}\n`);
}

/** The one way an entry is written. `content` is its canonical form. */
export function entryLine(leafIndex: number, content: string, of: { mac: string; proof: readonly string[] }): string {
  return `{"leafIndex":${leafIndex},"entry":${content},"mac":"${of.mac}","proof":${JSON.stringify(of.proof)}}`;
}

export interface ExportDamage {
  readonly kind: 'edited' | 'deleted' | 'reordered' | 'cut off' | 'unsigned' | 'malformed';
  /** From 1. */
  readonly line: number;
  readonly leafIndex: number | null;
  readonly entryId: string | null;
  readonly message: string;
}

export interface ExportCheck {
  /** The head that the export was made at; null when not even the first line could be used. */
  readonly head: SignedHead | null;
  readonly range: readonly [from: number, to: number] | null;
  /** Whether every entry of the range is there, proven by the tree; false for a filtered export. */
  readonly isComplete: boolean;
  /** Entries that are proven. */
  readonly count: number;
  readonly firstBad: ExportDamage | null;
}

const Hash = z.string().regex(/^[0-9a-f]{64}$/);
const Index = z.int().min(0);

const FirstLine = z.strictObject({
  format: z.literal(EXPORT_FORMAT),
  head: SignedHead,
  publicKey: z.string(),
  range: z.tuple([Index, Index]),
  filter: z.record(z.string(), z.unknown()).nullable(),
  consistency: z.strictObject({ size: Index, proof: z.array(Hash) }).nullable(),
});
type FirstLine = z.output<typeof FirstLine>;

const EntryLine = z.strictObject({
  leafIndex: Index,
  entry: z.strictObject({
    action: z.string(),
    at: z.string(),
    changedFields: z.array(z.string()),
    id: z.string(),
    ipAddress: z.string().nullable(),
    outcome: z.string(),
    patientIds: z.array(z.string()),
    purpose: z.string().nullable(),
    requestId: z.string(),
    resourceId: z.string().nullable(),
    resourceIds: z.array(z.string()),
    resourceType: z.string(),
    userAgent: z.string().nullable(),
    userId: z.string(),
    userRole: z.string(),
  }),
  mac: Hash,
  proof: z.array(Hash),
});
type EntryLine = z.output<typeof EntryLine>;

const LastLine = z.strictObject({ count: Index, digest: Hash, signature: z.base64() });
type LastLine = z.output<typeof LastLine>;

/**
 * Checks an export line by line against a head that was kept elsewhere, and names the first bad entry. The trusted
 * head is the export's own, or an older one for which the export carries a proof of consistency. `publicKey` is in
 * PEM. Throws {@link HeadsApart} for any other genuine head, and when the key is none.
 */
export async function verifyExport(
  lines: Iterable<string> | AsyncIterable<string>,
  trustedHead: SignedHead,
  publicKey: string | KeyObject,
): Promise<ExportCheck> {
  const key = publicKey instanceof KeyObject ? publicKey : createPublicKey(publicKey);
  const reading = new Reading(trustedHead, key);
  for await (const line of lines) {
    reading.take(line.endsWith('\n') ? line.slice(0, -1) : line);
    if (reading.isOver) break;
  }
  return reading.result();
}

class Reading {
  #line = 0;
  #count = 0;
  #first: FirstLine | null = null;
  #last: LastLine | null = null;
  /** The next leaf of a complete range; in a filtered export, the lowest that may come. */
  #next = 0;
  #firstBad: ExportDamage | null = null;
  /** A gap was found: does the line that is missing come later? */
  #missing: number | null = null;
  readonly #digest = createHash('sha256');
  readonly #trusted: SignedHead;
  readonly #key: KeyObject;

  constructor(trusted: SignedHead, key: KeyObject) {
    this.#trusted = trusted;
    this.#key = key;
  }

  get isOver(): boolean {
    return this.#firstBad !== null && this.#missing === null;
  }

  take(text: string): void {
    this.#line += 1;
    const value = strictJson(text);
    if (this.#missing !== null) return this.#lookForMissing(value);
    if (this.#last !== null) return this.#bad('malformed', 'there is something behind the last line');
    if (this.#first === null) return this.#takeFirst(text, value);
    const entry = EntryLine.safeParse(value);
    if (entry.success) return this.#takeEntry(text, entry.data);
    const last = LastLine.safeParse(value);
    if (last.success) return this.#takeLast(last.data);
    this.#bad('malformed', 'the line is not one of an export', { leafIndex: this.#isFiltered ? null : this.#next });
  }

  result(): ExportCheck {
    if (this.#firstBad === null && this.#last === null) this.#bad('cut off', 'the last line is missing', this.#place());
    return {
      head: this.#first?.head ?? null,
      range: this.#first?.range ?? null,
      isComplete: this.#firstBad === null && !this.#isFiltered,
      count: this.#count,
      firstBad: this.#firstBad,
    };
  }

  get #isFiltered(): boolean {
    return this.#first?.filter !== null;
  }

  #takeFirst(text: string, value: unknown): void {
    const first = FirstLine.safeParse(value);
    if (!first.success) return this.#bad('malformed', 'the first line is not that of an export');
    const problem = headProblem(first.data, this.#trusted, this.#key);
    if (problem !== null) return this.#bad('unsigned', problem);
    this.#first = first.data;
    this.#next = first.data.range[0];
    this.#digest.update(`${text}\n`);
  }

  #takeEntry(text: string, line: EntryLine): void {
    const { head, range } = this.#first as FirstLine;
    const where = { leafIndex: line.leafIndex, entryId: line.entry.id };
    const content = canonical(line.entry);
    const isProven = verifyInclusion({
      leafHash: entryLeafHash(Buffer.from(line.mac, 'hex'), content),
      index: line.leafIndex,
      size: head.size,
      proof: line.proof.map((hash) => Buffer.from(hash, 'hex')),
      root: Buffer.from(head.root, 'hex'),
    });
    // Another order of members would be another text under the same leaf.
    if (!isProven || entryLine(line.leafIndex, content, line) !== text) {
      return this.#bad('edited', 'the entry is not the one that was sealed here', where);
    }
    if (line.leafIndex < this.#next || line.leafIndex >= range[1]) {
      return this.#bad('reordered', 'the entry does not belong here', where);
    }
    if (!this.#isFiltered && line.leafIndex > this.#next) {
      this.#missing = this.#next;
      return this.#bad('deleted', 'an entry is missing here', { leafIndex: this.#next });
    }
    this.#next = line.leafIndex + 1;
    this.#count += 1;
    this.#digest.update(`${text}\n`);
  }

  #lookForMissing(value: unknown): void {
    const entry = EntryLine.safeParse(value);
    if (!entry.success || entry.data.leafIndex !== this.#missing || this.#firstBad === null) return;
    this.#missing = null;
    const { id: entryId } = entry.data.entry;
    this.#firstBad = { ...this.#firstBad, kind: 'reordered', entryId, message: 'the entry stands at another place' };
  }

  #takeLast(last: LastLine): void {
    const { range } = this.#first as FirstLine;
    this.#last = last;
    if (!this.#isFiltered && this.#next < range[1]) {
      return this.#bad('cut off', 'the entries from here on are missing', this.#place());
    }
    const isOurs = verify(null, exportSeal(last.count, last.digest), this.#key, Buffer.from(last.signature, 'base64'));
    if (!isOurs) return this.#bad('unsigned', 'the last line was not signed by this key');
    if (last.count !== this.#count || last.digest !== this.#digest.digest('hex')) {
      this.#bad('deleted', `${last.count} entries were exported, and these ${this.#count} are not all of them`);
    }
  }

  #place(): { leafIndex: number | null } {
    return { leafIndex: this.#first === null || this.#isFiltered ? null : this.#next };
  }

  #bad(kind: ExportDamage['kind'], message: string, where: Partial<ExportDamage> = {}): void {
    this.#firstBad = { kind, line: this.#line, leafIndex: null, entryId: null, message, ...where };
  }
}

/** The value of a line that is written in the one way an export writes it: no member twice, no white space. */
function strictJson(text: string): unknown {
  try {
    const value: unknown = JSON.parse(text);
    return JSON.stringify(value) === text ? value : undefined;
  } catch {
    return undefined;
  }
}

function headProblem({ head, consistency, range }: FirstLine, trusted: SignedHead, key: KeyObject): string | null {
  if (!isGenuine(trusted, key)) return 'the trusted head was not signed by this key';
  if (!isGenuine(head, key)) return 'the head of the export was not signed by this key';
  if (range[1] > head.size) return 'the export reaches beyond its head';
  if (trusted.size > head.size) {
    throw new HeadsApart(
      `The export was made at ${head.size} sealed entries and the head at ${trusted.size}: take a head that was kept before the export, or export anew.`,
    );
  }
  if (trusted.size < head.size && consistency?.size !== trusted.size) {
    throw new HeadsApart(
      `The export does not say that it continues the head of ${trusted.size} entries: export anew, with that head as --since.`,
    );
  }
  return continues(head, trusted, consistency) ? null : 'the export is not of the trail that the trusted head knows';
}

function continues(head: SignedHead, trusted: SignedHead, consistency: FirstLine['consistency']): boolean {
  const proof = trusted.size === head.size ? [] : (consistency?.proof ?? []);
  return verifyConsistency({
    oldSize: trusted.size,
    newSize: head.size,
    oldRoot: Buffer.from(trusted.root, 'hex'),
    newRoot: Buffer.from(head.root, 'hex'),
    proof: proof.map((hash) => Buffer.from(hash, 'hex')),
  });
}
