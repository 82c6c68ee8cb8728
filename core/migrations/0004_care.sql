-- Patients, and the encrypted index of their names.

create table patients (
  id uuid primary key,
  external_id text,
  status text not null,
  time_zone text not null,
  language text not null,
  preferences jsonb not null,
  data_key bytea,
  identity bytea,
  details bytea,
  email_index bytea,
  phone_index bytea,
  search_id uuid,
  search_generation integer not null default 0,
  import_hash bytea,
  version integer not null default 1,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  deleted_at timestamptz,
  erased_at timestamptz,
  constraint patients_external_id_once unique (external_id),
  constraint patients_search_id_once unique (search_id),
  constraint patients_status_known check (status in ('ACTIVE', 'INACTIVE', 'SUSPENDED', 'DECEASED')),
  constraint patients_sealed_until_erased check (
    case when erased_at is null
      then data_key is not null and identity is not null
      else deleted_at is not null
        and num_nonnulls(data_key, identity, details, email_index, phone_index, search_id, import_hash) = 0
    end)
);
create unique index patients_email_once on patients (email_index) where deleted_at is null;
create index patients_by_phone on patients (phone_index) where deleted_at is null;
create index patients_by_status on patients (status, id) where deleted_at is null;

alter table patients enable row level security;
create policy patients_staff on patients for all to careflex_staff using (true) with check (true);
create policy patients_system on patients for all to careflex_system using (true) with check (true);
create policy patients_own on patients for all to careflex_patient
  using (id = current_patient_id() and deleted_at is null)
  with check (id = current_patient_id() and deleted_at is null);
grant select, insert, update on patients to careflex_staff, careflex_system;
grant select on patients to careflex_patient;
grant update (identity, details, email_index, phone_index, preferences, time_zone, language, version, updated_at)
  on patients to careflex_patient;

-- The name index: an encrypted multimap (see care/search-index.ts). An entry is a token and a sealed pointer, both
-- without meaning to whom the key is missing; a count says, sealed, how many entries a keyword has. A generation
-- lives in the pair of tables of its parity, so that the next one can be built beside it and the last one dropped
-- at once.
create table patient_search_entries_0 (token uuid primary key, sealed uuid not null);
create table patient_search_entries_1 (token uuid primary key, sealed uuid not null);
-- Counts change all the time: room in the page keeps the change there, and the primary key untouched.
create table patient_search_counts_0 (token uuid primary key, sealed bytea not null) with (fillfactor = 50);
create table patient_search_counts_1 (token uuid primary key, sealed bytea not null) with (fillfactor = 50);

create table patient_search (
  single boolean primary key default true check (single),
  current integer not null,
  building integer
);
insert into patient_search (current) values (0);

-- What a transaction reads or writes in the index stays there until it ends: a switch to the next generation
-- (which takes this lock for itself) waits for it. The lock comes first, and what is then read is newer than it.
create function use_patient_search() returns table (current integer, building integer) language plpgsql volatile
  set search_path = public, pg_temp
  as $$
  #variable_conflict use_column
  begin
    perform pg_advisory_xact_lock_shared(4270003);
    return query select s.current, s.building from patient_search s;
  end $$;

do $$
declare
  name text;
begin
  foreach name in array array['patient_search_entries_0', 'patient_search_entries_1',
    'patient_search_counts_0', 'patient_search_counts_1', 'patient_search'] loop
    execute format('alter table %I enable row level security', name);
    execute format('create policy %I on %I for all to careflex_staff using (true) with check (true)', name || '_staff', name);
    execute format('create policy %I on %I for all to careflex_system using (true) with check (true)', name || '_system', name);
  end loop;
end $$;
grant select, insert on patient_search_entries_0, patient_search_entries_1 to careflex_staff, careflex_system;
grant select, insert, update on patient_search_counts_0, patient_search_counts_1 to careflex_staff, careflex_system;
grant select on patient_search to careflex_staff;
grant select, update on patient_search to careflex_system;
grant truncate on patient_search_entries_0, patient_search_entries_1, patient_search_counts_0, patient_search_counts_1
  to careflex_system;
