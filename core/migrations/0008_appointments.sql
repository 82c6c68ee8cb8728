-- Appointments: no two that occupy time overlap for a patient, or for a provider with the buffers around them.
--
-- Two exclusion constraints keep that, on every path that makes a row occupy time. Staff may book across them on
-- purpose: such a row names the rules it breaks, the constraints leave it out, and the trigger below still keeps
-- everybody else off its time.

create table appointment_series (
  id uuid primary key,
  patient_id uuid not null references patients,
  created_at timestamptz not null,
  -- The wall-clock rule it was made from: zone, local start, weeks between, count.
  rule jsonb not null
);

create table appointments (
  id uuid primary key,
  patient_id uuid not null references patients,
  provider_id uuid not null references providers,
  service text not null references care_services,
  status text not null,
  starts_at timestamptz not null,
  ends_at timestamptz not null,
  -- With the buffers of the service, as they were when it was booked.
  blocks_from timestamptz not null,
  blocks_until timestamptz not null,
  -- IANA: the zone that gave the time its meaning.
  time_zone text not null,
  -- A hold lapses then.
  expires_at timestamptz,
  -- Who holds it.
  held_by uuid,
  -- Sealed with the patient's key.
  notes bytea,
  cancellation_reason text,
  -- The rules that staff broke on purpose.
  overrides text[] not null default '{}',
  series_id uuid references appointment_series,
  -- Grows with every change.
  version integer not null default 1,
  -- Grows when it is moved.
  revision integer not null default 1,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  occupies_time boolean not null generated always as
    (status in ('HELD', 'SCHEDULED', 'CONFIRMED', 'CHECKED_IN', 'IN_PROGRESS', 'COMPLETED')) stored,
  constraint appointments_status_known check (status in
    ('HELD', 'SCHEDULED', 'CONFIRMED', 'CHECKED_IN', 'IN_PROGRESS', 'COMPLETED', 'CANCELLED', 'NO_SHOW')),
  constraint appointments_take_time check (
    starts_at < ends_at and ends_at <= starts_at + interval '24 hours'
    and blocks_from <= starts_at and ends_at <= blocks_until),
  constraint appointments_holds_expire check ((status = 'HELD') <= (expires_at is not null and held_by is not null)),
  constraint appointments_cancelled_for_a_reason check (
    (status = 'CANCELLED') = (cancellation_reason is not null)
    and cancellation_reason in ('PATIENT', 'PROVIDER', 'ORGANISATION', 'EXPIRED', 'ERROR')),
  constraint appointments_patient_no_overlap exclude using gist
    (patient_id with =, tstzrange(starts_at, ends_at) with &&)
    where (status in ('HELD', 'SCHEDULED', 'CONFIRMED', 'CHECKED_IN', 'IN_PROGRESS', 'COMPLETED')
      and not overrides @> array['PATIENT_BUSY']),
  constraint appointments_provider_no_overlap exclude using gist
    (provider_id with =, tstzrange(blocks_from, blocks_until) with &&)
    where (status in ('HELD', 'SCHEDULED', 'CONFIRMED', 'CHECKED_IN', 'IN_PROGRESS', 'COMPLETED')
      and not overrides @> array['PROVIDER_BUSY'])
);
create index appointments_by_time on appointments (starts_at, id);
create index appointments_by_patient on appointments (patient_id, starts_at, id);
create index appointments_by_provider on appointments (provider_id, starts_at, id);
create index appointments_by_series on appointments (series_id, starts_at) where series_id is not null;
create index appointments_holds on appointments (expires_at) where status = 'HELD';

-- What happened to an appointment: one row for each version.
create table appointment_changes (
  appointment_id uuid not null references appointments,
  version integer not null,
  revision integer not null,
  -- Null for the first.
  from_status text,
  to_status text not null,
  starts_at timestamptz not null,
  ends_at timestamptz not null,
  provider_id uuid not null,
  actor_id uuid not null,
  actor_role text not null,
  cancellation_reason text,
  -- Sealed with the patient's key.
  reason bytea,
  at timestamptz not null,
  primary key (appointment_id, version)
);

-- One at a time decides about a provider's time, and then about a patient's. What is read after it is newer than it.
-- Released when the transaction ends. Nobody ever waits in a circle, since everybody takes, in this order: the patient
-- (for key share), the rows that change (in the order of their ids), the time. Lapsed holds come after the time: who
-- has the row of a hold waits for no time.
create function lock_time(providers uuid[], patients uuid[]) returns void language plpgsql volatile
  set search_path = public, pg_temp
  as $$
declare
  key bigint;
begin
  for key in select distinct hashtextextended(id::text, 4270010) from unnest(providers) as id order by 1 loop
    perform pg_advisory_xact_lock(key);
  end loop;
  for key in select distinct hashtextextended(id::text, 4270011) from unnest(patients) as id order by 1 loop
    perform pg_advisory_xact_lock(key);
  end loop;
end $$;

-- Locks the time, and finds the lapsed holds in the way of a visit, whoever holds them.
create function enter_time(providers uuid[], patient uuid, blocked tstzrange, visit tstzrange, at timestamptz)
  returns setof uuid language plpgsql volatile security definer
  set search_path = public, pg_temp
  as $$
begin
  perform lock_time(providers, array[patient]);
  return query select id from appointments
    where status = 'HELD' and expires_at <= at
      and (provider_id = any (providers) and blocks_from < upper(blocked) and blocks_until > lower(blocked)
        or patient_id = patient and starts_at < upper(visit) and ends_at > lower(visit))
    order by id;
