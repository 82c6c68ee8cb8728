/**
 * Idempotency keys: the same key and the same input give the first answer again; another input is refused.
 *
 * The key is written in the change's own transaction. Of several callers at once one does the work, the others
 * wait for its commit; if it fails, its key is free again and the next one tries.
 */
import { z } from 'zod';
import { IdempotencyMismatch } from './errors.ts';
import { isPrintable, NOT_PRINTABLE, parse } from './input.ts';
import { type Scope, transact } from './scope.ts';
import { hmac } from './vault.ts';

declare module './database.ts' {
  interface Database {
    idempotency_keys: {
      actor_id: string;
      operation: string;
      key: string;
      input_hash: Buffer;
      result_id: string | null;
      created_at: Date | string;
    };
  }
}

const IdempotencyKey = z.string().min(1).max(200).refine(isPrintable, NOT_PRINTABLE);

export interface Once {
  /** Keys are the caller's own, and per operation. Without one the work is simply done. */
  readonly key: string | null | undefined;
  /** The operation's name, such as `patient.create`. */
  readonly operation: string;
  /** What the caller sent, parsed. Kept only as a keyed hash. */
  readonly input: unknown;
}

/**
 * Does `work` once per key and returns the id of its result; a repeat returns the first id without doing it.
 * Call it inside `transact`. Throws {@link IdempotencyMismatch}.
 */
export async function once(
  scope: Scope,
  { key, operation, input }: Once,
  work: () => Promise<string>,
): Promise<string> {
  if (key === null || key === undefined) return work();
  const of = { actor_id: scope.actor.id, operation, key: hashOfKey(scope, key).toString('base64url') };
  const input_hash = hashOfInput(scope, input);

  const claimed = await scope.db
    .insertInto('idempotency_keys')
    .values({ ...of, input_hash, result_id: null, created_at: scope.now.toString() })
    .onConflict((conflict) => conflict.columns(['actor_id', 'operation', 'key']).doNothing())
    .executeTakeFirst();
  const mine = scope.db.updateTable('idempotency_keys').where((eb) => eb.and(of));
  if (claimed.numInsertedOrUpdatedRows === 1n) {
    const result_id = await work();
    await mine.set({ result_id }).execute();
    return result_id;
  }
  const first = await scope.db
    .selectFrom('idempotency_keys')
    .select(['input_hash', 'result_id'])
    .where((eb) => eb.and(of))
    .executeTakeFirstOrThrow();
  if (!first.input_hash.equals(input_hash) || first.result_id === null) throw new IdempotencyMismatch();
  return first.result_id;
}

/** A client may make its keys out of anything, names included. Throws InvalidInput for what is no key. */
export function hashOfKey({ vault }: Scope, key: string): Buffer {
  return hmac(vault.keyFor('idempotency:key'), parse(IdempotencyKey, key));
}

/** Tells the same input from another one; says nothing about it to whoever lacks the secret. */
export function hashOfInput({ vault }: Scope, input: unknown): Buffer {
  return hmac(vault.keyFor('idempotency'), JSON.stringify(input));
}

/** Forgets the keys under which this was made or changed, or those of this actor: for what is erased. For the system. */
export async function forgetKeysOf({ db }: Scope, of: { resultId: string } | { actorId: string }): Promise<void> {
  const [column, id] = 'resultId' in of ? (['result_id', of.resultId] as const) : (['actor_id', of.actorId] as const);
  await db.deleteFrom('idempotency_keys').where(column, '=', id).execute();
}

const KEPT_HOURS = 30 * 24;

/** Forgets the keys of more than thirty days ago: nobody repeats a request so late. Returns how many. */
export async function forgetOldKeys(scope: Scope): Promise<number> {
  return transact(scope, async ({ db, now }) => {
    const { numDeletedRows } = await db
      .deleteFrom('idempotency_keys')
      .where('created_at', '<', now.subtract({ hours: KEPT_HOURS }).toString())
      .executeTakeFirst();
    return Number(numDeletedRows);
  });
}
