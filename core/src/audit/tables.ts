import type { Generated, Selectable } from 'kysely';

declare module '#platform/database' {
  interface Database {
    audit_entries: {
      id: Generated<number>;
      at: Date | string;
      user_id: string | null;
      user_role: string;
      action: string;
      resource_type: string;
      resource_id: string | null;
      resource_ids: string[];
      changed_fields: string[];
      purpose: string | null;
      outcome: string;
      request_id: string;
      ip_address: string | null;
      user_agent: string | null;
    };
  }
}

export type AuditRow = Selectable<import('#platform/database').Database['audit_entries']>;
