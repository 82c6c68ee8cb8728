import type { ColumnType, Selectable } from 'kysely';

type Instant = ColumnType<Date, string, string>;

declare module '#platform/database' {
  interface Database {
    presences: {
      session_id: string;
      user_id: string;
      status: 'AVAILABLE' | 'BUSY' | 'AWAY';
      patient_id: string | null;
      since: Instant;
      expires_at: Instant;
      /** Everybody has been told of it. */
      present: boolean;
    };
  }
}

export type PresenceRow = Selectable<import('#platform/database').Database['presences']>;
