/**
 * Pages by cursor. A cursor is the sort key of the row it stands at, so a page stays stable while rows come and
 * go before it. It carries ids and instants only, never PHI.
 */
import { z } from 'zod';
import { InvalidInput } from './errors.ts';

const DEFAULT_PAGE = 25;
const MAX_PAGE = 100;

export const PageInput = z.object({
  first: z
    .int('expected a whole number')
    .min(1, 'expected at least 1')
    .max(MAX_PAGE, `expected at most ${MAX_PAGE}`)
    .nullish()
    .transform((first) => first ?? DEFAULT_PAGE),
  after: z
    .string()
    .max(500)
    .nullish()
    .transform((after) => after ?? null),
});
export type PageInput = z.input<typeof PageInput>;

export interface Page<T> {
  readonly items: readonly { readonly node: T; readonly cursor: string }[];
  readonly hasNextPage: boolean;
}

export function encodeCursor(...key: readonly (string | number)[]): string {
  return Buffer.from(JSON.stringify(key)).toString('base64url');
}

/** The key inside a cursor, checked by `schema` (a tuple). Throws {@link InvalidInput} at path `after`. */
export function decodeCursor<T extends z.ZodType>(cursor: string, schema: T): z.output<T> {
  try {
    return schema.parse(JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8')));
  } catch {
    throw new InvalidInput([{ path: ['after'], message: 'expected a cursor from an earlier page of the same list' }]);
  }
}

/** A page out of up to `first + 1` rows: the one too many only tells that there is more. */
export function toPage<R, T>(
  rows: readonly R[],
  first: number,
  of: { readonly node: (row: R) => T; readonly key: (row: R) => readonly (string | number)[] },
): Page<T> {
  return {
    items: rows.slice(0, first).map((row) => ({ node: of.node(row), cursor: encodeCursor(...of.key(row)) })),
    hasNextPage: rows.length > first,
  };
}
