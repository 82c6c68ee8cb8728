-- No-show risk: what is known of a visit at a time, the models, their scores, and how good those were.
--
-- A score is for helping. Nothing here is read by whatever decides who gets a visit.

-- The age with the visit, as a band: the date of birth is sealed.
create table risk_visits (
  appointment_id uuid primary key,
  -- '0-9' to '80+'; null where no date of birth is on record.
  age_band text check (age_band ~ '^(\d-9|\d0-\d9|80\+)$')
);

create table risk_models (
  id uuid primary key,
  version text not null,
  kind text not null check (kind in ('STATISTICAL', 'ADVANCED', 'LEGACY')),
  -- Weights and tables; no patient is in it.
  state jsonb not null,
  -- Days of the visits that it learned from, both included.
  trained_from date,
  trained_until date,
  visits integer not null,
  no_shows integer not null,
  -- How it did on the last weeks, which it had not seen, beside the statistical model; and how its inputs were spread.
  figures jsonb not null,
  created_by uuid not null,
  created_at timestamptz not null,
  constraint risk_models_version_once unique (version)
);

-- Who had which model used, and when. The newest one counts; without any the built-in statistical model is used.
create table risk_activations (
  id uuid primary key,
  -- Null: the built-in one.
  model_id uuid references risk_models,
  cause text not null check (cause in ('ADMIN', 'NIGHTLY', 'ROLL_BACK', 'FALL_BACK')),
  -- What a roll-back goes back to; null: the built-in model.
  before_id uuid references risk_activations,
  activated_by uuid not null,
  activated_at timestamptz not null
);

-- One row for each visit: the newest score.
create table risk_scores (
  -- Of appointments, of which none is ever deleted; a reference would lock each visit for its score.
  appointment_id uuid primary key,
  starts_at timestamptz not null,
  -- Still to come, as of the score.
  ahead boolean not null,
  -- Of the comparison group: see docs/adr/0021-no-show-risk.md.
  usual_care boolean not null,
  probability double precision not null check (probability > 0 and probability < 1),
  band text not null check (band in ('LOW', 'MEDIUM', 'HIGH')),
  reasons text[] not null check (cardinality(reasons) <= 3),
  -- What the model was told: counts, times and ids, nothing that a patient is called or reached by.
  features jsonb not null,
  model text not null,
  scored_at timestamptz not null
) with (fillfactor = 70);
create index risk_scores_ahead on risk_scores (starts_at) where ahead;

-- What was said of a visit a day before it, or when it was booked later than that. Never changed: it is compared with
-- what came of the visit.
create table risk_forecasts (
  appointment_id uuid not null references appointments,
  starts_at timestamptz not null,
  service text not null,
  provider_id uuid not null,
  age_band text,
  -- Booked on the day itself.
  same_day boolean not null,
  usual_care boolean not null,
  probability double precision not null,
  -- By the statistical model, whichever was in use.
  statistical double precision not null,
  model text not null,
  scored_at timestamptz not null,
  -- One that is moved is another visit.
  primary key (appointment_id, starts_at)
);
create index risk_forecasts_by_time on risk_forecasts (starts_at);

-- A night's work, as far as it has come.
create table risk_runs (
  id uuid primary key,
  -- The time as of which it scores.
  at timestamptz not null,
  model_id uuid references risk_models,
  total integer not null,
  done integer not null default 0,
  -- The last visit that is done.
  after_patient uuid,
  after_starts_at timestamptz,
  after_id uuid,
  finished_at timestamptz
);

create table risk_reports (
  id uuid primary key,
  from_at timestamptz not null,
  until_at timestamptz not null,
  model text not null,
  figures jsonb not null,
  alarms text[] not null,
  created_at timestamptz not null
);

-- The last event that was followed.
create table risk_cursor (
  single boolean primary key default true check (single),
  sequence bigint not null
);
insert into risk_cursor (sequence) select coalesce(max(sequence), 0) from events;

do $$
declare
  name text;
begin
  foreach name in array array['risk_visits', 'risk_models', 'risk_activations', 'risk_scores', 'risk_forecasts',
    'risk_runs', 'risk_reports', 'risk_cursor'] loop
    execute format('alter table %I enable row level security', name);
    execute format('create policy %I on %I for all to careflex_system using (true) with check (true)', name || '_system', name);
  end loop;
end $$;
grant select, insert on risk_visits, risk_models, risk_activations, risk_forecasts, risk_reports to careflex_system;
grant select, insert, update on risk_scores, risk_runs to careflex_system;
grant select on risk_cursor to careflex_system;
grant update (sequence) on risk_cursor to careflex_system;
-- Who is of the comparison group is not for those who help.
create policy risk_scores_staff on risk_scores for select to careflex_staff using (true);
grant select (appointment_id, starts_at, ahead, probability, band, reasons, model, scored_at) on risk_scores to careflex_staff;

