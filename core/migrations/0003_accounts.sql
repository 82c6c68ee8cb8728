-- Users, their sessions, and what stands between a stranger and one.

create table users (
  id uuid primary key,
  role text not null check (role in ('admin', 'agent', 'patient', 'auditor')),
  patient_id uuid,
  data_key bytea,
  identity bytea,
  email_index bytea,
  email_verified boolean not null,
  password bytea,
  can_override boolean not null default false,
  demo boolean not null default false,
  disabled_at timestamptz,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  constraint users_email_once unique (email_index),
  constraint users_patient_once unique (patient_id),
  constraint users_patients_only check ((role = 'patient') = (patient_id is not null)),
  constraint users_override_staff check (not can_override or role in ('admin', 'agent')),
  constraint users_erased_or_whole check (num_nulls(data_key, identity, email_index) in (0, 3)),
  constraint users_erased_disabled check (data_key is not null or (password is null and disabled_at is not null))
);

-- Whatever stands for a signed-in user: a browser's cookie, a client's family of refresh tokens, an issuer's token, an API key.
create table sessions (
  id uuid primary key,
  user_id uuid not null references users,
  kind text not null check (kind in ('browser', 'client', 'issuer', 'api_key')),
  token_hash bytea,
  name text,
  scopes text[],
  ip_address text,
  user_agent text,
  created_at timestamptz not null,
  last_seen_at timestamptz not null,
  idle_expires_at timestamptz,
  expires_at timestamptz not null,
  ended_at timestamptz,
  constraint sessions_token_once unique (token_hash),
  constraint sessions_bearer check ((kind = 'client') = (token_hash is null)),
  constraint sessions_api_key check ((kind = 'api_key') = (scopes is not null) and (kind = 'api_key') = (name is not null)),
  constraint sessions_idle check ((kind = 'api_key') = (idle_expires_at is null))
);
create index sessions_of_user on sessions (user_id);
create index sessions_expiry on sessions (expires_at);

create table refresh_tokens (
  token_hash bytea primary key,
  session_id uuid not null references sessions on delete cascade,
  spent_at timestamptz
);
create index refresh_tokens_of_session on refresh_tokens (session_id);

create table identities (
  subject_index bytea primary key,
  issuer text not null,
  user_id uuid not null references users,
  created_at timestamptz not null,
  constraint identities_issuer_once unique (user_id, issuer)
);

create table throttles (
  subject bytea primary key,
  failures integer not null,
  blocked_until timestamptz not null,
  expires_at timestamptz not null
);
create index throttles_expiry on throttles (expires_at);

create table verifications (
  id uuid primary key,
  channel text not null check (channel in ('sms', 'email')),
  contact_index bytea not null,
  code_hash bytea not null,
  message bytea,
  patient_ids uuid[] not null default '{}',
  tries integer not null default 0,
  created_at timestamptz not null,
  expires_at timestamptz not null,
  sent_at timestamptz,
  closed_at timestamptz
);
create unique index verifications_one_open on verifications (contact_index) where closed_at is null;
create index verifications_expiry on verifications (expires_at);

-- Every transaction asks this before it takes its role: two look-ups by primary key and no write.
create or replace function check_session(session_id text, at text) returns void language plpgsql security definer
  set search_path = public, pg_temp
  as $$
begin
  if session_id = '' then return; end if;
  if not exists (
    select from sessions s join users u on u.id = s.user_id
    where s.id = session_id::uuid and s.ended_at is null and s.expires_at > at::timestamptz
      and (s.idle_expires_at is null or s.idle_expires_at > at::timestamptz) and u.disabled_at is null
  ) then
    raise exception 'no such session' using errcode = 'CF401';
  end if;
end $$;

-- Who holds the token with this hash, for callers that have no role yet: one round trip, outside a transaction.
-- It counts as a sign of life, written at most once a minute, and never waits for another caller that writes it.
create function session_by_token(hash bytea, session_kinds text[], at timestamptz, idle interval)
  returns table (id uuid, user_id uuid, role text, patient_id uuid, can_override boolean, demo boolean, scopes text[])
  language plpgsql security definer
  set search_path = public, pg_temp
  as $$
#variable_conflict use_column
declare
  seen timestamptz;
