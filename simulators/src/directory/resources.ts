/** What the directory knows, as FHIR R4 has it. */
import { fhirError, type Resource } from '../fhir.ts';
import type { Lie } from './behaviour.ts';
import type { Practitioner, Practitioners, Slot } from './practitioners.ts';

export function practitionerOf({ id, identifiers, active }: Practitioner): Resource {
  return { resourceType: 'Practitioner', id, active, identifier: identifiers };
}

const SCHEDULE = '-schedule';
const HORIZON_DAYS = 90;

export function scheduleOf({ id, active, until, timeZone }: Practitioner, now: Temporal.Instant): Resource {
  const start = now.toZonedDateTimeISO(timeZone).startOfDay();
  const end = until ?? start.add({ days: HORIZON_DAYS }).toInstant().toString();
  return {
    resourceType: 'Schedule',
    id: `${id}${SCHEDULE}`,
    active,
    actor: [{ reference: `Practitioner/${id}` }],
    planningHorizon: { start: start.toInstant().toString(), end },
  };
}

function slotOf(practitioner: string, { status, start, end }: Slot, number: number): Resource {
  const schedule = { reference: `Schedule/${practitioner}${SCHEDULE}` };
  return { resourceType: 'Slot', id: `${practitioner}.${number}`, schedule, status, start, end };
}

/** About whom the first of what was found is. */
export function practitionerIn({ id, resourceType }: Resource): string {
  return resourceType === 'Slot' ? id.slice(0, id.lastIndexOf('.')) : id.replace(/-schedule$/, '');
}

/** By the schedules that are asked for. */
export function slotsFor(parameters: URLSearchParams): string[] {
  const schedules = (parameters.get('schedule') ?? '').split(',').filter((one) => one.endsWith(SCHEDULE));
  return schedules.map((one) => one.replace(/^Schedule\//, '').slice(0, -SCHEDULE.length));
}

interface Asking {
  readonly now: Temporal.Instant;
  readonly lie: Lie | undefined;
}

const USUAL_DAYS = 30;

/** A range of starts as FHIR writes it; the next thirty days unless given. Throws the 400 of a search for everybody. */
export function searchSlots(
  practitioners: Practitioners,
  parameters: URLSearchParams,
  { now, lie }: Asking,
): Resource[] {
  const sought = slotsFor(parameters);
  if (sought.length === 0) throw fhirError(400);
  const from = boundIn(parameters, 'ge') ?? now;
  const until = boundIn(parameters, 'lt') ?? from.add({ hours: 24 * USUAL_DAYS });
  return sought.flatMap((id) => {
    const practitioner = practitioners.find(id);
    const slots = practitioner ? practitioners.slotsOf(practitioner, from, until) : [];
    return lied(
      slots.map((slot, i) => slotOf(id, slot, i)),
      lie,
    );
  });
}

function boundIn(parameters: URLSearchParams, prefix: 'ge' | 'lt'): Temporal.Instant | null {
  const text = parameters.getAll('start').find((one) => one.startsWith(prefix));
  try {
    return text === undefined ? null : Temporal.Instant.from(text.slice(prefix.length));
  } catch {
    throw fhirError(400);
  }
}

function lied(slots: readonly Resource[], lie: Lie | undefined): Resource[] {
  const [first, ...rest] = slots;
  if (lie === undefined || first === undefined) return [...slots];
  return [...LIED[lie](first), ...rest];
}

/** The first slot becomes these. */
const LIED: Readonly<Record<Lie, (slot: Resource) => Resource[]>> = {
  'ends-before-start': (slot) => [{ ...slot, start: slot['end'], end: slot['start'] }],
  'free-and-busy': (slot) => [
    slot,
    { ...slot, id: `${slot.id}-2`, status: slot['status'] === 'free' ? 'busy' : 'free' },
  ],
  'no-status': (slot) => [{ ...slot, status: undefined }],
  'no-instant': (slot) => [{ ...slot, start: 'tomorrow' }],
  'left-out': () => [],
};