-- What was known of each of the visits at its time, and nothing later: a row that has changed since is read from its
-- history. Patients' earlier visits are counted once for each patient and time.
create function risk_facts(visits uuid[], ats timestamptz[])
  returns table (
    id uuid, patient_id uuid, provider_id uuid, location_id uuid, service text, starts_at timestamptz, day date,
    lead_days integer, weekday integer, hour integer, booked_hour integer, age_known boolean, age_band text,
    past_visits integer, past_no_shows integer, past_cancellations integer, past_late_cancellations integer,
    last_outcomes boolean[], days_since_last integer, same_day_visits integer, confirmed boolean, message text)
  language sql stable security definer set search_path = public, pg_temp
  as $$
    with asked as materialized (
      select a.id, a.patient_id, a.provider_id, a.service, a.starts_at, a.revision, v.at,
        (a.starts_at at time zone a.time_zone) as local_start,
        (case when a.revision = 1 then a.created_at
          else (select min(c.at) from appointment_changes c
            where c.appointment_id = a.id and c.revision = a.revision) end) at time zone a.time_zone as local_booking,
        case when a.updated_at <= v.at then a.status
          else (select c.to_status from appointment_changes c where c.appointment_id = a.id and c.at <= v.at
            order by c.version desc limit 1) end as status
      -- One by one by their index, however many are asked for.
      from unnest(visits, ats) as v (id, at)
        cross join lateral (select * from appointments where appointments.id = v.id offset 0) a
    ),
    keys as materialized (select distinct asked.patient_id, asked.at from asked),
    histories as materialized (
      select k.patient_id, k.at, h.*
      from keys k cross join lateral (
        select
          (count(*) filter (where p.status in ('COMPLETED', 'NO_SHOW')))::integer as visits,
          (count(*) filter (where p.status = 'NO_SHOW'))::integer as no_shows,
          (count(*) filter (where p.cancelled_at is not null))::integer as cancellations,
          (count(*) filter (where p.cancelled_at > p.starts_at - interval '24 hours'))::integer as late_cancellations,
          (array_agg(p.status = 'NO_SHOW' order by p.starts_at desc)
            filter (where p.status in ('COMPLETED', 'NO_SHOW')))[1:5] as last_outcomes,
          max((p.starts_at at time zone p.time_zone)::date) filter (where p.status in ('COMPLETED', 'NO_SHOW')) as last_on
        from (
          select e.starts_at, e.time_zone, e.status,
            case when e.status = 'CANCELLED' then (select c.at from appointment_changes c
              where c.appointment_id = e.id and c.to_status = 'CANCELLED' and c.cancellation_reason = 'PATIENT'
                and c.at <= k.at order by c.version desc limit 1) end as cancelled_at
          from (
            select b.id, b.starts_at, b.time_zone,
              case when b.updated_at <= k.at then b.status
                else (select c.to_status from appointment_changes c where c.appointment_id = b.id and c.at <= k.at
                  order by c.version desc limit 1) end as status
            from appointments b where b.patient_id = k.patient_id and b.created_at <= k.at
            -- Not looked up anew for each thing that is counted.
            offset 0
          ) e
          offset 0
        ) p
      ) h
    ),
    places as materialized (
      select distinct on (r.provider_id) r.provider_id, r.location_id
      from provider_roles r where r.provider_id in (select asked.provider_id from asked) and r.active
      order by r.provider_id, r.location_id nulls last
    )
    select a.id, a.patient_id, a.provider_id, places.location_id, a.service, a.starts_at, a.local_start::date,
      greatest(0, a.local_start::date - a.local_booking::date), extract(isodow from a.local_start)::integer,
      extract(hour from a.local_start)::integer, extract(hour from a.local_booking)::integer,
      rv.appointment_id is not null, rv.age_band,
      h.visits, h.no_shows, h.cancellations, h.late_cancellations, h.last_outcomes, a.local_start::date - h.last_on,
      others.same_day_visits,
      case when a.status in ('CONFIRMED', 'CHECKED_IN', 'IN_PROGRESS') then true
        when m.told then false end,
      coalesce(m.message, 'NONE')
    from asked a
      join histories h on h.patient_id = a.patient_id and h.at = a.at
      left join places on places.provider_id = a.provider_id
      left join lateral (select * from risk_visits where risk_visits.appointment_id = a.id offset 0) rv on true
      cross join lateral (
        select count(*)::integer as same_day_visits
        from (
          select case when o.updated_at <= a.at then o.status
            else (select c.to_status from appointment_changes c where c.appointment_id = o.id and c.at <= a.at
              order by c.version desc limit 1) end as status
          from appointments o
          where o.patient_id = a.patient_id and o.id <> a.id and o.created_at <= a.at
            and o.starts_at > a.starts_at - interval '24 hours' and o.starts_at < a.starts_at + interval '24 hours'
            and (o.starts_at at time zone o.time_zone)::date = a.local_start::date
          offset 0
        ) o
        where o.status not in ('HELD', 'CANCELLED')
      ) others
      cross join lateral (
        select coalesce(bool_or(n.sent_at <= a.at), false) as told,
          case when bool_or(n.delivered_at <= a.at) then 'DELIVERED' when bool_or(n.sent_at <= a.at) then 'SENT'
            when bool_or(n.status = 'FAILED' and n.updated_at <= a.at) then 'FAILED'
            when bool_or(n.status = 'PLANNED' or n.updated_at > a.at) then 'PLANNED' end as message
        from notifications n
        where n.appointment_id = a.id and n.revision = a.revision and n.kind not in ('CANCELLED', 'MISSED')
          and n.created_at <= a.at
      ) m
  $$;

