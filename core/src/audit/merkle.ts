/**
 * The Merkle tree of RFC 6962 (Certificate Transparency), section 2.1, over SHA-256. Pure functions.
 *
 * Everywhere a leaf is given by its hash, `leafHash(data)`. Sizes and indexes are whole numbers below 2^53.
 */
import { hash } from 'node:crypto';

/** SHA-256(0x00 ‖ data). */
export function leafHash(data: Buffer): Buffer {
  return sha256(Buffer.concat([LEAF, data]));
}

/** SHA-256(0x01 ‖ left ‖ right). */
export function nodeHash(left: Buffer, right: Buffer): Buffer {
  return sha256(Buffer.concat([NODE, left, right]));
}

/** The root over these leaf hashes. Of an empty tree it is the hash of the empty string. */
export function merkleRoot(leafHashes: readonly Buffer[]): Buffer {
  const edge = new RightEdge();
  for (const leaf of leafHashes) edge.append(leaf);
  return edge.root();
}

/** The audit path of the leaf at `index`, from the leaf upwards. Throws RangeError when there is no such leaf. */
export function inclusionProof(leafHashes: readonly Buffer[], index: number): Buffer[] {
  return inclusionRanges(index, leafHashes.length).map(([from, to]) => merkleRoot(leafHashes.slice(from, to)));
}

/** Proves that the tree of the first `oldSize` leaves is a beginning of this one. Throws RangeError. */
export function consistencyProof(leafHashes: readonly Buffer[], oldSize: number): Buffer[] {
  return consistencyRanges(oldSize, leafHashes.length).map(([from, to]) => merkleRoot(leafHashes.slice(from, to)));
}

export interface Inclusion {
  readonly leafHash: Buffer;
  readonly index: number;
  readonly size: number;
  readonly proof: readonly Buffer[];
  readonly root: Buffer;
}

/** Whether the proof leads from this leaf at this index to the root (RFC 9162, 2.1.3.2). */
export function verifyInclusion({ leafHash, index, size, proof, root }: Inclusion): boolean {
  if (!isIndex(index, size)) return false;
  const sides = sidesOf([index, size - 1], proof.length);
  return sides !== null && climb(leafHash, proof, sides).equals(root);
}

export interface Consistency {
  readonly oldSize: number;
  readonly newSize: number;
  readonly oldRoot: Buffer;
  readonly newRoot: Buffer;
  readonly proof: readonly Buffer[];
}

/** Whether the proof shows that the new tree begins with the old one (RFC 9162, 2.1.4.2). */
export function verifyConsistency({ oldSize, newSize, oldRoot, newRoot, proof }: Consistency): boolean {
  if (!isIndex(oldSize, newSize + 1)) return false;
  if (oldSize === newSize) return proof.length === 0 && oldRoot.equals(newRoot);
  // Every tree begins with the empty one, of which nothing needs to be proven but its root.
  if (oldSize === 0) return proof.length === 0 && oldRoot.equals(EMPTY_ROOT);

  const [first, ...path] = isPowerOfTwo(oldSize) ? [oldRoot, ...proof] : proof;
  const sides = sidesOf(lastCompleteSubtree(oldSize, newSize), path.length);
  if (first === undefined || sides === null) return false;
  // What stands left of the way belongs to both trees, what stands right of it to the new one alone.
  const shared = path.filter((_, i) => sides[i] === 'left');
  const oldHash = climb(
    first,
    shared,
    shared.map(() => 'left'),
  );
  return oldHash.equals(oldRoot) && climb(first, path, sides).equals(newRoot);
}

/** Where the old tree's rightmost complete subtree stands on its level, and where that level ends. */
function lastCompleteSubtree(oldSize: number, newSize: number): [number, number] {
  let [at, last] = [oldSize - 1, newSize - 1];
  while (isOdd(at)) [at, last] = [half(at), half(last)];
  return [at, last];
}

type Side = 'left' | 'right';

/** On which side of the way from a node up to the root each sibling stands; null when the way has another length. */
function sidesOf([index, lastIndex]: readonly [number, number], length: number): Side[] | null {
  const sides: Side[] = [];
  let [at, last] = [index, lastIndex];
  while (sides.length < length) {
    if (last === 0) return null;
    const isLeft = isOdd(at) || at === last;
    // The last node of a level without a sibling rises as it is.
    if (isLeft) while (!isOdd(at) && at !== 0) [at, last] = [half(at), half(last)];
    sides.push(isLeft ? 'left' : 'right');
    [at, last] = [half(at), half(last)];
  }
  return last === 0 ? sides : null;
}

