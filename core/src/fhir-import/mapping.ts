/** What all mappings from FHIR share: what they are told, what they answer, and which of several entries counts. */
import type { Issue } from './resource.ts';

export interface MappingContext {
  /** ISO, in the clinic's zone. */
  readonly today: string;
  readonly region: string;
  /** Set before every id of this export, when several systems' exports come together. */
  readonly source: string | null;
}

export interface Mapped<R> {
  readonly record: R;
  /** What was left out of the record, and why. */
  readonly warnings: readonly Issue[];
  /** Where in the resource each field of the record comes from, as FHIRPath. */
  readonly origin: Readonly<Record<string, string>>;
}

export function idIn(context: MappingContext, id: string): string {
  return context.source === null ? id : `${context.source}/${id}`;
}

interface Used {
  readonly use?: string | null | undefined;
  readonly period?: { readonly end?: string | null | undefined } | null | undefined;
}

/** An entry that has not been put out of use, by name or by date. */
export function isCurrent({ use, period }: Used, today: string): boolean {
  const end = period?.end?.slice(0, today.length);
  // FHIR's dates may be a year or a month, which last until their end.
  return use !== 'old' && (!end || end >= today.slice(0, end.length));
}

export interface Entry<T> {
  readonly value: T;
  readonly index: number;
}

/** Sorted by `ranks`, the first one that differs deciding; equal entries keep their order. Smaller is better. */
export function bestFirst<T>(entries: readonly T[], ranks: (entry: T) => readonly number[]): Entry<T>[] {
  return entries
    .map((value, index) => ({ value, index, ranks: ranks(value) }))
    .sort((a, b) => {
      const at = a.ranks.findIndex((rank, i) => rank !== b.ranks[i]);
      return at === -1 ? 0 : (a.ranks[at] ?? 0) - (b.ranks[at] ?? 0);
    });
}

/** A rank by position: what is not listed takes the place of `other`. */
export function rankIn(order: readonly string[], value: string | null | undefined): number {
  const at = order.indexOf(value ?? '');
  return at === -1 ? order.indexOf('other') : at;
}
