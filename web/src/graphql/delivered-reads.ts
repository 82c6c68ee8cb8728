/**
 * Reads by subscribers who got the result of somebody else's execution, on their way into the audit trail.
 *
 * A subscription's start is on record before its first event. What it then delivered is recorded every few seconds,
 * one entry per subscriber and kind with the ids of that time: a thousand agents who watch a busy day would
 * otherwise write a thousand entries for every visit. While the entries cannot be written nobody gets anything more.
 */
import type { App } from '@careflex/core/app';
import * as audit from '@careflex/core/audit';
import { type Actor, type Origin, SYSTEM } from '@careflex/core/platform/scope';
import { type Ticker, ticker } from '@careflex/core/platform/ticker';

export interface Reader {
  readonly actor: Actor;
  readonly origin: Origin;
}

export interface DeliveredReads {
  /** Throws what the last attempt to write failed with. */
  add(reader: Reader, reads: readonly audit.Entry[]): void;
  /** Writes what is left. */
  close(): Promise<void>;
}

const WRITE_EVERY_MS = 5_000;

interface Gathered {
  readonly first: audit.Entry;
  readonly resourceIds: Set<string>;
  readonly patientIds: Set<string>;
}

export function createDeliveredReads(app: App, writeEveryMs = WRITE_EVERY_MS): DeliveredReads {
  let gathered = new Map<Reader, Map<string, Gathered>>();
  let failure: Error | undefined;

  async function write(): Promise<void> {
    if (gathered.size === 0) return;
    const writing = gathered;
    gathered = new Map();
    try {
      const scope = app.scope(SYSTEM, { id: 'delivered-reads', ip: null, userAgent: null });
      await audit.recordOnBehalf(scope, [...writing].flatMap(toRecords));
      failure = undefined;
    } catch (thrown) {
      failure = new Error('What was delivered could not be recorded', { cause: thrown });
      for (const [reader, entries] of gathered) for (const entry of entries.values()) gather(writing, reader, entry);
      gathered = writing;
      throw thrown;
    }
  }

  let writer: Ticker | undefined;
  const begin = () =>
    ticker({
      everyMs: writeEveryMs,
      run: write,
      onError: (error) => app.log.error('What was delivered could not be recorded', { error }),
    });

  return {
    add(reader, reads) {
      if (failure !== undefined) throw failure;
      writer ??= begin();
      for (const first of reads) {
        const resourceIds = new Set(first.resourceIds ?? (first.resourceId ? [first.resourceId] : []));
        gather(gathered, reader, { first, resourceIds, patientIds: new Set(first.patientIds) });
      }
    },
    async close() {
      await writer?.[Symbol.asyncDispose]();
      await write().catch((error: unknown) => app.log.error('Reads that were delivered are not recorded', { error }));
    },
  };
}

function gather(into: Map<Reader, Map<string, Gathered>>, reader: Reader, entry: Gathered): void {
  const kinds = into.get(reader) ?? new Map<string, Gathered>();
  into.set(reader, kinds);
  const kind = `${entry.first.action} ${entry.first.resourceType} ${entry.first.outcome ?? ''}`;
  const known = kinds.get(kind);
  if (known === undefined) return void kinds.set(kind, entry);
  for (const id of entry.resourceIds) known.resourceIds.add(id);
  for (const id of entry.patientIds) known.patientIds.add(id);
}

function toRecords([{ actor, origin }, kinds]: [Reader, Map<string, Gathered>]): audit.OnBehalf[] {
  return [...kinds.values()].map(({ first: { action, resourceType, outcome }, resourceIds, patientIds }) => {
    const [id, ...others] = resourceIds;
    const one = id !== undefined && others.length === 0;
    const entry: audit.Entry = {
      action,
      resourceType,
      ...(one ? { resourceId: id } : { resourceIds: [...resourceIds] }),
      patientIds: [...patientIds],
      ...(outcome === undefined ? {} : { outcome }),
    };
    return { actor, request: origin, entry };
  });
}
