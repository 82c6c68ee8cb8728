-- Live updates: who wakes whom, and which agents are at work.

-- As before, but the caller tells the listeners after its commit, by whatever carries messages.
create or replace function sequence_events() returns bigint language plpgsql security definer
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
  return newest;
end $$;

drop trigger sessions_ended on sessions;
drop function notify_session_ended();

-- What a session has told of its agent. It leaves with the session.
create table presences (
  session_id uuid primary key references sessions on delete cascade,
  user_id uuid not null references users,
  status text not null check (status in ('AVAILABLE', 'BUSY', 'AWAY')),
  -- Whom the agent is busy with.
  patient_id uuid references patients,
  -- When this state was told; of several sessions the latest counts.
  since timestamptz not null,
  -- Without a further sign of life.
  expires_at timestamptz not null,
  -- Counts, as far as everybody has been told. False once it has expired; a further sign of life brings it back.
  present boolean not null
);
create index presences_by_user on presences (user_id, since desc) where present;
create index presences_expiry on presences (expires_at) where present;

alter table presences enable row level security;
create policy presences_system on presences for all to careflex_system using (true) with check (true);
create policy presences_read_staff on presences for select to careflex_staff using (true);
create policy presences_tell_staff on presences for insert to careflex_staff with check (user_id = current_user_id());
create policy presences_change_staff on presences for update to careflex_staff
  using (user_id = current_user_id()) with check (user_id = current_user_id());
create policy presences_leave_staff on presences for delete to careflex_staff using (user_id = current_user_id());
grant select, insert, update, delete on presences to careflex_staff, careflex_system;
