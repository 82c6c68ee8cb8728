/** Who can meet, and when, at an API whose clock is the real one. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import * as care from '@careflex/core/care';
import * as scheduling from '@careflex/core/scheduling';
import { systemClock } from '@careflex/core/platform/clock';
import type { TestApi } from './api.ts';

export async function newPatient(api: TestApi, more: Partial<care.NewPatient> = {}): Promise<string> {
  return (await care.createPatient(api.systemScope(), { firstName: 'Ada', lastName: 'Lovelace', ...more })).id;
}

/** Who offers everything, in New York. */
export async function newProvider(api: TestApi): Promise<string> {
  const externalId = randomUUID();
  const knownAs = [`Practitioner/${externalId}`];
  const [added] = await scheduling.importProviders(api.systemScope(), [
    { externalId, name: 'Dr. Lee Okafor', knownAs, timeZone: 'America/New_York' },
  ]);
  await scheduling.importProviderRoles(api.systemScope(), [
    { externalId: `${externalId}-role`, provider: knownAs[0] as string, services: [...scheduling.CARE_SERVICES] },
  ]);
  assert.ok(added && 'id' in added);
  return added.id;
}

/** The half hours of a Tuesday at least a week ahead, from nine o'clock on; after sixteen of them the next day's. */
export function halfHour(n: number): string {
  const today = systemClock.now().toZonedDateTimeISO('America/New_York').startOfDay();
  const tuesday = today.add({ days: 7 + ((9 - today.dayOfWeek) % 7) });
  const [week, day, slot] = [Math.floor(n / 64), Math.floor(n / 16) % 4, n % 16];
  const start = tuesday.add({ weeks: week, days: day > 3 ? day + 3 : day }).with({ hour: 9 });
  return start
    .add({ minutes: 30 * slot })
    .toInstant()
    .toString();
}

export const SCHEDULE = `mutation($input: ScheduleAppointmentInput!, $key: String) {
  it: scheduleAppointment(input: $input, idempotencyKey: $key) {
    __typename ... on Appointment { id status version startsAt }
    ... on AppointmentConflict { conflicts { rule resource appointment { id } overridable } alternatives { startsAt } }
    ... on Problem { code message } } }`;

export interface It {
  readonly __typename: string;
  readonly id: string;
  readonly status: string;
  readonly version: number;
  readonly startsAt: string;
  readonly code?: string;
}