-- Those of the visits, and of the patients' visits, that are still to come.
create function risk_visits_ahead(visits uuid[], patients uuid[], at timestamptz) returns table (id uuid)
  language sql stable security definer set search_path = public, pg_temp
  as $$
    select a.id from appointments a
    where a.id = any (visits) and a.status in ('SCHEDULED', 'CONFIRMED') and a.starts_at > at
    union
    select a.id from appointments a
    where a.patient_id = any (patients) and a.status in ('SCHEDULED', 'CONFIRMED') and a.starts_at > at
  $$;

-- A page of the visits to come, patient by patient, so that whose history is read is read once.
create function risk_visits_after(patient uuid, starts timestamptz, visit uuid, at timestamptz, most integer)
  returns table (id uuid, patient_id uuid, starts_at timestamptz)
  language sql stable security definer set search_path = public, pg_temp
  as $$
    select a.id, a.patient_id, a.starts_at from appointments a
    where (a.patient_id, a.starts_at, a.id) > (patient, starts, visit)
      and a.status in ('SCHEDULED', 'CONFIRMED') and a.starts_at > at
    order by a.patient_id, a.starts_at, a.id limit most
  $$;

create function risk_count_ahead(at timestamptz) returns integer
  language sql stable security definer set search_path = public, pg_temp
  as $$
    select count(*)::integer from appointments a where a.status in ('SCHEDULED', 'CONFIRMED') and a.starts_at > at
  $$;

-- What came of visits, in the order of time. Each with the evening before it, or when it was arranged, if that was later:
-- the time as of which a model may know of it. Cancelled visits are neither kept nor missed.
create function risk_outcomes(from_at timestamptz, until_at timestamptz, after_start timestamptz, after_id uuid, most integer)
  returns table (id uuid, starts_at timestamptz, no_show boolean, at timestamptz)
  language sql stable security definer set search_path = public, pg_temp
  as $$
    select a.id, a.starts_at, a.status = 'NO_SHOW',
      greatest(
        (((a.starts_at at time zone a.time_zone)::date) - interval '6 hours') at time zone a.time_zone,
        case when a.revision = 1 then a.created_at
          else (select min(c.at) from appointment_changes c
            where c.appointment_id = a.id and c.revision = a.revision) end)
    from appointments a
    where a.status in ('COMPLETED', 'NO_SHOW') and a.starts_at >= from_at and a.starts_at < until_at
      and (a.starts_at, a.id) > (after_start, after_id)
    order by a.starts_at, a.id limit most
  $$;

-- Forecasts beside what came of their visits.
create function risk_forecast_outcomes(from_at timestamptz, until_at timestamptz)
  returns table (starts_at timestamptz, day date, service text, provider_id uuid, age_band text, same_day boolean,
    usual_care boolean, probability double precision, statistical double precision, model text, no_show boolean)
  language sql stable security definer set search_path = public, pg_temp
  as $$
    select f.starts_at, (f.starts_at at time zone a.time_zone)::date, f.service, f.provider_id, f.age_band, f.same_day,
      f.usual_care, f.probability, f.statistical, f.model, a.status = 'NO_SHOW'
    from risk_forecasts f join appointments a on a.id = f.appointment_id and a.starts_at = f.starts_at
    where f.starts_at >= from_at and f.starts_at < until_at and a.status in ('COMPLETED', 'NO_SHOW')
    order by f.starts_at
  $$;

do $$
declare
  name text;
begin
  foreach name in array array['risk_facts(uuid[], timestamptz[])', 'risk_visits_ahead(uuid[], uuid[], timestamptz)',
    'risk_visits_after(uuid, timestamptz, uuid, timestamptz, integer)', 'risk_count_ahead(timestamptz)',
    'risk_outcomes(timestamptz, timestamptz, timestamptz, uuid, integer)',
    'risk_forecast_outcomes(timestamptz, timestamptz)'] loop
    execute 'revoke execute on function ' || name || ' from public';
    execute 'grant execute on function ' || name || ' to careflex_system';
  end loop;
end $$;
