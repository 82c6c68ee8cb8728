-- Benefits: what a plan allows a patient in a period, and the append-only ledger that its amounts follow from.

create table benefits (
  id uuid primary key,
  patient_id uuid not null references patients,
  type text not null check (type in ('TRANSPORTATION', 'MEALS', 'FITNESS', 'OTC_ITEMS', 'UTILITIES')),
  unit text not null check (unit in ('MONEY', 'COUNT')),
  -- Local days in the plan's zone, both included.
  period_start date not null,
  period_end date not null,
  -- IANA.
  time_zone text not null,
  external_plan_id text,
  -- The sums of the ledger, kept by the statement that adds an entry.
  allocated numeric(12, 2) not null,
  used numeric(12, 2) not null default 0,
  held numeric(12, 2) not null default 0,
  available numeric(12, 2) not null generated always as (allocated - used - held) stored,
  -- Grows with every entry.
  version integer not null default 1,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  last_synced_at timestamptz,
  constraint benefits_period_in_order check (period_start <= period_end),
  constraint benefits_never_overdrawn check (used >= 0 and held >= 0 and used + held <= allocated),
  constraint benefits_of_a_unit unique (id, unit)
);
create index benefits_of_patient on benefits (patient_id, period_end, id);
create index benefits_unspent on benefits (period_end, id) where available > 0;

create table benefit_entries (
  id uuid primary key,
  benefit_id uuid not null,
  unit text not null,
  kind text not null check (kind in
    ('ALLOCATE', 'HOLD', 'RELEASE', 'USE', 'REVERSE', 'ADJUST', 'EXPIRE', 'SYNC_CORRECTION')),
  amount numeric(12, 2) not null,
  -- Adjustments and corrections go both ways; of every other kind the direction follows.
  direction smallint not null default 1 check (direction in (1, -1)),
  appointment_id uuid references appointments,
  -- The local day in the plan's zone that it counts for.
  service_date date not null,
  -- The use that it takes back.
  reverses uuid references benefit_entries,
  -- Words of a person, sealed with the patient's key.
  reason bytea,
  -- Written to agree with the amounts that were found, and not applied to them: see benefits/proof.ts.
  repair boolean not null default false,
  -- Keyed hashes: of the caller's idempotency key and of what was asked for with it.
  key_hash bytea,
  input_hash bytea,
  recorded_by uuid not null,
  recorded_role text not null,
  recorded_at timestamptz not null,
  allocated_delta numeric(12, 2) not null generated always as (case
    when kind = 'ALLOCATE' then amount
    when kind in ('ADJUST', 'SYNC_CORRECTION') then amount * direction
    when kind = 'EXPIRE' then -amount else 0 end) stored,
  used_delta numeric(12, 2) not null generated always as (case
    when kind = 'USE' then amount when kind = 'REVERSE' then -amount else 0 end) stored,
  held_delta numeric(12, 2) not null generated always as (case
    when kind = 'HOLD' then amount when kind = 'RELEASE' then -amount else 0 end) stored,
  constraint benefit_entries_of_a_benefit foreign key (benefit_id, unit) references benefits (id, unit),
  constraint benefit_entries_amount_positive check (amount > 0),
  constraint benefit_entries_count_whole check (unit = 'MONEY' or amount = trunc(amount)),
  constraint benefit_entries_both_ways check (direction = 1 or kind in ('ADJUST', 'SYNC_CORRECTION')),
  constraint benefit_entries_reversal_names_entry check ((kind = 'REVERSE' and not repair) = (reverses is not null)),
  constraint benefit_entries_once_per_key unique (benefit_id, key_hash)
);
create index benefit_entries_in_order on benefit_entries (benefit_id, id desc);
create index benefit_entries_reversals on benefit_entries (reverses) where reverses is not null;

create function refuse_benefit_entry_change() returns trigger language plpgsql as $$
begin
  raise exception 'the ledger of benefits is append-only' using errcode = 'insufficient_privilege';
end $$;
create trigger benefit_entries_append_only before update or delete on benefit_entries
  for each row execute function refuse_benefit_entry_change();
create trigger benefit_entries_no_truncate before truncate on benefit_entries
  for each statement execute function refuse_benefit_entry_change();

-- One at a time takes back from a use, and never more than is left of it.
create function limit_reversals() returns trigger language plpgsql security definer
  set search_path = public, pg_temp
  as $$
declare
  original benefit_entries;
begin
  perform from benefits where id = new.benefit_id for no key update;
  select * into original from benefit_entries where id = new.reverses;
  if original.kind is distinct from 'USE' or original.benefit_id <> new.benefit_id
    or new.amount + (select coalesce(sum(amount), 0) from benefit_entries where reverses = new.reverses) > original.amount
  then
    raise check_violation using constraint = 'benefit_entries_reversal_within_entry', table = 'benefit_entries',
      message = 'a reversal takes back more than was used';
  end if;
  return new;
end $$;
create trigger benefit_entries_reversal_within_entry before insert on benefit_entries
  for each row when (new.reverses is not null) execute function limit_reversals();

alter table benefits enable row level security;
alter table benefit_entries enable row level security;
create policy benefits_system on benefits for all to careflex_system using (true) with check (true);
create policy benefits_staff on benefits for all to careflex_staff using (true) with check (true);
create policy benefits_own on benefits for select to careflex_patient using (patient_id = current_patient_id());
create policy benefit_entries_system on benefit_entries for all to careflex_system using (true) with check (true);
create policy benefit_entries_staff on benefit_entries for all to careflex_staff
  using (true) with check (recorded_by = current_user_id());
create policy benefit_entries_own on benefit_entries for select to careflex_patient
  using (exists (select from benefits b where b.id = benefit_id));
grant select, insert on benefits, benefit_entries to careflex_staff, careflex_system;
grant update (allocated, used, held, version, updated_at) on benefits to careflex_staff, careflex_system;
grant update (last_synced_at) on benefits to careflex_system;
grant select on benefits, benefit_entries to careflex_patient;
