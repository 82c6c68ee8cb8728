-- Roles, and the tables of the platform itself.
--
-- The login role has no rights of its own; a transaction takes the role of its actor (see platform/scope.ts).
-- Roles belong to the whole server: another database's migration may have created them.
do $$
declare
  role text;
begin
  foreach role in array array['careflex_patient', 'careflex_staff', 'careflex_auditor', 'careflex_system'] loop
    begin
      execute format('create role %I nologin', role);
    exception when duplicate_object or unique_violation then
      null;
    end;
  end loop;
end
$$;

revoke all on schema public from public;
grant usage on schema public to careflex_patient, careflex_staff, careflex_auditor, careflex_system, public;
revoke create on schema public from public;

create extension if not exists btree_gist;

-- Who the transaction acts for. Policies compare with these; unset means null, which matches nothing.
create function current_user_id() returns uuid language sql stable parallel safe
  as $$ select nullif(current_setting('careflex.user_id', true), '')::uuid $$;
create function current_patient_id() returns uuid language sql stable parallel safe
  as $$ select nullif(current_setting('careflex.patient_id', true), '')::uuid $$;
create function current_user_role() returns text language sql stable parallel safe
  as $$ select nullif(current_setting('careflex.role', true), '') $$;

-- Called by every transaction before it takes its role. Accounts replaces it with the real check.
create function check_session(session_id text, at text) returns void language plpgsql security definer
  set search_path = public, pg_temp
  as $$ begin
    if session_id <> '' then raise exception 'no such session' using errcode = 'CF401'; end if;
  end $$;

create table events (
  id bigint generated always as identity primary key,
  topic text not null,
  payload jsonb not null,
  request_id text not null,
  occurred_at timestamptz not null,
  sequence bigint,
  transaction_id xid8 not null default pg_current_xact_id(),
  constraint events_sequence_once unique (sequence)
);
create index events_unsequenced on events (id) where sequence is null;

alter table events enable row level security;
create policy events_write_patient on events for insert to careflex_patient with check (true);
create policy events_write_staff on events for insert to careflex_staff with check (true);
create policy events_write_auditor on events for insert to careflex_auditor with check (true);
create policy events_system on events for all to careflex_system using (true) with check (true);
grant insert (topic, payload, request_id, occurred_at) on events to careflex_patient, careflex_staff, careflex_auditor, careflex_system;
grant select on events to careflex_system;

-- Gives committed events their numbers. One caller at a time; who comes second finds nothing left to do.
-- It numbers what it can see, so no event is numbered before one that its own transaction could have seen.
create function sequence_events() returns bigint language plpgsql security definer
  set search_path = public, pg_temp
  as $$
declare
  newest bigint;
begin
  perform pg_advisory_xact_lock(4270002);
  if not exists (select from events where sequence is null) then return null; end if;
  select coalesce(max(sequence), 0) into newest from events;
  with numbered as (
    select id, newest + row_number() over (order by transaction_id, id) as number
    from events where sequence is null order by id limit 10000
  )
  update events set sequence = numbered.number from numbered where events.id = numbered.id;
  select max(sequence) into newest from events;
  perform pg_notify('events', newest::text);
  return newest;
end $$;
revoke execute on function sequence_events() from public;
grant execute on function sequence_events() to careflex_system;

create table idempotency_keys (
  actor_id uuid not null,
  operation text not null,
  key text not null,
  input_hash bytea not null,
  result_id uuid,
  created_at timestamptz not null,
  primary key (actor_id, operation, key)
);
create index idempotency_keys_age on idempotency_keys (created_at);
alter table idempotency_keys enable row level security;
create policy idempotency_keys_own_patient on idempotency_keys for all to careflex_patient
  using (actor_id = current_user_id()) with check (actor_id = current_user_id());
create policy idempotency_keys_own_staff on idempotency_keys for all to careflex_staff
  using (actor_id = current_user_id()) with check (actor_id = current_user_id());
create policy idempotency_keys_system on idempotency_keys for all to careflex_system using (true) with check (true);
grant select, insert, update (result_id) on idempotency_keys to careflex_patient, careflex_staff;
grant select, insert, update (result_id), delete on idempotency_keys to careflex_system;
