import type { ColumnType } from 'kysely';
import type { Outcome } from './job-claims.ts';

type Instant = ColumnType<Date, string, string>;

declare module './database.ts' {
  interface Database {
    job_queues: {
      name: string;
      paused_at: ColumnType<Date | null, string | null, string | null>;
      at_once: number | null;
      rate_starts: number | null;
      rate_seconds: number | null;
    };
    job_attempts: {
      job_id: string;
      attempt: number;
      queue: string;
      node: string;
      started_at: Instant;
      alive_at: Instant;
      ended_at: ColumnType<Date | null, string | null, string | null>;
      outcome: Outcome | null;
      error_class: string | null;
    };
    job_schedules: {
      name: string;
      queue: string;
      payload: Record<string, unknown>;
      cron: string;
      time_zone: string;
      next_at: Instant;
      last_due_at: Date | null;
      last_fired_at: Date | null;
      last_job_id: string | null;
    };
  }
}
