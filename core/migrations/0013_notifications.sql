-- Messages to patients: what they agreed to, what is due, what was sent, what came back, and what a person must do.
--
-- A number or address is never here, only its keyed hash (contact_index); texts are sealed with the patient's key.

-- What a message says. Every change is a new version; the newest one counts.
create table message_templates (
  id uuid primary key,
  kind text not null,
  channel text not null check (channel in ('SMS', 'VOICE', 'EMAIL')),
  -- BCP 47, without a region.
  language text not null check (language in ('en', 'es')),
  version integer not null check (version > 0),
  -- Of an e-mail.
  subject text,
  body text not null,
  -- Null for those that the platform came with.
  created_by uuid references users,
  created_at timestamptz not null,
  constraint message_templates_version_once unique (kind, channel, language, version),
  constraint message_templates_subject_of_email check ((channel = 'EMAIL') = (subject is not null))
);

-- What a patient agreed to, for one number or address and one purpose. Of several rows the newest counts.
create table consents (
  id uuid primary key,
  patient_id uuid not null references patients,
  contact_index bytea not null,
  contact_kind text not null check (contact_kind in ('PHONE', 'EMAIL')),
  purpose text not null check (purpose in ('CARE_REMINDER', 'BENEFITS_NOTICE', 'SURVEY')),
  status text not null check (status in ('GIVEN', 'WITHDRAWN')),
  source text not null check (source in ('PATIENT', 'AGENT', 'WRITTEN_FORM', 'IMPORT', 'INBOUND_MESSAGE')),
  -- Which words the patient agreed to.
  wording_version text not null,
  -- What proves it, sealed with the patient's key: who said what, where the form is.
  evidence bytea,
  recorded_by uuid not null,
  recorded_role text not null,
  recorded_at timestamptz not null
);
create index consents_of_patient on consents (patient_id, recorded_at desc, id desc);

-- Whoever holds a number or address wants nothing more there, or wants it again. Of several rows the newest counts.
create table opt_outs (
  id uuid primary key,
  contact_index bytea not null,
  opted_out boolean not null,
  source text not null check (source in ('INBOUND_MESSAGE', 'PROVIDER', 'PATIENT', 'AGENT')),
  recorded_by uuid not null,
  recorded_at timestamptz not null
);
create index opt_outs_of_contact on opt_outs (contact_index, recorded_at desc, id desc);

-- The reminder ledger: which messages are due for which revision of an appointment, and what became of each.
create table notifications (
  id uuid primary key,
  appointment_id uuid not null references appointments,
  revision integer not null,
  patient_id uuid not null references patients,
  kind text not null check (kind in ('CONFIRMATION', 'REMINDER_24H', 'REMINDER_2H', 'CHANGED', 'CANCELLED', 'MISSED')),
  channel text not null check (channel in ('SMS', 'VOICE', 'EMAIL')),
  status text not null check (status in
    ('PLANNED', 'CLAIMED', 'SENT', 'DELIVERED', 'SKIPPED', 'SUPERSEDED', 'FAILED', 'UNKNOWN')),
  -- Why it was skipped, superseded, has failed or is unknown; coded.
  reason text,
  due_at timestamptz not null,
  -- No attempt begins after that.
  expires_at timestamptz not null,
  -- Attempts begun so far; the one under way while it is claimed, or the last.
  attempts integer not null default 0,
  attempt_id uuid,
  claimed_at timestamptz,
  -- Frozen with the attempt: where it went, and what it said, sealed with the patient's key.
  contact_index bytea,
  template_id uuid references message_templates,
  body bytea,
  -- The message's id at the provider.
  provider_message_id text,
  sent_at timestamptz,
  delivered_at timestamptz,
  -- Several visits in one message: the row that carries it.
  merged_into uuid references notifications,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  constraint notifications_once unique (appointment_id, revision, kind, channel),
  constraint notifications_claimed_by_an_attempt check ((status = 'CLAIMED') <= (attempt_id is not null and claimed_at is not null)),
  constraint notifications_sent_at_a_time check ((status in ('SENT', 'DELIVERED')) <= (sent_at is not null)),
  constraint notifications_explained check ((status in ('SKIPPED', 'SUPERSEDED', 'FAILED', 'UNKNOWN')) <= (reason is not null))
);
create index notifications_due on notifications (due_at, id) where status = 'PLANNED';
create index notifications_claimed on notifications (claimed_at) where status = 'CLAIMED';
create index notifications_of_patient on notifications (patient_id, due_at desc, id desc);
create index notifications_to_contact on notifications (contact_index, sent_at desc) where sent_at is not null;
create unique index notifications_provider_message on notifications (provider_message_id)
  where provider_message_id is not null and merged_into is null;

-- Each try to send: its id is the attempt's, written before the provider is called.
create table notification_attempts (
  id uuid primary key,
  notification_id uuid not null references notifications,
  number integer not null,
  channel text not null,
  started_at timestamptz not null,
  ended_at timestamptz,
  outcome text check (outcome in ('SENT', 'REFUSED', 'UNAVAILABLE', 'UNKNOWN', 'NOT_SENT')),
  -- The provider's code.
  code text,
  constraint notification_attempts_number_once unique (notification_id, number),
  constraint notification_attempts_end check ((ended_at is null) = (outcome is null))
);

