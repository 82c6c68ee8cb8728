/** What an erasure takes from the words of people: they are sealed with the key ring, which stays. */
import { sql } from 'kysely';
import type { Scope } from '#platform/scope';

/**
 * Drops what was written by, or about, the patient, as far as it is known to be theirs. For the system, inside
 * `transact`.
 */
export async function forgetWordsOf({ db }: Scope, patientId: string): Promise<void> {
  // In the order in which a rotation of the keys locks them.
  await sql`
    select from inbound_messages
    where id in (select inbound_message_id from tasks where patient_id = ${patientId})
      or notification_id in (select id from notifications where patient_id = ${patientId})
    order by id for update`.execute(db);
  await sql`
    update inbound_messages set body = null
    where id in (select inbound_message_id from tasks where patient_id = ${patientId})
      or notification_id in (select id from notifications where patient_id = ${patientId})`.execute(db);
  await sql`select from tasks where patient_id = ${patientId} order by id for update`.execute(db);
  await db.updateTable('tasks').set({ outcome: null }).where('patient_id', '=', patientId).execute();
}
