-- When providers work and are busy by an outside directory. No PHI: of a busy time nobody knows whose it is.
--
-- For the time that it covers, its hours count instead of the weekly ones; a dated exception goes over them, and its
-- busy times take away as time off does.

create table provider_directories (
  provider_id uuid primary key references providers,
  -- Whose directory it is, and what the provider is called there.
  source text not null,
  practitioner text not null,
  -- The last look, and what was wrong with it; null: nothing.
  checked_at timestamptz not null,
  problem text,
  -- The last good look, which is what counts. Null until there was one.
  as_of timestamptz,
  covers_from timestamptz,
  covers_until timestamptz,
  -- Of all that it said: the same again changes nothing.
  digest text,
  constraint provider_directories_whole check (num_nonnulls(as_of, covers_from, covers_until, digest) in (0, 4)),
  constraint provider_directories_cover_something check (covers_from < covers_until),
  constraint provider_directories_say_something check (as_of is not null or problem is not null),
  constraint provider_directories_problem_known check (problem in ('UNREACHABLE', 'REFUSED', 'MALFORMED',
    'ENDS_BEFORE_START', 'FREE_AND_BUSY', 'UNKNOWN_PRACTITIONER', 'AMBIGUOUS_PRACTITIONER'))
);

create table provider_directory_times (
  provider_id uuid not null references provider_directories,
  -- Taken elsewhere; else at work.
  busy boolean not null,
  starts_at timestamptz not null,
  ends_at timestamptz not null,
  primary key (provider_id, busy, starts_at),
  constraint provider_directory_times_begin_before_they_end check (starts_at < ends_at)
);
create index provider_directory_times_by_end on provider_directory_times (provider_id, ends_at);

do $$
declare
  name text;
begin
  foreach name in array array['provider_directories', 'provider_directory_times'] loop
    execute format('alter table %I enable row level security', name);
    execute format('create policy %I on %I for all to careflex_system using (true) with check (true)', name || '_system', name);
    execute format('create policy %I on %I for select to careflex_staff using (true)', name || '_read_staff', name);
    execute format('create policy %I on %I for select to careflex_patient using (true)', name || '_read_patient', name);
    execute format('grant select on %I to careflex_staff, careflex_system', name);
  end loop;
end $$;
grant insert, update on provider_directories to careflex_system;
grant insert, delete on provider_directory_times to careflex_system;
-- What decides when they can book.
grant select (provider_id, covers_from, covers_until) on provider_directories to careflex_patient;
grant select on provider_directory_times to careflex_patient;
