-- When providers work, and the rules of each service. Wall-clock hours are of the provider's own zone.
--
-- What counts, in this order: time off, over a dated exception, over the weekly hours.

create table care_services (
  service text primary key,
  -- How long a visit is unless it says otherwise.
  minutes integer not null,
  -- Kept free for the provider around each visit.
  buffer_before_minutes integer not null,
  buffer_after_minutes integer not null,
  minimum_notice_minutes integer not null,
  horizon_days integer not null,
  -- Visits per provider and local day; null is no limit.
  daily_limit integer,
  version integer not null default 1,
  updated_at timestamptz not null default now(),
  constraint care_services_known check (
    service in ('HOME_VISIT', 'TELEHEALTH', 'TRANSPORTATION', 'MEAL_DELIVERY', 'WELLNESS_CHECK')),
  constraint care_services_sensible check (
    minutes between 1 and 1440
    and buffer_before_minutes between 0 and 240 and buffer_after_minutes between 0 and 240
    and minimum_notice_minutes between 0 and 43200 and horizon_days between 1 and 1095
    and daily_limit > 0)
);
insert into care_services
  (service, minutes, buffer_before_minutes, buffer_after_minutes, minimum_notice_minutes, horizon_days, daily_limit)
values
  ('HOME_VISIT', 60, 0, 15, 120, 365, 12),
  ('TELEHEALTH', 30, 0, 0, 15, 365, 48),
  ('TRANSPORTATION', 45, 0, 15, 120, 180, 24),
  ('MEAL_DELIVERY', 30, 0, 0, 240, 180, 48),
  ('WELLNESS_CHECK', 30, 0, 0, 60, 365, 48);

-- Null: the clinic's usual hours, Monday to Friday 09:00 to 17:00. Else a list of
-- {"weekday": 1 to 7 from Monday, "from": "09:00", "to": "17:00"}; 24:00 is the end of the day.
alter table providers add column weekly_hours jsonb;
-- The zone of those hours where an admin has named one; else the zone of the place of work, as the directory has it.
alter table providers add column hours_time_zone text;
alter table providers add column version integer not null default 1;

-- The hours of one local day instead of the weekly ones; none is a day off.
create table provider_exceptions (
  provider_id uuid not null references providers,
  on_date date not null,
  -- A list of {"from": "09:00", "to": "12:00"}.
  hours jsonb not null,
  note text,
  updated_at timestamptz not null,
  primary key (provider_id, on_date)
);

create table provider_time_off (
  id uuid primary key,
  provider_id uuid not null references providers,
  starts_at timestamptz not null,
  ends_at timestamptz not null,
  note text,
  created_at timestamptz not null,
  constraint provider_time_off_begins_before_it_ends check (starts_at < ends_at)
);
create index provider_time_off_by_provider on provider_time_off (provider_id, ends_at);

do $$
declare
  name text;
begin
  foreach name in array array['care_services', 'provider_exceptions', 'provider_time_off'] loop
    execute format('alter table %I enable row level security', name);
    execute format('create policy %I on %I for all to careflex_system using (true) with check (true)', name || '_system', name);
    execute format('create policy %I on %I for select to careflex_staff using (true)', name || '_read_staff', name);
    execute format('create policy %I on %I for select to careflex_patient using (true)', name || '_read_patient', name);
    execute format($policy$create policy %I on %I for insert to careflex_staff
      with check (current_user_role() = 'admin')$policy$, name || '_add_staff', name);
    execute format($policy$create policy %I on %I for update to careflex_staff
      using (current_user_role() = 'admin') with check (current_user_role() = 'admin')$policy$, name || '_change_staff', name);
    execute format($policy$create policy %I on %I for delete to careflex_staff
      using (current_user_role() = 'admin')$policy$, name || '_remove_staff', name);
    execute format('grant select on %I to careflex_staff, careflex_system', name);
  end loop;
end $$;
grant select on care_services to careflex_patient;
-- The notes are not for patients.
grant select (provider_id, on_date, hours) on provider_exceptions to careflex_patient;
grant select (id, provider_id, starts_at, ends_at) on provider_time_off to careflex_patient;
grant update on care_services to careflex_staff, careflex_system;
grant insert, update, delete on provider_exceptions, provider_time_off to careflex_staff, careflex_system;
