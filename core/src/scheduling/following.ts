/** Following appointments: whose changes the caller may be told of. What is told is read anew at each event. */
import { z } from 'zod';
import * as audit from '#audit';
import * as care from '#care';
import { NotFound } from '#platform/errors';
import type { Event } from '#platform/events';
import { parse } from '#platform/input';
import { type Scope, transact } from '#platform/scope';
import { APPOINTMENT_TOPICS, type AppointmentTopic } from './change.ts';
import { isPatient, permitPatient, permitRead } from './policy.ts';
import { findProvidersByIds } from './provider.ts';

const Following = z.object({
  patientId: z.string().nullish(),
  providerId: z.string().nullish(),
  topics: z.array(z.enum(APPOINTMENT_TOPICS)).readonly().default(APPOINTMENT_TOPICS),
});
/** Of one patient, one provider, some topics; of all that the caller may see where it is left out. */
export type Following = z.input<typeof Following>;

/**
 * Lets the caller follow appointments, and has it on record. Returns what tells whether an event is meant: a patient
 * is told of their own. Throws NotFound for a patient or provider who does not exist or is not theirs to know of,
 * InvalidInput, Forbidden.
 */
export async function followAppointments(
  scope: Scope,
  input: Following = {},
): Promise<(event: Event) => event is Event<AppointmentTopic>> {
  const { patientId, providerId, topics } = parse(Following, input);
  const action = 'appointment.follow';
  if (patientId) await permitPatient(scope, patientId, action);
  else await permitRead(scope, { action, resourceType: 'Appointment' });

  const patient = (isPatient(scope.actor) ? scope.actor.patientId : patientId)?.toLowerCase() ?? null;
  await transact(scope, async (scope) => {
    if (patient !== null && !(await care.keysOf(scope, [patient])).has(patient)) throw new NotFound('Patient');
    if (providerId) await knownProvider(scope, providerId);
    const patientIds = patient === null ? [] : [patient];
    await audit.record(scope, { action, resourceType: 'Appointment', patientIds });
  });
  const wanted = new Set<string>(topics);
  const provider = providerId?.toLowerCase() ?? null;
  return (event): event is Event<AppointmentTopic> => {
    if (!wanted.has(event.topic)) return false;
    const { patientId, providerId, previousProviderId } = (event as Event<AppointmentTopic>).payload;
    return (
      (patient === null || patient === patientId) &&
      (provider === null || provider === providerId || provider === previousProviderId)
    );
  };
}

async function knownProvider(scope: Scope, id: string): Promise<void> {
  const found = await findProvidersByIds(scope, [id]);
  if (found.size === 0) throw new NotFound('Provider');
}
