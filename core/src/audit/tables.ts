import type { Generated } from 'kysely';

declare module '#platform/database' {
  interface Database {
    audit_entries: {
      id: string;
      at: Date | string;
      user_id: string;
      user_role: string;
      action: string;
      resource_type: string;
      resource_id: string | null;
      resource_ids: string[];
      patient_ids: string[];
      changed_fields: string[];
      purpose: string | null;
      outcome: string;
      request_id: string;
      ip_address: string | null;
      user_agent: string | null;
      mac: Buffer;
      transaction_id: Generated<string>;
    };
    audit_subjects: { patient_id: string; entry_id: string };
    audit_leaves: { leaf_index: number; entry_id: string; leaf_hash: Buffer; mac: Buffer };
    audit_nodes: { level: number; node_index: number; hash: Buffer };
    audit_heads: {
      size: number;
      root: Buffer;
      at: Date | string;
      key_id: string;
      previous: Buffer;
      signature: Buffer;
    };
    audit_prunings: { size: number; at: Date | string; retention_years: number; mac: Buffer };
  }
}
