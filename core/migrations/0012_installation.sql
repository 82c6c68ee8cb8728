-- What this database was made with. One row, written by the first migration that knows the secret.
create table installation (
  single boolean primary key default true check (single),
  secret_check bytea not null,
  created_at timestamptz not null default now()
);
alter table installation enable row level security;
create policy installation_system on installation for select to careflex_system using (true);
grant select on installation to careflex_system;
