/** What the database itself does with the trail's tables: our triggers, and nothing beside them. */
import { sql } from 'kysely';
import type { Db } from '#platform/database';

/** Says of each trigger, rule and default on the trail's tables what is not as the migrations left it. */
export async function findForeignGuards(db: Db): Promise<string[]> {
  const { rows } = await sql<{ says: string }>`
    with trail as (
      select oid, relname, relrowsecurity from pg_class
      where relnamespace = 'public'::regnamespace and relkind in ('r', 'p') and relname in ('audit_entries',
        'audit_subjects', 'audit_leaves', 'audit_nodes', 'audit_heads', 'audit_prunings')
    ), ours (relname, tgname, proname) as (
      select relname, 'append_only', 'refuse_audit_change' from trail
      union all
      select relname, 'prune_only', 'refuse_unpruned_delete' from trail
      where relname in ('audit_entries', 'audit_subjects')
      union all
      select relname, 'no_delete', 'refuse_audit_change' from trail
      where relname not in ('audit_entries', 'audit_subjects')
    ), there as (
      select relname, tgname, proname, tgenabled
      from pg_trigger join trail on trail.oid = tgrelid join pg_proc on pg_proc.oid = tgfoid
      where not tgisinternal
    )
    select format('trigger %s on %s is not ours', tgname, relname) as says from there
    where (relname, tgname, proname) not in (select relname, tgname, proname from ours)
    union all
    select format('trigger %s on %s is missing or switched off', tgname, relname) from ours
    where (relname, tgname, proname) not in (select relname, tgname, proname from there where tgenabled in ('O', 'A'))
    union all
    select format('rule %s on %s is not ours', rulename, relname)
    from pg_rewrite join trail on trail.oid = ev_class
    union all
    select format('row-level security of %s is switched off', relname) from trail where not relrowsecurity
    union all
    select format('default of transaction_id on %s is not ours', relname)
    from trail join pg_attrdef on adrelid = trail.oid
    where pg_get_expr(adbin, adrelid) <> 'pg_current_xact_id()'
    order by 1`.execute(db);
  return rows.map(({ says }) => says);
}
