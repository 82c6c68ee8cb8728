-- The id that another system gave a patient names them there: it goes with the erasure.

alter table patients drop constraint patients_sealed_until_erased;
update patients set external_id = null where erased_at is not null;
alter table patients add constraint patients_sealed_until_erased check (
  case when erased_at is null
    then data_key is not null and identity is not null
    else deleted_at is not null
      and num_nonnulls(
        data_key, identity, details, email_index, phone_index, search_id, import_hash, external_id) = 0
  end);
