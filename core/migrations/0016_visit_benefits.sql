-- Which benefit pays for a service, and what a visit has of it.

-- What a visit of the service costs, and of which benefits. All null: no benefit pays for it.
alter table care_services
  add column benefit_type text check (benefit_type in ('TRANSPORTATION', 'MEALS', 'FITNESS', 'OTC_ITEMS', 'UTILITIES')),
  add column benefit_unit text check (benefit_unit in ('MONEY', 'COUNT')),
  add column benefit_amount numeric(12, 2) check (benefit_amount > 0),
  -- What becomes of it when the patient does not come.
  add column benefit_on_no_show text check (benefit_on_no_show in ('RELEASE', 'USE')),
  add constraint care_services_coverage_whole
    check (num_nonnulls(benefit_type, benefit_unit, benefit_amount, benefit_on_no_show) in (0, 4)),
  add constraint care_services_count_whole check (benefit_unit = 'MONEY' or benefit_amount = trunc(benefit_amount));

-- The benefit that pays, and the terms as they were when it was booked. All null: none does.
alter table appointments
  add column benefit_id uuid references benefits,
  add column benefit_amount numeric(12, 2) check (benefit_amount > 0),
  add column benefit_on_no_show text check (benefit_on_no_show in ('RELEASE', 'USE')),
  add constraint appointments_cover_whole
    check (num_nonnulls(benefit_id, benefit_amount, benefit_on_no_show) in (0, 3));

create index benefit_entries_of_appointment on benefit_entries (appointment_id, benefit_id) where appointment_id is not null;