end $$;

-- The exclusion constraints do not see the rows that were booked across them on purpose; nobody else may take the
-- time of those either. The lock makes it hold between transactions, whoever writes the row.
create function keep_apart() returns trigger language plpgsql security definer
  set search_path = public, pg_temp
  as $$
begin
  perform lock_time(array[new.provider_id], array[new.patient_id]);
  if not new.overrides @> array['PROVIDER_BUSY'] and exists (
    select from appointments
    where provider_id = new.provider_id and id <> new.id and occupies_time and overrides @> array['PROVIDER_BUSY']
      and blocks_from < new.blocks_until and blocks_until > new.blocks_from
  ) then
    raise exclusion_violation using constraint = 'appointments_provider_no_overlap', table = 'appointments',
      message = 'the provider''s time is taken';
  end if;
  if not new.overrides @> array['PATIENT_BUSY'] and exists (
    select from appointments
    where patient_id = new.patient_id and id <> new.id and occupies_time and overrides @> array['PATIENT_BUSY']
      and starts_at < new.ends_at and ends_at > new.starts_at
  ) then
    raise exclusion_violation using constraint = 'appointments_patient_no_overlap', table = 'appointments',
      message = 'the patient''s time is taken';
  end if;
  return new;
end $$;
-- A row that has its time already asks nobody for it: whoever only moves its status waits for no lock.
create trigger appointments_keep_apart_when_new
  before insert on appointments for each row
  when (new.status in ('HELD', 'SCHEDULED', 'CONFIRMED', 'CHECKED_IN', 'IN_PROGRESS', 'COMPLETED'))
  execute function keep_apart();
create trigger appointments_keep_apart_when_taken
  before update on appointments for each row
  when (new.status in ('HELD', 'SCHEDULED', 'CONFIRMED', 'CHECKED_IN', 'IN_PROGRESS', 'COMPLETED')
    and (old.status in ('CANCELLED', 'NO_SHOW')
      or (old.patient_id, old.provider_id, old.starts_at, old.ends_at, old.blocks_from, old.blocks_until, old.overrides)
        is distinct from
        (new.patient_id, new.provider_id, new.starts_at, new.ends_at, new.blocks_from, new.blocks_until, new.overrides)))
  execute function keep_apart();
create index appointments_overriding_provider on appointments (provider_id, blocks_from)
  where overrides @> array['PROVIDER_BUSY'];
create index appointments_overriding_patient on appointments (patient_id, starts_at)
  where overrides @> array['PATIENT_BUSY'];

-- When providers are taken, for whoever looks for a free time. A patient is told when, never by whom.
-- A visit lasts a day at most, its buffers four hours each: hence where the index begins.
create function taken_time(providers uuid[], from_at timestamptz, until_at timestamptz, at timestamptz)
  returns table (provider_id uuid, appointment_id uuid, service text,
    starts_at timestamptz, ends_at timestamptz, blocks_from timestamptz, blocks_until timestamptz)
  language sql stable security definer
  set search_path = public, pg_temp
  as $$
    select a.provider_id, case when (select current_user_role()) <> 'patient' or a.patient_id = (select current_patient_id())
        then a.id end,
      a.service, a.starts_at, a.ends_at, a.blocks_from, a.blocks_until
    from appointments a
    where a.provider_id = any (providers)
      and a.starts_at > from_at - interval '32 hours' and a.starts_at < until_at + interval '8 hours'
      and a.blocks_until > from_at and a.blocks_from < until_at
      and a.occupies_time and (a.status <> 'HELD' or a.expires_at > at)
  $$;

alter table appointments enable row level security;
alter table appointment_changes enable row level security;
alter table appointment_series enable row level security;
create policy appointments_system on appointments for all to careflex_system using (true) with check (true);
create policy appointments_staff on appointments for all to careflex_staff using (true) with check (true);
create policy appointments_own on appointments for all to careflex_patient
  using (patient_id = current_patient_id()) with check (patient_id = current_patient_id() and overrides = '{}');
create policy appointment_series_system on appointment_series for all to careflex_system using (true) with check (true);
create policy appointment_series_staff on appointment_series for all to careflex_staff using (true) with check (true);
create policy appointment_series_own on appointment_series for all to careflex_patient
  using (patient_id = current_patient_id()) with check (patient_id = current_patient_id());
create policy appointment_changes_system on appointment_changes for all to careflex_system using (true) with check (true);
create policy appointment_changes_staff on appointment_changes for all to careflex_staff using (true) with check (true);
create policy appointment_changes_own on appointment_changes for all to careflex_patient
  using (exists (select from appointments a where a.id = appointment_id))
  with check (exists (select from appointments a where a.id = appointment_id));
grant select, insert, update on appointments to careflex_staff, careflex_system, careflex_patient;
grant select, insert on appointment_series, appointment_changes to careflex_staff, careflex_system, careflex_patient;
revoke execute on function taken_time(uuid[], timestamptz, timestamptz, timestamptz) from public;
grant execute on function taken_time(uuid[], timestamptz, timestamptz, timestamptz)
  to careflex_staff, careflex_patient, careflex_system;
revoke execute on function enter_time(uuid[], uuid, tstzrange, tstzrange, timestamptz) from public;
grant execute on function enter_time(uuid[], uuid, tstzrange, tstzrange, timestamptz)
  to careflex_staff, careflex_patient, careflex_system;
