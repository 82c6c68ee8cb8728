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

-- What the platform comes with: version 1 of every template, under ids that are the same everywhere. Spanish text messages
-- do without á, í, ó and ú: with one of them only 70 characters would fit, not 160.
insert into message_templates (id, kind, channel, language, version, subject, body, created_at)
select ('00000000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, kind, channel, language, 1, subject, body, now()
  from (values
    (1, 'CONFIRMATION', 'SMS', 'en', null, '{{clinicName}}: your visit is booked for {{visits}}. Questions? Call {{clinicPhone}}. Reply STOP to opt out.'),
    (2, 'REMINDER_24H', 'SMS', 'en', null, '{{clinicName}}: your visit is {{visits}}. {{replyCodes}}. Call {{clinicPhone}}.'),
    (3, 'REMINDER_2H', 'SMS', 'en', null, '{{clinicName}}: your visit begins {{visits}}. {{replyCodes}}. Call {{clinicPhone}}.'),
    (4, 'CHANGED', 'SMS', 'en', null, '{{clinicName}}: your visit has moved to {{visits}}. {{replyCodes}}. Call {{clinicPhone}}.'),
    (5, 'CANCELLED', 'SMS', 'en', null, '{{clinicName}}: your visit {{visits}} is cancelled. For another time call {{clinicPhone}}.'),
    (6, 'MISSED', 'SMS', 'en', null, '{{clinicName}}: we missed you at your visit {{visits}}. For another time call {{clinicPhone}}.'),
    (7, 'OPTED_OUT', 'SMS', 'en', null, '{{clinicName}}: you get no more messages from us. Reply START to get them again. Questions? Call {{clinicPhone}}.'),
    (8, 'OPTED_IN', 'SMS', 'en', null, '{{clinicName}}: you get messages about your visits again. Questions? Call {{clinicPhone}}. Reply STOP to opt out.'),
    (9, 'HELP', 'SMS', 'en', null, '{{clinicName}}: messages about your visits. For help call {{clinicPhone}}. Msg & data rates may apply. Reply STOP to opt out.'),
    (10, 'CONFIRMED', 'SMS', 'en', null, '{{clinicName}}: thank you, your visit is confirmed. Questions? Call {{clinicPhone}}.'),
    (11, 'CHANGE_NOTED', 'SMS', 'en', null, '{{clinicName}}: we have noted that you need another time, and will call you. Or call us: {{clinicPhone}}.'),
    (12, 'DECLINED', 'SMS', 'en', null, '{{clinicName}}: we have noted that you cannot come. For another time call {{clinicPhone}}.'),
    (13, 'NOT_UNDERSTOOD', 'SMS', 'en', null, '{{clinicName}}: we did not understand your message; somebody will read it. For help call {{clinicPhone}}.'),
    (14, 'CONFIRMATION', 'SMS', 'es', null, '{{clinicName}}: su cita es {{visits}}. Preguntas: {{clinicPhone}}. Responda STOP para no recibir mensajes.'),
    (15, 'REMINDER_24H', 'SMS', 'es', null, '{{clinicName}}: su cita es {{visits}}. {{replyCodes}}. Tel. {{clinicPhone}}.'),
    (16, 'REMINDER_2H', 'SMS', 'es', null, '{{clinicName}}: su cita empieza {{visits}}. {{replyCodes}}. Tel. {{clinicPhone}}.'),
    (17, 'CHANGED', 'SMS', 'es', null, '{{clinicName}}: nueva fecha de su cita: {{visits}}. {{replyCodes}}. Tel. {{clinicPhone}}.'),
    (18, 'CANCELLED', 'SMS', 'es', null, '{{clinicName}}: su cita {{visits}} queda cancelada. Para otra fecha llame al {{clinicPhone}}.'),
    (19, 'MISSED', 'SMS', 'es', null, '{{clinicName}}: no pudimos verle en su cita {{visits}}. Para otra fecha llame al {{clinicPhone}}.'),
    (20, 'OPTED_OUT', 'SMS', 'es', null, '{{clinicName}}: ya no le enviaremos mensajes. Responda START para recibirlos de nuevo. Preguntas: {{clinicPhone}}.'),
    (21, 'OPTED_IN', 'SMS', 'es', null, '{{clinicName}}: le enviaremos de nuevo mensajes sobre sus citas. Preguntas: {{clinicPhone}}. Responda STOP para no recibir mensajes.'),
    (22, 'HELP', 'SMS', 'es', null, '{{clinicName}}: mensajes sobre sus citas. Ayuda: {{clinicPhone}}. Puede haber tarifas. Responda STOP para no recibir mensajes.'),
    (23, 'CONFIRMED', 'SMS', 'es', null, '{{clinicName}}: gracias, su cita queda confirmada. Preguntas: {{clinicPhone}}.'),
    (24, 'CHANGE_NOTED', 'SMS', 'es', null, '{{clinicName}}: hemos anotado que necesita otra fecha y le llamaremos. O llame al {{clinicPhone}}.'),
    (25, 'DECLINED', 'SMS', 'es', null, '{{clinicName}}: hemos anotado que no puede venir. Para otra cita llame al {{clinicPhone}}.'),
    (26, 'NOT_UNDERSTOOD', 'SMS', 'es', null, '{{clinicName}}: no hemos entendido su mensaje; una persona va a leerlo. Ayuda: {{clinicPhone}}.'),
    (27, 'CONFIRMATION', 'VOICE', 'en', null, 'Hello, this is {{clinicName}}. Your visit is booked for {{visits}}. {{replyCodes}}. If you have questions, or want no more calls, call us at {{clinicPhone}}.'),
    (28, 'REMINDER_24H', 'VOICE', 'en', null, 'Hello, this is {{clinicName}}. Your visit is on {{visits}}. {{replyCodes}}. Our number is {{clinicPhone}}.'),
    (29, 'REMINDER_2H', 'VOICE', 'en', null, 'Hello, this is {{clinicName}}. Your visit begins on {{visits}}. {{replyCodes}}. Our number is {{clinicPhone}}.'),
    (30, 'CHANGED', 'VOICE', 'en', null, 'Hello, this is {{clinicName}}. Your visit has moved to {{visits}}. {{replyCodes}}. Our number is {{clinicPhone}}.'),
    (31, 'CANCELLED', 'VOICE', 'en', null, 'Hello, this is {{clinicName}}. Your visit on {{visits}} is cancelled. For another time call us at {{clinicPhone}}.'),
    (32, 'MISSED', 'VOICE', 'en', null, 'Hello, this is {{clinicName}}. We missed you at your visit on {{visits}}. For another time call us at {{clinicPhone}}.'),
    (33, 'OPTED_OUT', 'VOICE', 'en', null, '{{clinicName}} will not call or text you any more. If you change your mind, call us at {{clinicPhone}}. Goodbye.'),
    (34, 'CONFIRMED', 'VOICE', 'en', null, 'Thank you. Your visit is confirmed. {{clinicName}} looks forward to seeing you. Goodbye.'),
    (35, 'CHANGE_NOTED', 'VOICE', 'en', null, 'We have noted that you need another time. {{clinicName}} will call you. Goodbye.'),
    (36, 'DECLINED', 'VOICE', 'en', null, 'We have noted that you cannot come. For another time call {{clinicName}} at {{clinicPhone}}. Goodbye.'),
    (37, 'NOT_UNDERSTOOD', 'VOICE', 'en', null, 'We did not understand that. Please call {{clinicName}} at {{clinicPhone}}. Goodbye.'),
    (38, 'CONFIRMATION', 'VOICE', 'es', null, 'Hola, le llamamos de {{clinicName}}. Su cita es el {{visits}}. {{replyCodes}}. Si tiene preguntas, o no desea más llamadas, llámenos al {{clinicPhone}}.'),
    (39, 'REMINDER_24H', 'VOICE', 'es', null, 'Hola, le llamamos de {{clinicName}}. Su cita es el {{visits}}. {{replyCodes}}. Nuestro número es {{clinicPhone}}.'),
    (40, 'REMINDER_2H', 'VOICE', 'es', null, 'Hola, le llamamos de {{clinicName}}. Su cita empieza el {{visits}}. {{replyCodes}}. Nuestro número es {{clinicPhone}}.'),
    (41, 'CHANGED', 'VOICE', 'es', null, 'Hola, le llamamos de {{clinicName}}. Su cita tiene nueva fecha: el {{visits}}. {{replyCodes}}. Nuestro número es {{clinicPhone}}.'),
    (42, 'CANCELLED', 'VOICE', 'es', null, 'Hola, le llamamos de {{clinicName}}. Su cita del {{visits}} queda cancelada. Para otra fecha llámenos al {{clinicPhone}}.'),
    (43, 'MISSED', 'VOICE', 'es', null, 'Hola, le llamamos de {{clinicName}}. No pudimos verle en su cita del {{visits}}. Para otra fecha llámenos al {{clinicPhone}}.'),
    (44, 'OPTED_OUT', 'VOICE', 'es', null, '{{clinicName}} ya no le llamará ni le enviará mensajes. Si cambia de opinión, llámenos al {{clinicPhone}}. Adiós.'),
    (45, 'CONFIRMED', 'VOICE', 'es', null, 'Gracias. Su cita queda confirmada. En {{clinicName}} le esperamos. Adiós.'),
    (46, 'CHANGE_NOTED', 'VOICE', 'es', null, 'Hemos anotado que necesita otra fecha. {{clinicName}} le llamará. Adiós.'),
    (47, 'DECLINED', 'VOICE', 'es', null, 'Hemos anotado que no puede venir. Para otra cita llame a {{clinicName}} al {{clinicPhone}}. Adiós.'),
    (48, 'NOT_UNDERSTOOD', 'VOICE', 'es', null, 'No hemos entendido su respuesta. Por favor, llame a {{clinicName}} al {{clinicPhone}}. Adiós.'),
    (49, 'CONFIRMATION', 'EMAIL', 'en', '{{clinicName}}: your visit is booked', E'Your visit is booked for:\n\n{{visits}}\n\nPlease call us at {{clinicPhone}} if you need another time or cannot come.\nIf you want no more e-mails about your visits, tell us: {{clinicPhone}}.\n\n{{clinicName}}'),
    (50, 'REMINDER_24H', 'EMAIL', 'en', '{{clinicName}}: your next visit', E'We expect you for your visit:\n\n{{visits}}\n\nPlease call us at {{clinicPhone}} if you need another time or cannot come.\n\n{{clinicName}}'),
    (51, 'REMINDER_2H', 'EMAIL', 'en', '{{clinicName}}: your visit begins soon', E'Your visit begins:\n\n{{visits}}\n\nPlease call us at {{clinicPhone}} if you need another time or cannot come.\n\n{{clinicName}}'),
    (52, 'CHANGED', 'EMAIL', 'en', '{{clinicName}}: your visit has moved', E'The new time of your visit:\n\n{{visits}}\n\nPlease call us at {{clinicPhone}} if you need another time or cannot come.\n\n{{clinicName}}'),
    (53, 'CANCELLED', 'EMAIL', 'en', '{{clinicName}}: your visit is cancelled', E'This visit is cancelled:\n\n{{visits}}\n\nFor another time please call us at {{clinicPhone}}.\n\n{{clinicName}}'),
    (54, 'MISSED', 'EMAIL', 'en', '{{clinicName}}: we missed you', E'We missed you at your visit:\n\n{{visits}}\n\nFor another time please call us at {{clinicPhone}}.\n\n{{clinicName}}'),
    (55, 'CONFIRMATION', 'EMAIL', 'es', '{{clinicName}}: su cita está reservada', E'Su cita:\n\n{{visits}}\n\nLlámenos al {{clinicPhone}} si necesita otra fecha o no puede venir.\nSi no desea más correos sobre sus citas, díganos: {{clinicPhone}}.\n\n{{clinicName}}'),
    (56, 'REMINDER_24H', 'EMAIL', 'es', '{{clinicName}}: su próxima cita', E'Le esperamos en su cita:\n\n{{visits}}\n\nLlámenos al {{clinicPhone}} si necesita otra fecha o no puede venir.\n\n{{clinicName}}'),
    (57, 'REMINDER_2H', 'EMAIL', 'es', '{{clinicName}}: su cita empieza pronto', E'Su cita empieza:\n\n{{visits}}\n\nLlámenos al {{clinicPhone}} si necesita otra fecha o no puede venir.\n\n{{clinicName}}'),
    (58, 'CHANGED', 'EMAIL', 'es', '{{clinicName}}: su cita tiene nueva fecha', E'La nueva fecha de su cita:\n\n{{visits}}\n\nLlámenos al {{clinicPhone}} si necesita otra fecha o no puede venir.\n\n{{clinicName}}'),
    (59, 'CANCELLED', 'EMAIL', 'es', '{{clinicName}}: su cita queda cancelada', E'Esta cita queda cancelada:\n\n{{visits}}\n\nPara otra fecha llámenos al {{clinicPhone}}.\n\n{{clinicName}}'),
    (60, 'MISSED', 'EMAIL', 'es', '{{clinicName}}: no pudimos verle', E'No pudimos verle en su cita:\n\n{{visits}}\n\nPara otra fecha llámenos al {{clinicPhone}}.\n\n{{clinicName}}')
  ) as built_in (n, kind, channel, language, subject, body);

-- What a patient agreed to, for one number or address and one purpose. Of several rows the newest counts: by recorded_at,
-- then by id.
create table consents (
  id uuid primary key,
  patient_id uuid not null references patients,
  -- Null once the patient is erased.
  contact_index bytea,
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
  -- Who has it: holds an advisory lock of this id for as long as it lives. Whoever finds the lock free and the lease
  -- over asks the provider what became of it. The lease is by the database's clock, which all of them share.
  claimed_by uuid,
  lease_until timestamptz,
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
  constraint notifications_claimed_by_an_attempt check ((status = 'CLAIMED') <= (
    attempt_id is not null and claimed_at is not null and claimed_by is not null and lease_until is not null)),
  constraint notifications_sent_at_a_time check ((status in ('SENT', 'DELIVERED')) <= (sent_at is not null)),
  constraint notifications_explained check ((status in ('SKIPPED', 'SUPERSEDED', 'FAILED', 'UNKNOWN')) <= (reason is not null))
);
create index notifications_due on notifications (due_at, id) where status = 'PLANNED';
create index notifications_leased on notifications (lease_until) where status = 'CLAIMED' and merged_into is null;
create index notifications_tried_at_contact on notifications (contact_index, claimed_at)
  where status in ('CLAIMED', 'SENT', 'DELIVERED', 'UNKNOWN') and merged_into is null;
create index notifications_of_patient on notifications (patient_id, due_at desc, id desc);
create index notifications_to_contact on notifications (contact_index, sent_at desc) where sent_at is not null;
create index notifications_merged on notifications (merged_into) where merged_into is not null;
create unique index notifications_provider_message on notifications (provider_message_id)
  where provider_message_id is not null and merged_into is null;

-- Waits until no message of the visit is on its way to the provider, and lets none go before the transaction ends.
-- Whoever calls a visit off or moves it supersedes what is planned and then calls this: so every message for what the
-- visit was has left before the change is there, or never does. Whose worker has died is not waited for.
create function await_messages_under_way(visit uuid) returns void language plpgsql volatile security definer
  set search_path = public, pg_temp
  as $$
declare
  key bigint;
begin
  for key in select hashtextextended(id::text, 4270041) from notifications
    where appointment_id = visit and status = 'CLAIMED' order by 1 loop
    perform pg_advisory_xact_lock_shared(key);
  end loop;
end $$;
revoke execute on function await_messages_under_way(uuid) from public;
grant execute on function await_messages_under_way(uuid) to careflex_staff, careflex_patient, careflex_system;

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
create index inbound_messages_from on inbound_messages (contact_index, received_at desc);

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
create index tasks_open on tasks (id) where status <> 'DONE';
create index tasks_of_patient on tasks (patient_id, id);

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
create policy consents_staff on consents for all to careflex_staff
  using (true)
  with check (recorded_by = current_user_id() and recorded_role = (select current_user_role())
    and source in ('AGENT', 'WRITTEN_FORM'));
create policy consents_own on consents for all to careflex_patient
  using (patient_id = current_patient_id())
  with check (patient_id = current_patient_id() and recorded_by = current_user_id() and recorded_role = 'patient'
    and source = 'PATIENT' and evidence is null);
grant select, insert on consents to careflex_system, careflex_staff;
grant update (contact_index, evidence) on consents to careflex_system;
-- What staff noted, and who of them, is not for the patient.
grant select (id, patient_id, contact_index, contact_kind, purpose, status, source, wording_version, recorded_role, recorded_at)
  on consents to careflex_patient;
grant insert on consents to careflex_patient;

create policy opt_outs_system on opt_outs for all to careflex_system using (true) with check (true);
create policy opt_outs_staff on opt_outs for all to careflex_staff
  using (true)
  with check (recorded_by = current_user_id() and source = 'AGENT');
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

-- What the ledger must know of visits, and of the visits ahead of patients, to plan: one read, whoever makes the change.
-- A patient learns of their own only. Of the ledger it has the rows of the visit's revision.
create function reminder_facts(visits uuid[], patients_ahead uuid[], at timestamptz)
  returns table (
    id uuid, status text, revision integer, starts_at timestamptz, was_hold boolean, patient_id uuid,
    patient_status text, deleted boolean, time_zone text, preferences jsonb, data_key bytea, identity bytea,
    standings jsonb, ledger jsonb)
  language sql stable security definer set search_path = public, pg_temp
  as $$
    select a.id, a.status, a.revision, a.starts_at, a.expires_at is not null, a.patient_id,
      p.status, p.deleted_at is not null, p.time_zone, p.preferences, p.data_key, p.identity,
      (select jsonb_agg(jsonb_build_object('index', encode(c.contact_index, 'hex'), 'open',
          c.status = 'GIVEN' and not coalesce((select o.opted_out from opt_outs o where o.contact_index = c.contact_index
            order by o.recorded_at desc, o.id desc limit 1), false)))
        from (select distinct on (contact_index) contact_index, consents.status from consents
          where consents.patient_id = a.patient_id and purpose = 'CARE_REMINDER' and contact_index is not null
          order by contact_index, recorded_at desc, consents.id desc) c),
      (select jsonb_agg(jsonb_build_object('kind', n.kind, 'channel', n.channel, 'status', n.status, 'attempts', n.attempts,
          'dueAt', n.due_at, 'sentAt', n.sent_at, 'createdAt', n.created_at))
        from notifications n where n.appointment_id = a.id and n.revision = a.revision)
    from appointments a join patients p on p.id = a.patient_id
    where (a.id = any (visits)
        or a.patient_id = any (patients_ahead) and a.status in ('SCHEDULED', 'CONFIRMED') and a.starts_at > at)
      and (current_setting('role') in ('careflex_staff', 'careflex_system')
        or current_setting('role') = 'careflex_patient' and a.patient_id = current_patient_id())
    order by a.id
  $$;
revoke execute on function reminder_facts(uuid[], uuid[], timestamptz) from public;
grant execute on function reminder_facts(uuid[], uuid[], timestamptz) to careflex_staff, careflex_patient, careflex_system;

-- Writes what follows from changes of visits: [{visit, over, awaits, rows}]. First what is over is superseded, as far as
-- it has not left; then what is due is planned. A row that is there comes back to life, unless something became of it.
-- Whether the patient was ever told of a visit that is called off is decided last: a message may be leaving just now.
create function plan_notifications(plan jsonb, at timestamptz) returns void language plpgsql volatile security definer
  set search_path = public, pg_temp
  as $$
declare
  visit record;
begin
  for visit in
    select a.id, a.patient_id, a.revision, v.over, v.awaits, v.rows
      from jsonb_to_recordset(plan) as v (visit uuid, over jsonb, awaits boolean, rows jsonb)
      join appointments a on a.id = v.visit
      where current_setting('role') in ('careflex_staff', 'careflex_system')
        or current_setting('role') = 'careflex_patient' and a.patient_id = current_patient_id()
      order by a.id
  loop
    if jsonb_array_length(visit.over) > 0 then
      update notifications n set status = 'SUPERSEDED', reason = o.reason, updated_at = at
        from jsonb_to_recordset(visit.over) as o (reason text, kinds text[], "keptChannel" text, "olderOnly" boolean)
        where n.appointment_id = visit.id and n.status = 'PLANNED' and n.kind = any (o.kinds)
          and n.channel is distinct from o."keptChannel" and (n.revision < visit.revision or not o."olderOnly");
    end if;
    if visit.awaits then perform await_messages_under_way(visit.id); end if;
    insert into notifications
        (id, appointment_id, revision, patient_id, kind, channel, status, reason, due_at, expires_at, created_at, updated_at)
      select r.id, visit.id, visit.revision, visit.patient_id, r.kind, r.channel,
          case when untold then 'SKIPPED' else r.status end, case when untold then 'NOTHING_SENT_BEFORE' else r.reason end,
          r."dueAt", r."expiresAt", at, at
        from jsonb_to_recordset(visit.rows) as r
          (id uuid, kind text, channel text, status text, reason text, "dueAt" timestamptz, "expiresAt" timestamptz)
        cross join lateral (select r.kind = 'CANCELLED' and r.status = 'PLANNED' and not exists (
          select from notifications n where n.appointment_id = visit.id and n.kind not in ('CANCELLED', 'MISSED')
            and n.status in ('CLAIMED', 'SENT', 'DELIVERED', 'UNKNOWN')
            and n.revision > coalesce((select max(c.revision) from notifications c where c.appointment_id = visit.id
              and c.kind = 'CANCELLED' and c.status in ('CLAIMED', 'SENT', 'DELIVERED')), -1)) as untold) as told
        where r.status in ('PLANNED', 'SKIPPED')
      on conflict on constraint notifications_once do update
        set status = excluded.status, reason = excluded.reason, due_at = excluded.due_at,
          expires_at = excluded.expires_at, updated_at = excluded.updated_at
        where notifications.status in ('PLANNED', 'SUPERSEDED', 'SKIPPED');
  end loop;
end $$;
revoke execute on function plan_notifications(jsonb, timestamptz) from public;
grant execute on function plan_notifications(jsonb, timestamptz) to careflex_staff, careflex_patient, careflex_system;
