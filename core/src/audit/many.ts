/** Many entries in one statement. */
import { sql } from 'kysely';
import type { Scope } from '#platform/scope';
import { canonical, type Content, entryMac, subjectsOf } from './entry.ts';

export async function insertEntries({ db, vault }: Scope, contents: readonly Content[]): Promise<void> {
  const rows = contents.map((content) => {
    const [patient, ...others] = subjectsOf(content);
    return {
      ...content,
      mac: `\\x${entryMac(vault, canonical(content)).toString('hex')}`,
      // Of several patients the sealer takes note.
      onlyPatient: others.length === 0 ? (patient ?? null) : null,
    };
  });
  await sql`
    with given as (
      select * from jsonb_to_recordset(${JSON.stringify(rows)}::jsonb) as given (
        id uuid, at timestamptz, "userId" uuid, "userRole" text, action text, "resourceType" text, "resourceId" text,
        "resourceIds" text[], "patientIds" uuid[], "changedFields" text[], purpose text, outcome text,
        "requestId" text, "ipAddress" text, "userAgent" text, mac bytea, "onlyPatient" uuid)
    ), entries as (
      insert into audit_entries (id, at, user_id, user_role, action, resource_type, resource_id, resource_ids,
        patient_ids, changed_fields, purpose, outcome, request_id, ip_address, user_agent, mac)
      select id, at, "userId", "userRole", action, "resourceType", "resourceId", "resourceIds", "patientIds",
        "changedFields", purpose, outcome, "requestId", "ipAddress", "userAgent", mac
      from given
    )
    insert into audit_subjects (patient_id, entry_id) select "onlyPatient", id from given where "onlyPatient" is not null
  `.execute(db);
}
