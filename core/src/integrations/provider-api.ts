/** An outside directory of providers that speaks FHIR R4: who there is, when they work, when they are busy. */
import { z } from 'zod';
import type { Config } from '#platform/config';
import { fhirClient, Malformed, type Resource } from './fhir.ts';
import { type Guarded, Unavailable } from './guard.ts';

export interface OutsidePractitioner {
  readonly id: string;
  /** `system|value` of each identifier. */
  readonly identifiers: readonly string[];
  /** National Provider Identifiers. */
  readonly npis: readonly string[];
}

export interface OutsideSlot {
  readonly status: 'free' | 'busy' | 'busy-tentative' | 'busy-unavailable';
  readonly startsAt: Temporal.Instant;
  readonly endsAt: Temporal.Instant;
}

export interface OutsideTimes {
  /** What the schedules say that they cover; null is no end of it. */
  readonly from: Temporal.Instant | null;
  readonly until: Temporal.Instant | null;
  readonly slots: readonly OutsideSlot[];
}

export interface TimeSpan {
  readonly from: Temporal.Instant;
  readonly until: Temporal.Instant;
}

/** Everything throws `Unavailable` (`RateLimited` among them), `Refused` or `Malformed`. */
export interface ProviderDirectory {
  /** Whose it is; null where none is configured. */
  readonly source: string | null;
  practitioners(): Promise<OutsidePractitioner[]>;
  /** Null where it keeps no schedule of the practitioner. Slots may go beyond the span. */
  times(practitionerId: string, span: TimeSpan): Promise<OutsideTimes | null>;
}

type DirectoryConfig = Pick<Config, 'PROVIDER_API_URL' | 'PROVIDER_API_TOKEN'>;

/** Connects with the first question. */
export function openProviderDirectory(config: DirectoryConfig, guarded: Guarded): ProviderDirectory {
  const { PROVIDER_API_URL: baseUrl, PROVIDER_API_TOKEN: token } = config;
  if (baseUrl === undefined) return notConfigured;
  const fhir = fhirClient({ baseUrl, token }, guarded);
  return {
    source: new URL(baseUrl).host,
    async practitioners() {
      const found = await fhir.search('Practitioner', { active: 'true', ...PAGE });
      return read('Practitioner', Practitioner, found).map(({ id, identifier }) => ({
        id,
        identifiers: identifier.flatMap(({ system, value }) => (system && value ? [`${system}|${value}`] : [])),
        npis: identifier.flatMap(({ system, value }) => (system === NPI && value ? [value] : [])),
      }));
    },
    async times(practitionerId, span) {
      const actor = `Practitioner/${practitionerId}`;
      const schedules = read('Schedule', Schedule, await fhir.search('Schedule', { actor, active: 'true', ...PAGE }));
      if (schedules.length === 0) return null;
      const slots = await fhir.search('Slot', [
        ['schedule', schedules.map(({ id }) => `Schedule/${id}`).join(',')],
        // One that began before may go on: none is longer than a day.
        ['start', `ge${span.from.subtract({ hours: 24 }).toString()}`],
        ['start', `lt${span.until.toString()}`],
        ...Object.entries(PAGE),
      ]);
      return { ...coveredBy(schedules), slots: read('Slot', Slot, slots).flatMap(toSlot) };
    },
  };
}

/** Those of the type. One that cannot be read makes all of them worthless: nobody knows what is missing. */
function read<T extends z.ZodType>(type: string, schema: T, found: readonly Resource[]): z.output<T>[] {
  return found
    .filter(({ resourceType }) => resourceType === type)
    .map((resource) => {
      const { data, success } = schema.safeParse(resource);
      if (!success) throw new Malformed(`NO_${type.toUpperCase()}`);
      return data;
    });
}

const notConfigured: ProviderDirectory = {
  source: null,
  async practitioners() {
    throw new Unavailable('NOT_CONFIGURED');
  },
  async times() {
    throw new Unavailable('NOT_CONFIGURED');
  },
};

const NPI = 'http://hl7.org/fhir/sid/us-npi';
const PAGE = { _count: '200' } as const;

const id = z.string().regex(/^[A-Za-z0-9.-]{1,64}$/);
const instant = z.string().transform((text, context) => {
  try {
    return Temporal.Instant.from(text);
  } catch {
    context.addIssue({ code: 'custom', message: 'expected an instant' });
    return z.NEVER;
  }
});
/** Of a day alone nobody knows in which zone it is. */
const boundary = z
  .string()
  .nullish()
  .transform((text) => (text && instant.safeParse(text).data) || null);

const Practitioner = z.object({
  id,
  identifier: z.array(z.object({ system: z.string().nullish(), value: z.string().nullish() })).default([]),
});

const Schedule = z.object({
  id,
  planningHorizon: z.object({ start: boundary, end: boundary }).nullish(),
});

const Slot = z.object({
  status: z.enum(['free', 'busy', 'busy-tentative', 'busy-unavailable', 'entered-in-error']),
  start: instant,
  end: instant,
});

function toSlot({ status, start, end }: z.output<typeof Slot>): OutsideSlot[] {
  return status === 'entered-in-error' ? [] : [{ status, startsAt: start, endsAt: end }];
}

/** From the first beginning to the last end; one schedule without a horizon has none. */
function coveredBy(schedules: readonly z.output<typeof Schedule>[]): Omit<OutsideTimes, 'slots'> {
  const edges = (edge: 'start' | 'end') => {
    const known = schedules.map(({ planningHorizon }) => planningHorizon?.[edge] ?? null);
    return known.includes(null)
      ? []
      : known.flatMap((at) => at ?? []).toSorted((a, b) => Temporal.Instant.compare(a, b));
  };
  return { from: edges('start').at(0) ?? null, until: edges('end').at(-1) ?? null };
}
