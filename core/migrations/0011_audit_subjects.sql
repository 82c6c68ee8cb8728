-- Who may insert an entry's subject may read the entry: a patient notes the own entries, and nobody else's. The subject
-- comes in the statement of its entry, and before it: so an entry that is there must be the actor's own of this
-- transaction, and one that is not has an id that cannot be guessed.
create function is_own_new_entry(entry uuid) returns boolean language sql stable security definer
  set search_path = public, pg_temp
  as $$
    select not exists (
      select from audit_entries
      where id = entry and (user_id is distinct from current_user_id() or transaction_id <> pg_current_xact_id())
    )
  $$;
revoke execute on function is_own_new_entry from public;
grant execute on function is_own_new_entry to careflex_patient;

drop policy audit_subjects_write_patient on audit_subjects;
create policy audit_subjects_write_patient on audit_subjects for insert to careflex_patient
  with check (is_own_new_entry(entry_id));
