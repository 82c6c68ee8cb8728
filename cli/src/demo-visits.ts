/** Visits for the demo, so that its day boards are not empty: all of them ahead, booked as anybody would. */
import * as care from '@careflex/core/care';
import type { Scope } from '@careflex/core/platform/scope';
import * as scheduling from '@careflex/core/scheduling';

const DAYS = 10;
/** Of each service. */
const VISITS = 16;

/** Books them unless there is any visit already. */
export async function bookDemoVisits(scope: Scope, ownPatientEmail: string): Promise<void> {
  if ((await scheduling.appointments(scope, { first: 1, from: scope.now })).items.length > 0) return;
  const own = await care.patientByEmail(scope, ownPatientEmail);
  const others = (await care.patients(scope, { first: 100, status: ['ACTIVE'] })).items.map(({ node }) => node.id);
  for (const service of scheduling.CARE_SERVICES) {
    const slots = await scheduling.availableSlots(scope, {
      service,
      from: scope.now,
      to: scope.now.add({ hours: 24 * DAYS }),
      everyMinutes: 30,
      first: 1_000,
    });
    const step = Math.max(1, Math.floor(slots.length / VISITS));
    for (const [i, slot] of slots.filter((_slot, n) => n % step === 0).entries()) {
      const patientId = i === 0 && own ? own.id : (others[(i * 7) % Math.max(1, others.length)] ?? own?.id);
      if (patientId === undefined) return;
      const { providerId, startsAt } = slot;
      await scheduling.schedule(scope, { patientId, providerId, service, startsAt }).catch(unlessTaken);
    }
  }
}

/** Two of the demo's visits may want the same patient at once. */
function unlessTaken(thrown: unknown): void {
  if (!(thrown instanceof scheduling.AppointmentConflict)) throw thrown;
}
