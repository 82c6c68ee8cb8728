/** Lists: Relay connections over the core's pages. */
import type { Page } from '@careflex/core/platform/page';
import type { ObjectRef } from '@pothos/core';
import { builder } from './builder.ts';
import type { Audiences } from './permissions.ts';

const DEFAULT_PAGE = 25;

/** What a page of the list costs: as many times its items as were asked for. */
export const pageCost = ({ first }: { first?: number | null | undefined }) => ({
  field: 5,
  multiplier: Math.max(1, first ?? DEFAULT_PAGE),
});

/** The connection of a type, open to the same audience. */
export function connectionOf<T extends object>(
  type: ObjectRef<PothosTypes, T>,
  name: string,
  authScopes: Partial<Audiences>,
) {
  return builder.connectionObject({ type, name: `${name}Connection`, authScopes }, { name: `${name}Edge`, authScopes });
}

type PothosTypes = typeof builder extends { $inferSchemaTypes: infer T } ? T : never;

/** A page in Relay's form. Pages are only walked forward. */
export function toConnection<T>({ items, hasNextPage }: Page<T>) {
  return {
    edges: items as { cursor: string; node: T }[],
    pageInfo: {
      hasNextPage,
      hasPreviousPage: false,
      startCursor: items[0]?.cursor ?? null,
      endCursor: items.at(-1)?.cursor ?? null,
    },
  };
}
