import type { ColumnType, Selectable } from 'kysely';
import type { Preferences, PatientStatus } from './patient.ts';

type Instant = ColumnType<Date, string, string>;

declare module '#platform/database' {
  interface Database {
    patients: {
      /** A version 7 UUID made here, because the sealed values name it. */
      id: string;
      external_id: string | null;
      status: PatientStatus;
      time_zone: string;
      language: string;
      preferences: ColumnType<Preferences, string, string>;
      /** The patient's own key, wrapped by the key ring; gone after erasure, like everything sealed with it. */
      data_key: Buffer | null;
      identity: Buffer | null;
      details: Buffer | null;
      email_index: Buffer | null;
      phone_index: Buffer | null;
      /** What the entries of the search index point to; a new one whenever name or birth date changes. */
      search_id: string | null;
      /** The newest generation of the search index that knows `search_id`. */
      search_generation: number;
      /** Tells an importer that its record is the one it brought last time. */
      import_hash: Buffer | null;
      version: number;
      created_at: Instant;
      updated_at: Instant;
      deleted_at: ColumnType<Date | null, string | null, string | null>;
      erased_at: ColumnType<Date | null, string | null, string | null>;
    };
  }
}

export type PatientRow = Selectable<import('#platform/database').Database['patients']>;