function climb(from: Buffer, siblings: readonly Buffer[], sides: readonly Side[]): Buffer {
  return siblings.reduce(
    (hash, sibling, i) => (sides[i] === 'left' ? nodeHash(sibling, hash) : nodeHash(hash, sibling)),
    from,
  );
}

/** Leaves from the first, inclusive, to the second, exclusive. */
export type Range = readonly [from: number, to: number];

/** The subtrees whose roots are the audit path of a leaf, from the leaf upwards: PATH(m, D[n]). */
export function inclusionRanges(index: number, size: number): Range[] {
  if (!isIndex(index, size)) throw new RangeError(`There is no leaf ${index} in a tree of ${size}`);
  const ranges: Range[] = [];
  let [from, to] = [0, size];
  while (to - from > 1) {
    const middle = from + largestPowerBelow(to - from);
    ranges.push(index < middle ? [middle, to] : [from, middle]);
    if (index < middle) to = middle;
    else from = middle;
  }
  return ranges.toReversed();
}

/** The subtrees whose roots prove consistency: PROOF(m, D[n]). */
export function consistencyRanges(oldSize: number, size: number): Range[] {
  if (!isIndex(oldSize, size + 1)) throw new RangeError(`There is no tree of ${oldSize} in one of ${size}`);
  if (oldSize === 0 || oldSize === size) return [];
  const ranges: Range[] = [];
  let [from, to] = [0, size];
  while (oldSize !== to) {
    const middle = from + largestPowerBelow(to - from);
    ranges.push(oldSize <= middle ? [middle, to] : [from, middle]);
    if (oldSize <= middle) to = middle;
    else from = middle;
  }
  // The old root itself is what the verifier already has.
  if (from > 0) ranges.push([from, to]);
  return ranges.toReversed();
}

/** The complete subtrees that a tree consists of, from left to right: one for each bit of its size. */
export function completeRanges([from, to]: Range): Range[] {
  const ranges: Range[] = [];
  for (let start = from; start < to;) {
    const end = start + largestPowerBelow(to - start + 1);
    ranges.push([start, end]);
    start = end;
  }
  return ranges;
}

/** The right edge of a growing tree: the roots of its complete subtrees, at most 53 of them, whatever its size. */
export class RightEdge {
  #size: number;
  readonly #roots: Buffer[];
  readonly #onComplete: OnComplete;

  /** Grows on from a tree that is there already, given by its size and the roots of its {@link completeRanges}. */
  constructor(size = 0, roots: readonly Buffer[] = [], onComplete: OnComplete = () => undefined) {
    this.#size = size;
    this.#roots = [...roots];
    this.#onComplete = onComplete;
  }

  get size(): number {
    return this.#size;
  }

  append(leaf: Buffer): void {
    let [hash, level, index] = [leaf, 0, this.#size];
    while (isOdd(index)) {
      hash = nodeHash(this.#roots.pop() as Buffer, hash);
      [level, index] = [level + 1, half(index)];
      this.#onComplete(level, index, hash);
    }
    this.#roots.push(hash);
    this.#size += 1;
  }

  root(): Buffer {
    return this.#roots.length === 0 ? EMPTY_ROOT : this.#roots.reduceRight((right, left) => nodeHash(left, right));
  }
}

/** Hears of each inner node once its subtree of 2^level leaves is complete. */
export type OnComplete = (level: number, nodeIndex: number, hash: Buffer) => void;

const LEAF = Buffer.of(0);
const NODE = Buffer.of(1);
const EMPTY_ROOT = sha256(Buffer.alloc(0));

function sha256(data: Buffer): Buffer {
  return hash('sha256', data, 'buffer');
}

// Arithmetic and not bit operations, which JavaScript cuts to 32 bits.
const half = (n: number): number => Math.floor(n / 2);
const isOdd = (n: number): boolean => n % 2 === 1;
const isPowerOfTwo = (n: number): boolean => largestPowerBelow(n + 1) === n;
const isIndex = (n: number, below: number): boolean => Number.isSafeInteger(n) && n >= 0 && n < below;

/** The largest power of two smaller than `n`, for n > 1. */
function largestPowerBelow(n: number): number {
  let power = 1;
  while (power * 2 < n) power *= 2;
  return power;
}
