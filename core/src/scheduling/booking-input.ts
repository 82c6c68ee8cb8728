/** What callers may send about a visit: where, when, for how long. */
import { z } from 'zod';
import { isTimeZone } from '#platform/config';
import { InvalidInput } from '#platform/errors';
import { idOf } from '#platform/input';
import { APPOINTMENT_STATUSES, type AppointmentStatus, CANCELLATION_REASONS } from './appointment.ts';
import { CONFLICT_RULES } from './conflict.ts';
import { DISAMBIGUATIONS, toInstant } from './local-time.ts';
import { CARE_SERVICES } from './speciality.ts';

const ONE_TIME = 'expected either an instant or a local time';
/** Everything but line breaks and tabs, and halves of characters. */
const CONTROL = /[^\P{Cc}\n\r\t]|\p{Cs}/u;

const wholeMinute = (time: { second: number; millisecond: number; microsecond: number; nanosecond: number }) =>
  time.second + time.millisecond + time.microsecond + time.nanosecond === 0;

const instant = z
  .instanceof(Temporal.Instant)
  .refine((at) => wholeMinute(at.toZonedDateTimeISO('UTC')), 'expected a whole minute');
export const local = z.instanceof(Temporal.PlainDateTime).refine(wholeMinute, 'expected a whole minute');
export const date = z.iso.date('expected a date such as 2026-03-08').transform((text) => Temporal.PlainDate.from(text));
export const id = z.string().max(100).transform(idOf);

export const minutes = z
  .int('expected whole minutes')
  .min(1, 'expected at least 1 minute')
  .max(1440, 'expected at most 1440 minutes');

const text = (max: number) =>
  z
    .string()
    .max(max, `expected at most ${max} characters`)
    .refine((text) => !CONTROL.test(text), 'expected no control characters')
    .transform((text) => text.trim());

/** Nothing is as good as none. */
const orNone = (max: number) =>
  text(max)
    .nullish()
    .transform((text) => text || null);
export const notes = orNone(5_000);
export const reason = orNone(1_000);

const idempotencyKey = z.string().nullish();
/** With the version that the caller has seen, a newer one makes the change fail. */
const onVersion = { version: z.int().nullish(), idempotencyKey };

export const Override = z.object({
  rules: z.array(z.enum(CONFLICT_RULES)).min(1, 'expected the rules to break'),
  reason: text(1_000).pipe(z.string().min(1, 'expected a reason')),
});
/** The rules to break on purpose, and why. For admins, and agents with a grant. */
export type Override = z.output<typeof Override>;

export const zone = z.string().refine(isTimeZone, 'expected an IANA time zone such as America/New_York');

const When = z.object({
  startsAt: instant.nullish(),
  localStart: local.nullish(),
  timeZone: zone.nullish(),
  disambiguation: z.enum(DISAMBIGUATIONS).nullish(),
  minutes: minutes.nullish(),
});
export type When = z.output<typeof When>;

const Visit = When.extend({ patientId: id, providerId: id, service: z.enum(CARE_SERVICES) });

const oneTime = ({ startsAt, localStart }: Pick<When, 'startsAt' | 'localStart'>) => !startsAt !== !localStart;
const atOneTime = { path: ['startsAt'], message: ONE_TIME };

/** The visit is wanted also when no benefit pays for it. */
export const acceptUncovered = z
  .boolean()
  .nullish()
  // Left out and refused are one, and the same input as before there was such a field.
  .transform((accepted) => (accepted === true ? true : undefined));

export const HoldRequest = Visit.extend({
  acceptUncovered,
  expiresInMinutes: z
    .int('expected whole minutes')
    .min(1, 'expected at least 1 minute')
    .max(15, 'expected at most 15 minutes')
    .default(3),
  idempotencyKey,
}).refine(oneTime, atOneTime);
export type HoldRequest = z.input<typeof HoldRequest>;

export const Booking = Visit.extend({
  acceptUncovered,
  notes,
  holdId: id.nullish(),
  override: Override.nullish(),
  idempotencyKey,
}).refine((booking) => oneTime(booking) || (booking.holdId && !(booking.startsAt && booking.localStart)), atOneTime);
export type Booking = z.input<typeof Booking>;
export type ParsedBooking = z.output<typeof Booking>;

export const Move = When.extend({
  providerId: id.nullish(),
  reason,
  acceptUncovered,
  override: Override.nullish(),
  ...onVersion,
}).superRefine(({ startsAt, localStart, providerId, minutes }, context) => {
  if (startsAt && localStart) context.addIssue({ code: 'custom', ...atOneTime });
  if (startsAt || localStart || providerId || minutes) return;
  context.addIssue({ code: 'custom', path: ['startsAt'], message: 'expected another time, length or provider' });
});
/** What is left out stays as it is. */
export type Move = z.input<typeof Move>;

/** For people: EXPIRED is what the platform says of a hold. */
const cancellationReason = z.enum(CANCELLATION_REASONS).exclude(['EXPIRED']);

export const Cancellation = z.object({ reason: cancellationReason, note: reason, ...onVersion });
export type Cancellation = z.input<typeof Cancellation>;

export const Step = z.object({ reason, ...onVersion });
export type Step = z.input<typeof Step>;

export const StatusChange = z
  .object({
    status: z.enum(APPOINTMENT_STATUSES),
    cancellationReason: cancellationReason.nullish(),
    acceptUncovered,
    override: Override.nullish(),
    reason,
    ...onVersion,
  })
  .transform((change) => ({ ...change, cancellationReason: change.cancellationReason ?? spelledOut(change) }))
  .refine((change) => change.status !== 'CANCELLED' || change.cancellationReason, {
    path: ['cancellationReason'],
    message: `expected one of ${cancellationReason.options.join(', ')}`,
  });
export type StatusChange = z.input<typeof StatusChange>;

/** The code itself may be given as the reason. */
function spelledOut({ status, reason }: { status: AppointmentStatus; reason: string | null }) {
  const code = status === 'CANCELLED' && cancellationReason.safeParse(reason?.toUpperCase());
  return code && code.success ? code.data : null;
}

export const Update = z.object({ notes, ...onVersion });
export type Update = z.input<typeof Update>;

/** The instant that is meant, and the zone that gives it its meaning: the one named, else the provider's. */
export function startOf(when: When, providerZone: string): { startsAt: Temporal.Instant; timeZone: string } {
  const timeZone = when.timeZone ?? providerZone;
  if (when.startsAt) return { startsAt: when.startsAt, timeZone };
  if (!when.localStart) throw new InvalidInput([{ path: ['startsAt'], message: ONE_TIME }]);
  const disambiguation = when.disambiguation ?? 'EARLIER';
  return { startsAt: toInstant({ local: when.localStart, timeZone, disambiguation }), timeZone };
}
