-- Telling calls apart, and what proves an opt-out.

-- What the provider calls the message of each attempt, once that is known: a call does not tell what it said.
alter table notification_attempts add column provider_message_id text;
create index notification_attempts_provider_message on notification_attempts (provider_message_id)
  where provider_message_id is not null;
