import type { ColumnType, Generated } from 'kysely';
import type { GuardState } from '#integrations/guard';

type Instant = ColumnType<Date, string, string>;
type OptionalInstant = ColumnType<Date | null, string | null | undefined, string | null>;

declare module '#platform/database' {
  interface Database {
    neighbours: {
      name: string;
      tripped_at: OptionalInstant;
      tripped_by: string | null;
      reason: string | null;
      /** Grows with each order. */
      revision: Generated<number>;
      /** Calls of all processes that ever were. */
      succeeded: Generated<number>;
      refused: Generated<number>;
      failed: Generated<number>;
      rejected: Generated<number>;
    };
    neighbour_processes: {
      name: string;
      node: string;
      state: GuardState;
      succeeded: number;
      refused: number;
      failed: number;
      rejected: number;
      retries: number;
      timeouts: number;
      running: number;
      waiting: number;
      last_error_code: string | null;
      last_error_at: OptionalInstant;
      alive_at: Instant;
    };
  }
}
