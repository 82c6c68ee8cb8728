/**
 * The stored tree: roots of any of its subtrees, from a few rows whatever its size.
 *
 * Stored are the leaves and every eighth level above them. So the tree falls into tiles of 256 nodes each; what
 * lies between is recomputed inside a tile.
 */
import type { Db } from '#platform/database';
import { completeRanges, nodeHash, type Range, RightEdge } from './merkle.ts';

const TILE_LEVELS = 8;
const TILE = 2 ** TILE_LEVELS;
/** Tiles remembered by one reader: about 50 KiB each. */
const REMEMBERED = 64;

/** Whether nodes of this level are stored, beside the leaves. */
export function isStoredLevel(level: number): boolean {
  return level > 0 && level % TILE_LEVELS === 0;
}

/** The hashes of a tile, level by level: of the lowest up to 256, then their parents, as far as they are complete. */
type Tile = readonly (readonly Buffer[])[];

/** Reads subtrees of the first leaves of the tree, which never change. Remembers what it read last. */
export class StoredTree {
  readonly #tiles = new Map<string, Tile>();

  /** The right edge of the tree of the first `size` leaves. */
  async rootsAt(db: Db, size: number): Promise<Buffer[]> {
    const roots: Buffer[] = [];
    for (const range of completeRanges([0, size])) roots.push(await this.#completeRoot(db, range));
    return roots;
  }

  /** The root over a range as RFC 6962 divides a tree. */
  async rangeRoot(db: Db, range: Range): Promise<Buffer> {
    const roots: Buffer[] = [];
    for (const complete of completeRanges(range)) roots.push(await this.#completeRoot(db, complete));
    return new RightEdge(0, roots).root();
  }

  async rangeRoots(db: Db, ranges: readonly Range[]): Promise<Buffer[]> {
    const roots: Buffer[] = [];
    for (const range of ranges) roots.push(await this.rangeRoot(db, range));
    return roots;
  }

  async #completeRoot(db: Db, [from, to]: Range): Promise<Buffer> {
    const level = Math.log2(to - from);
    const base = level - (level % TILE_LEVELS);
    const index = from / (to - from);
    const perTile = TILE / 2 ** (level - base);
    const tile = await this.#tile(db, base, Math.floor(index / perTile));
    const hash = tile[level - base]?.[index % perTile];
    if (hash === undefined) throw new MissingNode(`The sealed tree has no leaves ${from} to ${to - 1}`);
    return hash;
  }

  async #tile(db: Db, base: number, index: number): Promise<Tile> {
    const key = `${base} ${index}`;
    const known = this.#tiles.get(key);
    if (known !== undefined) return known;
    const oldest = this.#tiles.keys().next();
    if (this.#tiles.size >= REMEMBERED && !oldest.done) this.#tiles.delete(oldest.value);
    const tile = grow(await readTile(db, base, index));
    this.#tiles.set(key, tile);
    return tile;
  }
}

/** A part of the tree that was sealed and is gone. */
export class MissingNode extends Error {}

async function readTile(db: Db, base: number, index: number): Promise<Buffer[]> {
  const [from, to] = [index * TILE, (index + 1) * TILE];
  const rows =
    base === 0
      ? await db
          .selectFrom('audit_leaves')
          .select(['leaf_index as at', 'leaf_hash as hash'])
          .where('leaf_index', '>=', from)
          .where('leaf_index', '<', to)
          .orderBy('leaf_index')
          .execute()
      : await db
          .selectFrom('audit_nodes')
          .select(['node_index as at', 'hash'])
          .where('level', '=', base)
          .where('node_index', '>=', from)
          .where('node_index', '<', to)
          .orderBy('node_index')
          .execute();
  // Behind a gap nothing is where it belongs.
  const gap = rows.findIndex((row, i) => row.at !== from + i);
  return rows.slice(0, gap === -1 ? rows.length : gap).map((row) => row.hash);
}

function grow(lowest: readonly Buffer[]): Tile {
  const tile = [lowest];
  for (let below = lowest; tile.length < TILE_LEVELS && below.length > 1;) {
    const above: Buffer[] = [];
    for (let i = 0; i + 1 < below.length; i += 2) above.push(nodeHash(below[i] as Buffer, below[i + 1] as Buffer));
    tile.push(above);
    below = above;
  }
  return tile;
}
