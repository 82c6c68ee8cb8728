-- Benefits as the payer has them: the runs that ask, what it said, and where that differs from the ledger.

-- When it was told that its period is over.
alter table benefits add column ended_at timestamptz;
update benefits b set ended_at = e.recorded_at
from (select benefit_id, min(recorded_at) as recorded_at from benefit_entries where kind = 'EXPIRE' group by benefit_id) e
where e.benefit_id = b.id;
create index benefits_not_ended on benefits (period_end, id) where ended_at is null;
create index benefits_at_payer on benefits (patient_id, id) where external_plan_id is not null and ended_at is null;
grant update (ended_at) on benefits to careflex_system;

-- A pass over every patient with a benefit at the payer. One at a time; one that was broken off goes on where it was.
create table benefit_sync_runs (
  id uuid primary key,
  -- Patients that there were to ask when it started.
  patients integer not null,
  -- All up to this patient are done.
  cursor uuid,
  synced integer not null default 0,
  failed integer not null default 0,
  -- Differences that were found, known ones too.
  drifted integer not null default 0,
  started_at timestamptz not null,
  updated_at timestamptz not null,
  -- Since when the payer does not answer; null while it does.
  waiting_since timestamptz,
  finished_at timestamptz
);
create unique index benefit_sync_runs_one_at_a_time on benefit_sync_runs ((finished_at is null)) where finished_at is null;

-- Patients for whom a run got no answer that could be used, and why, by code.
create table benefit_sync_failures (
  run_id uuid not null references benefit_sync_runs,
  patient_id uuid not null references patients,
  code text not null check (code in ('NO_MEMBER_ID', 'UNAVAILABLE', 'REFUSED', 'UNUSABLE_ANSWER')),
  -- What the other side or the operating system calls it.
  detail text,
  failed_at timestamptz not null,
  primary key (run_id, patient_id)
);

-- What the payer said of a benefit: a row when it says something else than before.
create table benefit_snapshots (
  id uuid primary key,
  benefit_id uuid not null references benefits,
  -- Of all that it said of it.
  hash bytea not null,
  in_force boolean not null,
  -- Null where it lists no such benefit, or nothing that can be believed.
  allocated numeric(12, 2),
  used numeric(12, 2),
  period_start date,
  period_end date,
  fault text,
  -- When it first said so, and when it last did.
  as_of timestamptz not null,
  seen_at timestamptz not null
);
create index benefit_snapshots_of_benefit on benefit_snapshots (benefit_id, id desc);

-- Where payer and ledger differ, for a person to decide. It moves no amount.
create table benefit_drifts (
  id uuid primary key,
  patient_id uuid not null references patients,
  -- Null where the payer lists one that is not here.
  benefit_id uuid references benefits,
  -- The benefit's id; else the payer's plan, type, unit and first day.
  about text not null,
  kind text not null check (kind in
    ('LESS_LEFT', 'MORE_LEFT', 'PERIOD', 'NOT_IN_FORCE', 'NOT_THERE', 'NOT_HERE', 'NOT_CREDIBLE')),
  -- Why it cannot be believed, by code.
  fault text,
  status text not null default 'OPEN' check (status in ('OPEN', 'ACCEPTED', 'DISPUTED', 'RESOLVED')),
  external_plan_id text not null,
  type text not null,
  unit text not null,
  -- As each side had it when it was asked; null for the side that has none.
  allocated_here numeric(12, 2),
  used_here numeric(12, 2),
  allocated_there numeric(12, 2),
  used_there numeric(12, 2),
  -- What is left there less what is left here.
  difference numeric(12, 2),
  as_of timestamptz not null,
  -- Why it is disputed: words of a person, sealed with the patient's key.
  reason bytea,
  -- The correction that it was accepted with.
  entry_id uuid references benefit_entries,
  settled_by uuid,
  settled_at timestamptz,
  -- Grows when there is something else to decide, and with each decision.
  version integer not null default 1,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  constraint benefit_drifts_of_a_benefit check ((benefit_id is null) = (kind = 'NOT_HERE')),
  constraint benefit_drifts_by_so_much check ((difference is not null) = (kind in ('LESS_LEFT', 'MORE_LEFT'))),
  constraint benefit_drifts_accepted_with_entry check ((entry_id is not null) = (status = 'ACCEPTED'))
);
create unique index benefit_drifts_one_live on benefit_drifts (patient_id, about) where status in ('OPEN', 'DISPUTED');
create index benefit_drifts_in_order on benefit_drifts (status, id);
create index benefit_drifts_of_patient on benefit_drifts (patient_id, id);
create index benefit_drifts_of_benefit on benefit_drifts (benefit_id) where status in ('OPEN', 'DISPUTED');

alter table benefit_sync_runs enable row level security;
alter table benefit_sync_failures enable row level security;
alter table benefit_snapshots enable row level security;
alter table benefit_drifts enable row level security;
create policy benefit_sync_runs_system on benefit_sync_runs for all to careflex_system using (true) with check (true);
create policy benefit_sync_runs_staff on benefit_sync_runs for select to careflex_staff using (true);
create policy benefit_sync_failures_system on benefit_sync_failures for all to careflex_system
  using (true) with check (true);
create policy benefit_sync_failures_staff on benefit_sync_failures for select to careflex_staff using (true);
create policy benefit_snapshots_system on benefit_snapshots for all to careflex_system using (true) with check (true);
create policy benefit_drifts_system on benefit_drifts for all to careflex_system using (true) with check (true);
create policy benefit_drifts_staff on benefit_drifts for select to careflex_staff using (true);
create policy benefit_drifts_staff_decide on benefit_drifts for update to careflex_staff
  using (true) with check (settled_by = current_user_id());
grant select, insert, update on benefit_sync_runs, benefit_drifts to careflex_system;
grant select, insert on benefit_sync_failures, benefit_snapshots to careflex_system;
grant update (seen_at) on benefit_snapshots to careflex_system;
grant select on benefit_sync_runs, benefit_sync_failures, benefit_drifts to careflex_staff;
grant update (status, reason, entry_id, settled_by, settled_at, version, updated_at) on benefit_drifts to careflex_staff;
