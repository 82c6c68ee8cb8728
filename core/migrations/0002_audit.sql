create table audit_entries (
  id bigint generated always as identity primary key,
  at timestamptz not null,
  user_id uuid,
  user_role text not null,
  action text not null,
  resource_type text not null,
  resource_id text,
  resource_ids text[] not null default '{}',
  changed_fields text[] not null default '{}',
  purpose text,
  outcome text not null,
  request_id text not null,
  ip_address text,
  user_agent text,
  transaction_id xid8 not null default pg_current_xact_id()
);
grant insert on audit_entries to careflex_patient, careflex_staff, careflex_auditor, careflex_system;
