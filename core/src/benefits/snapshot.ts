/** What the payer said of each benefit, kept: a new row only when it says something else. */
import { createHash, randomUUIDv7 } from 'node:crypto';
import { sql } from 'kysely';
import type { PayerAnswer } from '#integrations/benefits-api';
import type { Scope } from '#platform/scope';
import type { Benefit } from './benefit.ts';
import { type Finding, isInForce } from './drift.ts';

/** Keeps what was said of the benefits among the findings. Of one benefit one at a time: call it under their locks. */
export async function keepSnapshots(scope: Scope, found: readonly (readonly [PayerAnswer, Finding[]])[]) {
  const rows = found.flatMap(([answer, findings]) =>
    findings.flatMap((finding) => (finding.benefit === null ? [] : toRow(finding.benefit, answer, finding))),
  );
  if (rows.length === 0) return;
  await sql`
    with given as (
      select * from jsonb_to_recordset(${JSON.stringify(rows)}::jsonb) as given (
        id uuid, benefit_id uuid, hash bytea, in_force boolean, allocated numeric, used numeric, period_start date,
        period_end date, fault text, as_of timestamptz)
    ), known as (
      select g.id as given_id, l.id, l.hash = g.hash as same from given g
      left join lateral (
        select id, hash from benefit_snapshots where benefit_id = g.benefit_id order by id desc limit 1
      ) l on true
    ), seen as (
      update benefit_snapshots s set seen_at = g.as_of
      from known k join given g on g.id = k.given_id
      where k.same and s.id = k.id and s.seen_at < g.as_of
    )
    insert into benefit_snapshots (id, benefit_id, hash, in_force, allocated, used, period_start, period_end, fault,
      as_of, seen_at)
    select g.id, g.benefit_id, g.hash, g.in_force, g.allocated, g.used, g.period_start, g.period_end, g.fault,
      g.as_of, g.as_of
    from given g join known k on k.given_id = g.id where k.same is not true`.execute(scope.db);
}

function toRow(benefit: Benefit, answer: PayerAnswer, { there, fault }: Finding) {
  const said = {
    in_force: isInForce(answer, benefit),
    allocated: there?.allocated.toFixed(2) ?? null,
    used: there?.used.toFixed(2) ?? null,
    period_start: there?.periodStart.toString() ?? null,
    period_end: there?.periodEnd.toString() ?? null,
    fault,
  };
  const hash = createHash('sha256').update(JSON.stringify(said)).digest('hex');
  return { id: randomUUIDv7(), benefit_id: benefit.id, hash: `\\x${hash}`, ...said, as_of: answer.asOf.toString() };
}
