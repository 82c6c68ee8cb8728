-- Who may do what with jobs. The tables are pg-boss's own, installed before the migrations: see platform/job-queues.ts.
--
-- Whoever changes something may leave a job with the change; nobody but the system sees one. Inserting into a
-- queue takes the queue's rules, which are no secret.
grant usage on schema pgboss to careflex_patient, careflex_staff, careflex_auditor, careflex_system;
grant select on pgboss.queue to careflex_patient, careflex_staff, careflex_auditor;
grant insert on pgboss.job, pgboss.job_common to careflex_patient, careflex_staff, careflex_auditor;

grant select, insert, update, delete on all tables in schema pgboss to careflex_system;
alter default privileges in schema pgboss grant select, insert, update, delete on tables to careflex_system;
