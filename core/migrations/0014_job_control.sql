-- Jobs, seen and steered: limits of a queue over all processes, who ran what and how it ended, schedules.

-- A worker locks its queue's row before it takes jobs: shared where nothing is counted, so that many take at once, and
-- for itself alone where something is. A pause changes the row, so once it is committed nobody starts another job.
create table job_queues (
  name text primary key,
  paused_at timestamptz,
  -- Attempts that may be open at once, over all processes; null for any number.
  at_once integer check (at_once > 0),
  -- Starts in any span of so many seconds, over all processes.
  rate_starts integer check (rate_starts > 0),
  rate_seconds integer check (rate_seconds between 1 and 3600),
  constraint job_queues_whole_rate check ((rate_starts is null) = (rate_seconds is null))
);

-- One row for each time a job was started. An open one is a lease: its process says every few seconds that it is alive,
-- and what is not heard of for too long is ended by whoever looks, and the job given out again.
create table job_attempts (
  job_id uuid not null,
  -- 1 for the first.
  attempt integer not null,
  queue text not null,
  -- The process that ran it: host and process id.
  node text not null,
  started_at timestamptz not null,
  alive_at timestamptz not null,
  ended_at timestamptz,
  outcome text check (outcome in ('DONE', 'FAILED', 'TIMED_OUT', 'SNOOZED', 'CANCELLED', 'HANDED_BACK', 'LOST')),
  -- Never its message, which may quote data.
  error_class text,
  primary key (job_id, attempt),
  constraint job_attempts_end_with_an_outcome check ((ended_at is null) = (outcome is null))
) with (fillfactor = 80);
create index job_attempts_ends on job_attempts (queue, ended_at);
create index job_attempts_starts on job_attempts (queue, started_at);

create table job_schedules (
  name text primary key,
  queue text not null,
  payload jsonb not null,
  cron text not null,
  time_zone text not null,
  -- The due time that comes next, or, after an outage, the first one that was missed.
  next_at timestamptz not null,
  -- The due time for which it fired last, and when it did.
  last_due_at timestamptz,
  last_fired_at timestamptz,
  last_job_id uuid
);

do $$
declare
  name text;
begin
  foreach name in array array['job_queues', 'job_attempts', 'job_schedules'] loop
    execute format('alter table %I enable row level security', name);
    execute format('create policy %I on %I for all to careflex_system using (true) with check (true)', name || '_system', name);
  end loop;
end
$$;
-- Queues and schedules are declared by a migration; a running process changes what stands here.
grant select, update (paused_at) on job_queues to careflex_system;
grant select, insert, update (node, started_at, alive_at, ended_at, outcome, error_class), delete
  on job_attempts to careflex_system;
grant select, update (next_at, last_due_at, last_fired_at, last_job_id) on job_schedules to careflex_system;

-- Gives out up to so many due jobs of a queue, within its limits. Each step sees what was committed before it, which a
-- single statement would not after it has waited for the lock.
create function take_jobs(taken_from text, wanted integer, by_node text)
  returns table (id uuid, data jsonb, attempt integer, priority integer, singleton_key text)
  language plpgsql set search_path = public, pg_temp
  as $$
#variable_conflict use_column
declare
  rules job_queues;
  free integer := wanted;
  moment timestamptz;
begin
  -- Most looks find nothing, and then lock and write nothing.
  perform from pgboss.job_common j
    where j.name = taken_from and j.state < 'active' and not j.blocked and j.start_after <= clock_timestamp() limit 1;
  if not found then return; end if;
  select * into rules from job_queues q where q.name = taken_from;
  if num_nonnulls(rules.at_once, rules.rate_starts) = 0 then
    select * into rules from job_queues q where q.name = taken_from for share;
  else
    select * into rules from job_queues q where q.name = taken_from for update;
  end if;
  if not found or rules.paused_at is not null then return; end if;

  moment := clock_timestamp();
  if rules.at_once is not null then
    free := least(free, rules.at_once
      - (select count(*) from job_attempts a where a.queue = taken_from and a.ended_at is null));
  end if;
  if rules.rate_starts is not null then
    free := least(free, rules.rate_starts
      - (select count(*) from job_attempts a
         where a.queue = taken_from and a.started_at > moment - make_interval(secs => rules.rate_seconds)));
  end if;
  if free <= 0 then return; end if;

  return query
    with due as (
      select j.id from pgboss.job_common j
      where j.name = taken_from and j.state < 'active' and not j.blocked and j.start_after <= moment
      order by j.priority desc, j.created_on limit free for update skip locked
    ), taken as (
      update pgboss.job_common j
      set state = 'active', started_on = moment,
        retry_count = case when j.started_on is null then j.retry_count else j.retry_count + 1 end
      from due where j.name = taken_from and j.id = due.id
      returning j.id, j.data, j.retry_count + 1 as attempt, j.priority, j.singleton_key, j.created_on
    ), noted as (
      insert into job_attempts (job_id, attempt, queue, node, started_at, alive_at)
      select t.id, t.attempt, taken_from, by_node, moment, moment from taken t
      -- A job that somebody put back by hand counts its attempts anew.
      on conflict (job_id, attempt) do update set node = excluded.node, started_at = excluded.started_at,
        alive_at = excluded.alive_at, ended_at = null, outcome = null, error_class = null
    )
    select t.id, t.data, t.attempt, t.priority, t.singleton_key from taken t order by t.priority desc, t.created_on;
end $$;
revoke execute on function take_jobs from public;
grant execute on function take_jobs to careflex_system;

-- pg-boss's own schedules and heartbeats are not used any more.
delete from pgboss.schedule;
