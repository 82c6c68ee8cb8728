/** The times at which a visit could be: what is free, over many providers at once. */
import { sql } from 'kysely';
import { z } from 'zod';
import * as audit from '#audit';
import * as care from '#care';
import { statement } from '#platform/database';
import { isUuid, parse } from '#platform/input';
import { type Scope, transact } from '#platform/scope';
import { type Asking, type Calendar, freeStarts, type ServiceRules } from './availability.ts';
import { loadCalendars, loadPatientTaken, loadRules } from './calendar.ts';
import { isPatient, permitPatient, permitRead } from './policy.ts';
import { CARE_SERVICES, type CareServiceType } from './speciality.ts';
import { DAY, MINUTE, type Range } from './zone.ts';

/** A time at which a visit could be. */
export interface Slot {
  readonly providerId: string;
  readonly startsAt: Temporal.Instant;
  readonly endsAt: Temporal.Instant;
  /** IANA: the provider's. */
  readonly timeZone: string;
}

const MAX_DAYS = 62;
const MAX_PROVIDERS = 200;
const DEFAULT_SLOTS = 100;
const MAX_SLOTS = 1_000;

const wholeMinutes = z
  .int('expected whole minutes')
  .min(1, 'expected at least 1 minute')
  .max(1_440, 'expected at most 1440 minutes');

const SlotSearch = z
  .object({
    service: z.enum(CARE_SERVICES),
    from: z.instanceof(Temporal.Instant),
    to: z.instanceof(Temporal.Instant),
    providerIds: z
      .array(z.string().max(100))
      .max(MAX_PROVIDERS, `expected at most ${MAX_PROVIDERS} providers`)
      .nullish(),
    minutes: wholeMinutes.nullish(),
    everyMinutes: wholeMinutes.nullish().transform((minutes) => minutes ?? 15),
    patientId: z.string().max(100).nullish(),
    first: z
      .int('expected a whole number')
      .min(1, 'expected at least 1')
      .max(MAX_SLOTS, `expected at most ${MAX_SLOTS}`)
      .nullish()
      .transform((first) => first ?? DEFAULT_SLOTS),
  })
  .refine(({ from, to }) => from.epochMilliseconds < to.epochMilliseconds, {
    path: ['to'],
    message: 'expected a time after `from`',
  })
  .refine(({ from, to }) => to.epochMilliseconds - from.epochMilliseconds <= MAX_DAYS * DAY, {
    path: ['to'],
    message: `expected a time at most ${MAX_DAYS} days after \`from\``,
  });
export type SlotSearch = z.input<typeof SlotSearch>;

/**
 * The first starts in the range that can be booked, in the order of time and then of providers: of all who offer the
 * service or of those that are named, on a grid of `everyMinutes` on each provider's own wall clock. With a patient
 * only what is free for them too, and nothing for one who is deceased or not active; for a patient always so. Throws
 * NotFound for a patient who is deleted, does not exist or is another one; InvalidInput, Forbidden.
 */
export async function availableSlots(scope: Scope, input: SlotSearch): Promise<Slot[]> {
  const search = parse(SlotSearch, input);
  const action = 'slot.list';
  const patientId = search.patientId ?? scope.actor.patientId ?? null;
  if (patientId === null) await permitRead(scope, { action, resourceType: 'Slot' });
  else await permitPatient(scope, patientId, action);

  return transact(scope, async (scope) => {
    const bookable = patientId === null || (await isBookable(scope, patientId, action));
    return bookable ? freeSlots(scope, search, patientId) : [];
  });
}

