/** What came of visits, each with what was known the evening before it, or when it was booked later than that. */
import { sql } from 'kysely';
import { statement } from '#platform/database';
import { type Scope, transact } from '#platform/scope';
import { known } from './facts.ts';
import type { LabelledRow } from './model/model.ts';

export interface Span {
  /** Inclusive. */
  readonly from: Temporal.Instant;
  /** Exclusive. */
  readonly until: Temporal.Instant;
}

interface OutcomeRow {
  readonly id: string;
  readonly starts_at: Date;
  readonly no_show: boolean;
  readonly at: Date;
}

interface Page {
  readonly from: string;
  readonly until: string;
  readonly afterStart: string;
  readonly afterId: string;
  readonly most: number;
}

const outcomesAfter = statement<Page, OutcomeRow>((db, { from, until, afterStart, afterId, most }) => ({
  compile: () =>
    sql<OutcomeRow>`
      select * from risk_outcomes(${from}::timestamptz, ${until}::timestamptz, ${afterStart}::timestamptz,
        ${afterId}::uuid, ${most}::integer)`.compile(db),
}));

const BATCH = 2_000;
const EPOCH = Temporal.PlainDate.from('1970-01-01');
const FIRST_ID = '00000000-0000-0000-0000-000000000000';

/** In the order of time, some thousands at a time, each read in a transaction of its own. For the system. */
export async function* history(scope: Scope, { from, until }: Span): AsyncGenerator<LabelledRow[]> {
  let place = { afterStart: '-infinity', afterId: FIRST_ID };
  for (;;) {
    const page = { from: from.toString(), until: until.toString(), ...place, most: BATCH };
    const { rows, last } = await transact(scope, (scope) => labelled(scope, page));
    if (rows.length > 0) yield rows;
    if (last === null) return;
    place = last;
  }
}

async function labelled(scope: Scope, page: Page) {
  const outcomes = await outcomesAfter(scope.db, page);
  const visits = await known(
    scope,
    outcomes.map(({ id, at }) => ({ id, at: at.toTemporalInstant() })),
  );
  const byId = new Map(visits.map((visit) => [visit.id, visit]));
  const rows = outcomes.flatMap(({ id, no_show: noShow }): LabelledRow[] => {
    const visit = byId.get(id);
    return visit === undefined ? [] : [{ ...visit.row, day: EPOCH.until(visit.day).days, noShow }];
  });
  const end = outcomes.length < page.most ? undefined : outcomes.at(-1);
  const last = end === undefined ? null : { afterStart: end.starts_at.toISOString(), afterId: end.id };
  return { rows, last };
}