-- What the provider told of a message, once per status, whatever order it came in.
create table delivery_reports (
  provider_message_id text not null,
  status text not null,
  error_code text,
  received_at timestamptz not null,
  -- Null until there is a message that it belongs to: a report may be quicker than our own commit.
  notification_id uuid references notifications,
  primary key (provider_message_id, status)
);
create index delivery_reports_unmatched on delivery_reports (received_at) where notification_id is null;

-- What patients sent, once per message id of the provider.
create table inbound_messages (
  id uuid primary key,
  provider_message_id text not null,
  channel text not null check (channel in ('SMS', 'VOICE')),
  contact_index bytea not null,
  -- How it was understood.
  intent text not null check (intent in ('OPT_OUT', 'OPT_IN', 'HELP', 'CONFIRM', 'CHANGE', 'DECLINE', 'OTHER')),
  -- The prompt that it answers.
  notification_id uuid references notifications,
  -- Sealed with the key ring: whose it is may not be known.
  body bytea,
  received_at timestamptz not null,
  constraint inbound_messages_once unique (provider_message_id)
);

-- What a person must do, because the platform cannot or may not.
create table tasks (
  id uuid primary key,
  kind text not null check (kind in ('UNDELIVERABLE', 'UNDECIDABLE', 'REPLY', 'CHANGE_REQUESTED', 'CANNOT_COME')),
  status text not null check (status in ('OPEN', 'CLAIMED', 'DONE')),
  patient_id uuid references patients,
  appointment_id uuid references appointments,
  notification_id uuid references notifications,
  inbound_message_id uuid references inbound_messages,
  -- Coded: why there is a task.
  reason text not null,
  claimed_by uuid references users,
  claimed_at timestamptz,
  done_by uuid references users,
  done_at timestamptz,
  -- What was done, sealed with the key ring.
  outcome bytea,
  version integer not null default 1,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  constraint tasks_claimed_by_somebody check ((status = 'CLAIMED') <= (claimed_by is not null and claimed_at is not null)),
  constraint tasks_done_by_somebody check ((status = 'DONE') = (done_at is not null))
);
create unique index tasks_once_per_notification on tasks (kind, notification_id) where notification_id is not null and inbound_message_id is null;
-- An answer to one text about several visits is a task for each.
create unique index tasks_once_per_inbound on tasks (kind, inbound_message_id, appointment_id) nulls not distinct
  where inbound_message_id is not null;
create index tasks_open on tasks (created_at, id) where status <> 'DONE';
create index tasks_of_patient on tasks (patient_id, created_at desc);

alter table message_templates enable row level security;
alter table consents enable row level security;
alter table opt_outs enable row level security;
alter table notifications enable row level security;
alter table notification_attempts enable row level security;
alter table delivery_reports enable row level security;
alter table inbound_messages enable row level security;
alter table tasks enable row level security;

create policy message_templates_system on message_templates for all to careflex_system using (true) with check (true);
create policy message_templates_staff on message_templates for all to careflex_staff
  using (true) with check ((select current_user_role()) = 'admin' and created_by = current_user_id());
grant select, insert on message_templates to careflex_system, careflex_staff;

create policy consents_system on consents for all to careflex_system using (true) with check (true);
create policy consents_staff on consents for all to careflex_staff using (true) with check (recorded_by = current_user_id());
create policy consents_own on consents for all to careflex_patient
  using (patient_id = current_patient_id())
  with check (patient_id = current_patient_id() and recorded_by = current_user_id());
grant select, insert on consents to careflex_system, careflex_staff, careflex_patient;

create policy opt_outs_system on opt_outs for all to careflex_system using (true) with check (true);
create policy opt_outs_staff on opt_outs for all to careflex_staff using (true) with check (recorded_by = current_user_id());
grant select, insert on opt_outs to careflex_system, careflex_staff;

create policy notifications_system on notifications for all to careflex_system using (true) with check (true);
create policy notifications_staff on notifications for select to careflex_staff using (true);
create policy notifications_own on notifications for select to careflex_patient using (patient_id = current_patient_id());
grant select, insert, update on notifications to careflex_system;
grant select on notifications to careflex_staff, careflex_patient;

create policy notification_attempts_system on notification_attempts for all to careflex_system using (true) with check (true);
create policy notification_attempts_staff on notification_attempts for select to careflex_staff using (true);
grant select, insert, update on notification_attempts to careflex_system;
grant select on notification_attempts to careflex_staff;

create policy delivery_reports_system on delivery_reports for all to careflex_system using (true) with check (true);
grant select, insert, update on delivery_reports to careflex_system;

create policy inbound_messages_system on inbound_messages for all to careflex_system using (true) with check (true);
create policy inbound_messages_staff on inbound_messages for select to careflex_staff using (true);
grant select, insert, update on inbound_messages to careflex_system;
grant select on inbound_messages to careflex_staff;

create policy tasks_system on tasks for all to careflex_system using (true) with check (true);
create policy tasks_staff on tasks for select to careflex_staff using (true);
create policy tasks_staff_work on tasks for update to careflex_staff using (true) with check (true);
grant select, insert, update on tasks to careflex_system;
grant select on tasks to careflex_staff;
grant update (status, claimed_by, claimed_at, done_by, done_at, outcome, version, updated_at) on tasks to careflex_staff;
