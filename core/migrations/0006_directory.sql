-- The directory: organizations, their locations, and who gives the care. No PHI. Nothing is deleted: what is gone
-- is inactive, since appointments refer to it.
--
-- `known_as` is what other systems' records refer to a row by: `Organization/42`, `system|value`.

create table organizations (
  id uuid primary key,
  external_id text not null,
  known_as text[] not null,
  name text not null,
  phone text,
  address jsonb,
  active boolean not null,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  constraint organizations_external_id_once unique (external_id)
);

create table locations (
  id uuid primary key,
  external_id text not null,
  known_as text[] not null,
  organization_id uuid references organizations,
  name text not null,
  phone text,
  address jsonb,
  time_zone text,
  active boolean not null,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  constraint locations_external_id_once unique (external_id)
);

create table providers (
  id uuid primary key,
  external_id text not null,
  known_as text[] not null,
  name text not null,
  -- Words of the name as they are searched: a space, then letters and digits without case or accent.
  name_key text not null,
  phone text,
  email text,
  time_zone text not null,
  active boolean not null,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  constraint providers_external_id_once unique (external_id)
);
create index providers_by_name on providers (name_key, id) where active;

create table provider_roles (
  id uuid primary key,
  external_id text not null,
  provider_id uuid not null references providers,
  organization_id uuid references organizations,
  location_id uuid references locations,
  speciality_code text,
  speciality text,
  services text[] not null,
  phone text,
  email text,
  active boolean not null,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  constraint provider_roles_external_id_once unique (external_id),
  constraint provider_roles_services_known check (
    services <@ array['HOME_VISIT', 'TELEHEALTH', 'TRANSPORTATION', 'MEAL_DELIVERY', 'WELLNESS_CHECK']
  )
);
create index provider_roles_by_provider on provider_roles (provider_id, external_id);

do $$
declare
  name text;
begin
  foreach name in array array['organizations', 'locations', 'providers', 'provider_roles'] loop
    execute format('alter table %I enable row level security', name);
    execute format('create policy %I on %I for all to careflex_system using (true) with check (true)', name || '_system', name);
    execute format('create policy %I on %I for select to careflex_staff using (true)', name || '_read_staff', name);
    execute format($policy$create policy %I on %I for insert to careflex_staff
      with check (current_user_role() = 'admin')$policy$, name || '_add_staff', name);
    execute format($policy$create policy %I on %I for update to careflex_staff
      using (current_user_role() = 'admin') with check (current_user_role() = 'admin')$policy$, name || '_change_staff', name);
    execute format('create policy %I on %I for select to careflex_patient using (active)', name || '_read_patient', name);
    execute format('grant select, insert, update on %I to careflex_staff, careflex_system', name);
    execute format('grant select on %I to careflex_patient', name);
    if name <> 'provider_roles' then
      execute format('create index %I on %I using gin (known_as)', name || '_known_as', name);
    end if;
  end loop;
end $$;
