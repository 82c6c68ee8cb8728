import type { ColumnType } from 'kysely';
import type { Address } from '#care';
import type { CareServiceType } from './speciality.ts';

type Instant = ColumnType<Date, string, string>;

interface DirectoryRow {
  /** A version 7 UUID. */
  id: string;
  /** What an importer matches on. */
  external_id: string;
  active: boolean;
  created_at: Instant;
  updated_at: Instant;
}

interface Named extends DirectoryRow {
  /** What other systems' records refer to it by: `Organization/42`, `system|value`. */
  known_as: string[];
  name: string;
  phone: string | null;
}

declare module '#platform/database' {
  interface Database {
    organizations: Named & { address: Address | null };
    locations: Named & { address: Address | null; organization_id: string | null; time_zone: string | null };
    providers: Named & { name_key: string; email: string | null; time_zone: string };
    provider_roles: DirectoryRow & {
      provider_id: string;
      organization_id: string | null;
      location_id: string | null;
      /** NUCC health care provider taxonomy. */
      speciality_code: string | null;
      speciality: string | null;
      services: CareServiceType[];
      phone: string | null;
      email: string | null;
    };
  }
}
