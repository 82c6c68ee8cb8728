-- A code may also prove a new e-mail address or phone of a patient who is signed in.
alter table verifications
  -- Who asked, and whose record it is for. Null: a registration.
  add column patient_id uuid,
  -- The address or number, sealed with the patient's key until the code has proven it.
  add column contact bytea,
  add constraint verifications_contact_change check (contact is null or patient_id is not null);
