-- The audit trail: entries, written in the transaction of what they describe, and the Merkle tree that seals
-- them. Nothing here is ever updated. Entries past their retention leave through prune_audit() alone.

create table audit_entries (
  -- A UUIDv7 of the entry's own time: the order of ids is the order of time.
  id uuid primary key,
  at timestamptz not null,
  user_id uuid not null,
  user_role text not null,
  action text not null,
  resource_type text not null,
  resource_id text,
  resource_ids text[] not null,
  patient_ids uuid[] not null,
  changed_fields text[] not null,
  purpose text,
  outcome text not null,
  request_id text not null,
  ip_address text,
  user_agent text,
  -- HMAC-SHA-256 of all of the above, under a key that the database does not have.
  mac bytea not null,
  transaction_id xid8 not null default pg_current_xact_id()
);
create index audit_entries_order on audit_entries (transaction_id, id);
-- Patients are found through audit_subjects; a second random place in an index would cost every write.
create index audit_entries_resource on audit_entries (resource_id, id) where resource_type <> 'Patient';
create index audit_entries_user on audit_entries (user_id, id);
create index audit_entries_action on audit_entries (action, id);

-- Which entries name a patient: an index, from which a patient learns who saw the own record. An entry of one patient
-- is noted with its insert, one of several (a list) when it is sealed.
create table audit_subjects (
  patient_id uuid not null,
  entry_id uuid not null,
  primary key (patient_id, entry_id)
);

-- The leaves of the tree, numbered from 0 without a gap. They stay when their entry is pruned.
create table audit_leaves (
  leaf_index bigint primary key,
  entry_id uuid not null,
  leaf_hash bytea not null,
  -- HMAC-SHA-256 of index and entry id: tells which entry was sealed here, whatever was exchanged since.
  mac bytea not null,
  constraint audit_leaves_entry_once unique (entry_id)
);

-- Roots of the complete subtrees of 256, 65 536, … leaves, so that a proof reads a few pages of a tree of any size.
create table audit_nodes (
  level smallint not null,
  node_index bigint not null,
  hash bytea not null,
  primary key (level, node_index)
);

-- Signed tree heads, one for each batch that was sealed.
create table audit_heads (
  size bigint primary key,
  root bytea not null,
  at timestamptz not null,
  key_id text not null,
  previous bytea not null,
  signature bytea not null
);
create index audit_heads_time on audit_heads (at, size);

-- Up to which leaf entries were dropped, and by which retention. Authenticated like an entry.
create table audit_prunings (
  size bigint primary key,
  at timestamptz not null,
  retention_years integer not null check (retention_years >= 1),
  mac bytea not null
);

create function refuse_audit_change() returns trigger language plpgsql
  as $$ begin
    raise exception 'the audit trail is append-only: % on % is refused', tg_op, tg_table_name;
  end $$;

create function refuse_unpruned_delete() returns trigger language plpgsql
  as $$
declare
  entry uuid;
begin
  if tg_table_name = 'audit_entries' then entry := old.id; else entry := old.entry_id; end if;
  if exists (select from audit_leaves where entry_id = entry and leaf_index < (select max(size) from audit_prunings)) then
    return old;
  end if;
  raise exception 'the audit trail is append-only: DELETE on % is refused', tg_table_name;
end $$;

do $$
declare
  name text;
begin
  foreach name in array array['audit_entries', 'audit_subjects', 'audit_leaves', 'audit_nodes', 'audit_heads', 'audit_prunings'] loop
    execute format('alter table %I enable row level security', name);
    execute format('create trigger append_only before update or truncate on %I for each statement execute function refuse_audit_change()', name);
    execute format('create policy %I on %I for select to careflex_system using (true)', name || '_read_system', name);
    execute format('create policy %I on %I for select to careflex_auditor using (true)', name || '_read_auditor', name);
    execute format($policy$create policy %I on %I for select to careflex_staff using (current_user_role() = 'admin')$policy$, name || '_read_staff', name);
    execute format('create policy %I on %I for insert to careflex_system with check (true)', name || '_write_system', name);
    execute format('grant select on %I to careflex_system, careflex_auditor, careflex_staff', name);
    if name in ('audit_entries', 'audit_subjects') then
      execute format('create trigger prune_only before delete on %I for each row execute function refuse_unpruned_delete()', name);
    else
      execute format('create trigger no_delete before delete on %I for each statement execute function refuse_audit_change()', name);
      execute format('grant insert on %I to careflex_system', name);
    end if;
  end loop;