begin
  select s.id, s.user_id, u.role, u.patient_id, u.can_override, u.demo, s.scopes, s.last_seen_at
    into id, user_id, role, patient_id, can_override, demo, scopes, seen
    from sessions s join users u on u.id = s.user_id
    where s.token_hash = hash and s.kind = any (session_kinds) and s.ended_at is null and s.expires_at > at
      and (s.idle_expires_at is null or s.idle_expires_at > at) and u.disabled_at is null;
  if not found then return; end if;
  if seen <= at - interval '1 minute' then
    update sessions s set last_seen_at = at, idle_expires_at = case when s.idle_expires_at is not null then at + idle end
      from (select l.id from sessions l where l.token_hash = hash and l.ended_at is null for update skip locked) as free
      where s.id = free.id;
  end if;
  return next;
end $$;

-- Whoever holds the session's sockets closes them when this is committed.
create function notify_session_ended() returns trigger language plpgsql
  as $$ begin
    perform pg_notify('sessions', new.id::text);
    return null;
  end $$;
create trigger sessions_ended after update of ended_at on sessions for each row
  when (old.ended_at is null and new.ended_at is not null) execute function notify_session_ended();

alter table users enable row level security;
alter table sessions enable row level security;
alter table refresh_tokens enable row level security;
alter table identities enable row level security;
alter table throttles enable row level security;
alter table verifications enable row level security;

create policy users_read_patient on users for select to careflex_patient using (id = current_user_id());
create policy users_read_auditor on users for select to careflex_auditor using (id = current_user_id());
create policy users_read_staff on users for select to careflex_staff
  using (current_user_role() = 'admin' or id = current_user_id());
create policy users_create_admin on users for insert to careflex_staff with check (current_user_role() = 'admin');
create policy users_change_admin on users for update to careflex_staff
  using (current_user_role() = 'admin') with check (current_user_role() = 'admin');
create policy users_system on users for all to careflex_system using (true) with check (true);
grant select (id, role, patient_id, data_key, identity, email_index, email_verified, can_override, demo, disabled_at,
  created_at, updated_at) on users to careflex_patient, careflex_auditor, careflex_staff;
grant insert on users to careflex_staff;
grant update (role, can_override, password, disabled_at, updated_at) on users to careflex_staff;
grant select, insert, update on users to careflex_system;

-- Who ends a session cannot bring it back.
create policy sessions_read_patient on sessions for select to careflex_patient using (user_id = current_user_id());
create policy sessions_read_auditor on sessions for select to careflex_auditor using (user_id = current_user_id());
create policy sessions_read_staff on sessions for select to careflex_staff
  using (current_user_role() = 'admin' or user_id = current_user_id());
create policy sessions_end_patient on sessions for update to careflex_patient
  using (user_id = current_user_id()) with check (ended_at is not null);
create policy sessions_end_auditor on sessions for update to careflex_auditor
  using (user_id = current_user_id()) with check (ended_at is not null);
create policy sessions_end_staff on sessions for update to careflex_staff
  using (current_user_role() = 'admin' or user_id = current_user_id()) with check (ended_at is not null);
create policy sessions_create_key on sessions for insert to careflex_staff
  with check (current_user_role() = 'admin' and kind = 'api_key');
create policy sessions_system on sessions for all to careflex_system using (true) with check (true);
grant select (id, user_id, kind, name, scopes, ip_address, user_agent, created_at, last_seen_at, idle_expires_at, expires_at,
  ended_at), update (ended_at) on sessions to careflex_patient, careflex_auditor, careflex_staff;
grant insert on sessions to careflex_staff;
grant select, insert, update, delete on sessions to careflex_system;

create policy identities_admin on identities for all to careflex_staff
  using (current_user_role() = 'admin') with check (current_user_role() = 'admin');
create policy identities_system on identities for all to careflex_system using (true) with check (true);
grant select, insert, delete on identities to careflex_staff, careflex_system;

create policy refresh_tokens_system on refresh_tokens for all to careflex_system using (true) with check (true);
create policy throttles_system on throttles for all to careflex_system using (true) with check (true);
create policy verifications_system on verifications for all to careflex_system using (true) with check (true);
grant select, insert, update, delete on refresh_tokens, throttles, verifications to careflex_system;
