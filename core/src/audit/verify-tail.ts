/** The end of the trail, in the time of a few rows: what a look at the platform's health can afford every time. */
import { type Scope, transact } from '#platform/scope';
import { findHead, type SignedHead, TrailDamaged } from './head.ts';
import { prunedBelow } from './prune.ts';
import { refuseDifference, rootsAt } from './seal.ts';
import { leavesBetween, stateOf } from './verify.ts';
import { RightEdge } from './merkle.ts';

const TAIL = 1_000;

/** Throws {@link TrailDamaged} when the trail was cut off, or its last thousand entries are not those that were sealed. */
export async function verifyTail(scope: Scope, trustedHead: SignedHead | null): Promise<void> {
  await transact(scope, async (scope) => {
    const { db, vault } = scope;
    const newest = await findHead(db);
    await refuseDifference(scope, newest, trustedHead);
    if (newest === null) return;
    const edge = new RightEdge(newest.size, await rootsAt(db, newest.size));
    if (edge.root().toString('hex') !== newest.root) {
      throw new TrailDamaged('The stored tree is not the one that was signed last');
    }
    const pruned = await prunedBelow(db, vault);
    for (const leaf of await leavesBetween(db, Math.max(0, newest.size - TAIL), newest.size)) {
      const state = stateOf(vault, leaf);
      if (state === 'genuine' || (state === 'gone' && leaf.leaf_index < pruned)) continue;
      throw new TrailDamaged(`The entry of sequence ${leaf.leaf_index} is not the one that was sealed`);
    }
  });
}
