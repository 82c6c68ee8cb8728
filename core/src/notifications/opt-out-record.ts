/** Rows of opt-outs. Patients have no right to the table: a number has no owner in it. */
import { randomUUIDv7 } from 'node:crypto';
import { type Selectable, sql } from 'kysely';
import type { Database } from '#platform/database';
import { emit } from '#platform/events';
import { asSystem, type Scope, transact } from '#platform/scope';
import type { ContactKind, OptOutSource } from './consent.ts';

declare module '#platform/events' {
  interface Events {
    /** Of whom, where it was said for a patient. */
    'contact.opted_out': { optOutId: string; patientId: string | null };
    'contact.opted_in': { optOutId: string; patientId: string | null };
  }
}

/** How a number or address stands. */
export interface OptOut {
  readonly id: string;
  readonly contactKind: ContactKind;
  readonly contact: string;
  readonly optedOut: boolean;
  readonly source: OptOutSource;
  readonly recordedAt: Temporal.Instant;
}

type OptOutRow = Selectable<Database['opt_outs']>;

/** What was said last about each of the numbers and addresses. */
export async function newestOf(scope: Scope, indexes: readonly Buffer[]): Promise<OptOutRow[]> {
  if (indexes.length === 0) return [];
  return reaching(scope, async ({ db }) => {
    const { rows } = await sql<OptOutRow>`
      select newest.* from (select distinct contact_index from unnest(${indexes}::bytea[]) as asked (contact_index)) asked
      cross join lateral (
        select o.* from opt_outs o where o.contact_index = asked.contact_index
        order by o.recorded_at desc, o.id desc limit 1) as newest`.execute(db);
    return rows;
  });
}

export async function readById(scope: Scope, id: string): Promise<OptOutRow> {
  return reaching(scope, ({ db }) =>
    db.selectFrom('opt_outs').selectAll().where('id', '=', id).executeTakeFirstOrThrow(),
  );
}

interface Said {
  readonly index: Buffer;
  readonly optedOut: boolean;
  readonly source: OptOutSource;
  readonly patientId: string | null;
  readonly inboundMessageId?: string | null | undefined;
}

/** Returns the new row's id. */
export async function append(scope: Scope, said: Said): Promise<string> {
  const { index, optedOut, source, patientId, inboundMessageId } = said;
  const id = randomUUIDv7();
  const row = { id, contact_index: index, opted_out: optedOut, source, recorded_by: scope.actor.id };
  await reaching(scope, ({ db }) =>
    db
      .insertInto('opt_outs')
      .values({ ...row, recorded_at: scope.now.toString(), inbound_message_id: inboundMessageId ?? null })
      .execute(),
  );
  await emit(scope, optedOut ? 'contact.opted_out' : 'contact.opted_in', { optOutId: id, patientId });
  return id;
}

/** For a patient, whose right to the number is known by now, the system does it. */
function reaching<T>(scope: Scope, work: (scope: Scope) => Promise<T>): Promise<T> {
  return scope.actor.role === 'patient' ? transact(asSystem(scope), work) : work(scope);
}

export function toOptOut(row: OptOutRow, of: Pick<OptOut, 'contactKind' | 'contact'>): OptOut {
  return {
    id: row.id,
    ...of,
    optedOut: row.opted_out,
    source: row.source,
    recordedAt: row.recorded_at.toTemporalInstant(),
  };
}