async function freeSlots(scope: Scope, search: z.output<typeof SlotSearch>, patientId: string | null): Promise<Slot[]> {
  const rules = await loadRules(scope, search.service);
  const minutes = search.minutes ?? rules.minutes;
  const range = bookableRange(scope, rules, search);
  if (range.from >= range.until) return [];
  const providers = await offering(scope.db, {
    service: search.service,
    ids: search.providerIds?.filter(isUuid) ?? null,
  });
  const ids = providers.map(({ id }) => id);
  const visits = { from: range.from, until: range.until + minutes * MINUTE };
  const patientTaken = patientId === null ? [] : await loadPatientTaken(scope, patientId, visits);
  const asking = { now: scope.now.epochMilliseconds, minutes, patientTaken, everyMinutes: search.everyMinutes };

  const slots: Slot[] = [];
  for (const part of partsOf(range, ids.length)) {
    const calendars = await loadCalendars(scope, ids, { from: part.from, until: part.until + minutes * MINUTE });
    for (const slot of inOrder(calendars, rules, { ...asking, ...part })) {
      slots.push(slot);
      if (slots.length === search.first) return slots;
    }
  }
  return slots;
}

/** Whether the patient may have visits at all. Whoever sees what is free for a patient sees when they are not. */
async function isBookable(scope: Scope, patientId: string, action: string): Promise<boolean> {
  const { status } = await care.standingOf(scope, patientId);
  if (!isPatient(scope.actor)) await audit.record(scope, { action, resourceType: 'Slot', patientIds: [patientId] });
  return status === 'ACTIVE';
}

/** Outside of it nothing can be free, and nothing has to be read. */
function bookableRange({ now }: Scope, rules: ServiceRules, { from, to }: z.output<typeof SlotSearch>): Range {
  const soonest = now.epochMilliseconds + rules.minimumNoticeMinutes * MINUTE;
  const latest = now.epochMilliseconds + rules.horizonDays * DAY;
  return {
    from: Math.max(from.epochMilliseconds, soonest),
    until: Math.min(to.epochMilliseconds, latest + 1),
  };
}

/** Who is active and offers the service, of the given ones or of all. */
const offering = statement((db, { service, ids }: { service: CareServiceType; ids: readonly string[] | null }) =>
  db
    .selectFrom('providers as p')
    .select('p.id')
    .where('p.active', '=', true)
    .where(sql<boolean>`(${ids}::uuid[] is null or p.id = any(${ids}::uuid[]))`)
    .where((eb) =>
      eb.exists(
        eb
          .selectFrom('provider_roles as r')
          .select('r.id')
          .whereRef('r.provider_id', '=', 'p.id')
          .where('r.active', '=', true)
          .where(sql<boolean>`r.services @> array[${service}::text]`),
      ),
    )
    .orderBy('p.id'),
);

/** Days of providers that are read at first: as a rule enough of them are free, and the rest need not be read. */
const FIRST_DAYS = 300;

function partsOf({ from, until }: Range, providers: number): Range[] {
  const first = from + Math.max(1, Math.floor(FIRST_DAYS / Math.max(1, providers))) * DAY;
  return first < until
    ? [
        { from, until: first },
        { from: first, until },
      ]
    : [{ from, until }];
}

/** Merges what is free with each provider, one start after the other. */
function* inOrder(
  calendars: ReadonlyMap<string, Calendar>,
  rules: ServiceRules,
  search: Asking & Range & { readonly everyMinutes: number },
): Generator<Slot> {
  const queues = [...calendars]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([providerId, calendar]) => {
      const starts = freeStarts(calendar, rules, search);
      return { providerId, timeZone: calendar.timeZone, starts, next: starts.next() };
    });
  for (;;) {
    let first: (typeof queues)[number] | null = null;
    let earliest = Infinity;
    for (const queue of queues) {
      if (queue.next.done || queue.next.value >= earliest) continue;
      first = queue;
      earliest = queue.next.value;
    }
    if (first === null) return;
    const { providerId, timeZone, starts } = first;
    const startsAt = Temporal.Instant.fromEpochMilliseconds(earliest);
    yield { providerId, timeZone, startsAt, endsAt: startsAt.add({ minutes: search.minutes }) };
    first.next = starts.next();
  }
}
