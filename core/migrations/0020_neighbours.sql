-- The systems outside that the platform calls: how the calls fare, in every process, and what admins have ordered.

create table neighbours (
  name text primary key,
  -- Tripped by hand: every process refuses calls at once, until somebody resets it.
  tripped_at timestamptz,
  tripped_by uuid references users,
  reason text,
  -- Grows with each order: a process carries out what it has not seen.
  revision integer not null default 0,
  -- Calls of all processes by how they ended, those of processes that are gone as well.
  succeeded bigint not null default 0,
  refused bigint not null default 0,
  failed bigint not null default 0,
  rejected bigint not null default 0,
  constraint neighbours_tripped_by_somebody check (num_nonnulls(tripped_at, tripped_by, reason) in (0, 3))
);

-- What a process tells of its guard, every few seconds; one that is not heard of for too long is gone.
create table neighbour_processes (
  name text not null,
  -- Host and process id.
  node text not null,
  state text not null check (state in ('CLOSED', 'HALF_OPEN', 'OPEN', 'TRIPPED')),
  -- Calls since its start by how they ended, attempts after a call's first, attempts that took too long.
  succeeded bigint not null,
  refused bigint not null,
  failed bigint not null,
  rejected bigint not null,
  retries bigint not null,
  timeouts bigint not null,
  -- Calls now.
  running integer not null,
  waiting integer not null,
  -- A code, never a message.
  last_error_code text,
  last_error_at timestamptz,
  alive_at timestamptz not null,
  primary key (name, node)
) with (fillfactor = 80);

alter table neighbours enable row level security;
create policy neighbours_system on neighbours for all to careflex_system using (true) with check (true);
grant select, insert, update on neighbours to careflex_system;

alter table neighbour_processes enable row level security;
create policy neighbour_processes_system on neighbour_processes for all to careflex_system using (true) with check (true);
grant select, insert, update, delete on neighbour_processes to careflex_system;
