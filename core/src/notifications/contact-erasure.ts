/** What an erasure takes from the messages: with the patient's key gone, nothing may lead to them by number either. */
import type { Scope } from '#platform/scope';

/**
 * Takes number and address off what was agreed and sent; that it was, when, and by whose word stays. An opt-out is its
 * number's, names no patient, and stays too. For the system, inside `transact`.
 */
export async function forgetContactsOf({ db }: Scope, patientId: string): Promise<void> {
  await db
    .updateTable('consents')
    .set({ contact_index: null, evidence: null })
    .where('patient_id', '=', patientId)
    .execute();
  await db.updateTable('notifications').set({ contact_index: null }).where('patient_id', '=', patientId).execute();
}