end
$$;
revoke insert on audit_prunings from careflex_system;

-- Nobody but the system writes in another's name.
create policy audit_entries_write_staff on audit_entries for insert to careflex_staff
  with check (user_id = current_user_id() and user_role = current_user_role());
create policy audit_entries_write_auditor on audit_entries for insert to careflex_auditor
  with check (user_id = current_user_id() and user_role = current_user_role());
create policy audit_entries_write_patient on audit_entries for insert to careflex_patient
  with check (user_id = current_user_id() and user_role = current_user_role());
grant insert (id, at, user_id, user_role, action, resource_type, resource_id, resource_ids, patient_ids, changed_fields,
    purpose, outcome, request_id, ip_address, user_agent, mac)
  on audit_entries to careflex_patient, careflex_staff, careflex_auditor, careflex_system;

create policy audit_subjects_write_staff on audit_subjects for insert to careflex_staff with check (true);
create policy audit_subjects_write_auditor on audit_subjects for insert to careflex_auditor with check (true);
create policy audit_subjects_write_patient on audit_subjects for insert to careflex_patient with check (true);
grant insert on audit_subjects to careflex_patient, careflex_staff, careflex_auditor, careflex_system;

-- A patient reads what was done to the own record, and by which role; not by whom, and not from where.
create policy audit_subjects_read_patient on audit_subjects for select to careflex_patient
  using (patient_id = current_patient_id());
create policy audit_entries_read_patient on audit_entries for select to careflex_patient
  using (exists (select from audit_subjects where patient_id = current_patient_id() and entry_id = id));
grant select on audit_subjects to careflex_patient;
grant select (id, at, user_role, action, resource_type, outcome) on audit_entries to careflex_patient;

-- The place of the newest sealed entry in the order (transaction_id, id). What stands before it is sealed.
-- A database restored into another cluster counts its transactions anew, behind the sealed ones: then there is
-- no such place, and everything is looked through again.
create function audit_sealed_through(out transaction_id xid8, out entry_id uuid) language sql stable
  as $$
    select entry.transaction_id, entry.id
    from (
      select e.transaction_id, e.id from audit_leaves l join audit_entries e on e.id = l.entry_id
      order by l.leaf_index desc limit 1
    ) entry
    where entry.transaction_id < pg_snapshot_xmax(pg_current_snapshot())
    union all select '0'::xid8, '00000000-0000-0000-0000-000000000000'::uuid
    limit 1
  $$;

-- Drops the entries of the leaves below `up_to`, and records that it did. Refuses what is younger than its retention.
create function prune_audit(up_to bigint, pruned_at timestamptz, years integer, record_mac bytea) returns bigint
  language plpgsql security definer set search_path = public, pg_temp
  as $$
declare
  already bigint;
  dropped bigint;
begin
  if not exists (
    select from audit_heads
    where size = up_to and at <= (pruned_at at time zone 'UTC' - make_interval(years => years)) at time zone 'UTC'
  ) then
    raise exception 'audit entries are kept for % years', years;
  end if;
  select coalesce(max(size), 0) into already from audit_prunings;
  insert into audit_prunings (size, at, retention_years, mac) values (up_to, pruned_at, years, record_mac);

  delete from audit_subjects using (
    select e.id, named from audit_leaves join audit_entries e on e.id = entry_id,
      unnest(e.resource_ids || e.resource_id || e.patient_ids::text[]) named
    where leaf_index >= already and leaf_index < up_to and named ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'
  ) entry
  where patient_id = named::uuid and entry_id = entry.id;

  delete from audit_entries using audit_leaves
  where id = entry_id and leaf_index >= already and leaf_index < up_to;
  get diagnostics dropped = row_count;
  return dropped;
end $$;
revoke execute on function prune_audit from public;
grant execute on function prune_audit to careflex_system;
