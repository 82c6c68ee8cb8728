-- Telling calls apart, and what proves an opt-out.

-- What the provider calls the message of each attempt, once that is known: a call does not tell what it said.
alter table notification_attempts add column provider_message_id text;
create index notification_attempts_provider_message on notification_attempts (provider_message_id)
  where provider_message_id is not null;

-- A key that was pressed in a call opts out as STOP does; no carrier holds it against the number, so it can be taken back.
alter table opt_outs drop constraint opt_outs_source_check,
  add constraint opt_outs_source_check check (source in ('INBOUND_MESSAGE', 'CALL', 'PROVIDER', 'PATIENT', 'AGENT')),
  -- What the holder sent or pressed, which proves it.
  add column inbound_message_id uuid references inbound_messages;

-- Whose messages go another way when a number opts out.
create index consents_of_contact on consents (contact_index, patient_id) where contact_index is not null;
