/**
 * Eligibility: whether a patient's benefit would pay. A check reserves nothing; only a hold does.
 *
 * The ledger here is looked at first. Where it says yes and the plan is a payer's, the payer is asked as well, outside of
 * any transaction, and can only narrow the answer. Its failure makes nobody ineligible. Bookings never ask it.
 */
import type { Decimal } from 'decimal.js';
import { z } from 'zod';
import * as audit from '#audit';
import * as care from '#care';
import type { BenefitsApi, PayerAnswer } from '#integrations/benefits-api';
import { Malformed } from '#integrations/fhir';
import { Refused, Unavailable } from '#integrations/guard';
import { idOf, parse } from '#platform/input';
import { asSystem, type Scope, transact } from '#platform/scope';
import { type Benefit, BENEFIT_TYPES, type BenefitUnit, covers, localDay, toBenefit } from './benefit.ts';
import { type Decision, decide, type EligibilityReason } from './decision.ts';
import { amount, date } from './input.ts';
import { lastViewOf, narrow, type View, viewOf } from './payer-view.ts';
import { permitPatient } from './policy.ts';
import { recordAnswers, toAsk } from './sync-record.ts';

const EligibilityCheck = z.object({
  patientId: z.string().max(100),
  benefitType: z.enum(BENEFIT_TYPES),
  amount,
  /** Today in the plan's zone unless given. */
  serviceDate: date.nullish().transform((day) => day ?? null),
});
export type EligibilityCheck = z.input<typeof EligibilityCheck>;
type Check = z.output<typeof EligibilityCheck>;

export interface Eligibility {
  readonly decision: Decision;
  readonly reasons: readonly EligibilityReason[];
  /** The one that would pay, or comes nearest to it. */
  readonly benefit: Benefit | null;
  /** Of that one, as far as both sides grant it. */
  readonly available: Decimal | null;
  readonly required: Decimal;
  readonly unit: BenefitUnit | null;
  readonly serviceDate: Temporal.PlainDate;
  readonly asOf: Temporal.Instant;
  /** What the answer rests on: the ledger alone, the payer's answer, or what the payer said before. */
  readonly source: 'LOCAL' | 'PAYER' | 'CACHE';
  /** What the payer said before is too old to decide by. */
  readonly stale: boolean;
}

/** What a payer said counts as long as this. */
const FRESH_MINUTES = 15;
/** Somebody is on the phone. */
const PATIENCE_MS = 8_000;

/**
 * Staff for everybody, patients for themselves. Without a payer it is decided by the ledger alone. With one, do not call it
 * in a transaction. Throws InvalidInput, NotFound (no such patient), Forbidden.
 */
export async function checkEligibility(
  scope: Scope,
  input: EligibilityCheck,
  payer: BenefitsApi | null = null,
): Promise<Eligibility> {
  const check = parse(EligibilityCheck, input);
  const patientId = idOf(check.patientId);
  await permitPatient(scope, patientId, ACTION);
  const known = await transact(scope, (scope) => lookUp(scope, { ...check, patientId }, payer?.configured ?? false));
  const { atPayer } = known;
  if (payer === null || atPayer === null) return answerOf(known, judge(known), here(known));
  const { cached } = atPayer;
  if (cached && isFresh(known, cached)) return answerOf(known, judge(known, cached), before(cached));
  const answer = await ask(scope, payer, atPayer);
  if (typeof answer === 'string') return unknown(known, answer);
  if (cached) await transact(asSystem(scope), (scope) => recordAnswers(scope, new Map([[patientId, answer]])));
  const judged = judge(known, viewOf(known.benefits, answer, known.now));
  return answerOf(known, judged, { source: 'PAYER', asOf: answer.asOf, stale: false });
}

const ACTION = 'benefit.checkEligibility';

/** What is known without asking anybody. */
interface Known extends Check {
  readonly now: Temporal.Instant;
  readonly patientStatus: care.PatientStatus;
  /** Of the type that is asked for. */
  readonly benefits: readonly Benefit[];
  readonly clinicDay: Temporal.PlainDate;
  /** Null where nobody needs to be asked. */
  readonly atPayer: AtPayer | null;
}

interface AtPayer {
  readonly memberId: string;
  readonly planIds: readonly string[];
  /** Only a day that is not today is asked about; what is said of it is not kept. */
  readonly serviceDate: Temporal.PlainDate | null;
  /** What it said last; null for another day than today. */
  readonly cached: View | null;
}

async function lookUp(scope: Scope, check: Check, hasPayer: boolean): Promise<Known> {
  const { patientId, benefitType } = check;
  const { status: patientStatus } = await care.standingOf(scope, patientId);
  const rows = await scope.db
    .selectFrom('benefits')
    .selectAll()
    .where('patient_id', '=', patientId)
    .where('type', '=', benefitType)
    .execute();
  await audit.record(scope, { action: ACTION, resourceType: 'Benefit', patientIds: [patientId] });
  const benefits = rows.map((row) => toBenefit(row, scope.now));
  const clinicDay = scope.now.toZonedDateTimeISO(scope.clinic.timeZone).toPlainDate();
  const known = { ...check, now: scope.now, patientStatus, benefits, clinicDay, atPayer: null };
  const { decision, benefit } = judge(known);
  if (!hasPayer || decision !== 'ELIGIBLE' || !benefit || benefit.externalPlanId === null) return known;
  return { ...known, atPayer: await findAtPayer(scope, known, benefit) };
}

/** The system's: a patient reads neither what a payer said nor the id by which it knows them. */
async function findAtPayer(scope: Scope, known: Known, paying: Benefit): Promise<AtPayer | null> {
  const { patientId, serviceDate, benefits } = known;
  return transact(asSystem(scope), async (scope) => {
    const [asked] = await toAsk(scope, [patientId]);
    if (asked === undefined || asked.memberId === null) return null;
    const { memberId, planIds } = asked;
    if (serviceDate !== null && !localDay(paying, known.now).equals(serviceDate))
      return { memberId, planIds, serviceDate, cached: null };
    const ids = running(benefits, known.now).map(({ id }) => id);
    return { memberId, planIds, serviceDate: null, cached: await lastViewOf(scope, ids) };
  });
}

/** What it answers, or why it does not. */
async function ask(
  scope: Scope,
  payer: BenefitsApi,
  { memberId, planIds, serviceDate }: AtPayer,
): Promise<PayerAnswer | 'PAYER_UNREACHABLE' | 'PAYER_ERROR'> {
  if (scope.transaction) throw new Error('The payer is asked outside of a transaction');
  try {
    return await payer.eligibility({ memberId, planIds, serviceDate }, AbortSignal.timeout(PATIENCE_MS));
  } catch (thrown) {
    if (thrown instanceof Unavailable) return 'PAYER_UNREACHABLE';
    if (thrown instanceof Refused || thrown instanceof Malformed) return 'PAYER_ERROR';
    throw thrown;
  }
}

type Judged = Pick<Eligibility, 'decision' | 'reasons' | 'benefit' | 'available'>;
type Basis = Pick<Eligibility, 'source' | 'asOf' | 'stale'>;

const here = ({ now }: Known): Basis => ({ source: 'LOCAL', asOf: now, stale: false });
const before = (view: View): Basis => ({ source: 'CACHE', asOf: oldest(view), stale: false });

/** As far as both sides grant it; by the ledger alone where no view is given. */
function judge({ patientStatus, benefits, amount: required, serviceDate, now }: Known, view: View = new Map()): Judged {
  const narrowed = benefits.map((benefit) => narrow(benefit, view.get(benefit.id)));
  const granted = narrowed.filter((benefit) => typeof benefit !== 'string');
  const dayOf = (benefit: Benefit) => serviceDate ?? localDay(benefit, now);
  const { decision, reasons, benefit: found } = decide({ patientStatus, benefits: granted, required, dayOf, now });
  const unknown = benefits[narrowed.indexOf('UNKNOWN')];
  if (decision === 'INELIGIBLE' && unknown !== undefined)
    return { decision: 'UNKNOWN', reasons: ['PAYER_ERROR'], benefit: unknown, available: null };
  const benefit = benefits.find(({ id }) => id === found?.id) ?? null;
  return { decision, reasons, benefit, available: found?.available ?? null };
}

/** Nobody is ineligible for a payer that fails. What it said last is shown, and decides nothing. */
function unknown(known: Known, reason: 'PAYER_UNREACHABLE' | 'PAYER_ERROR'): Eligibility {
  const cached = known.atPayer?.cached ?? new Map();
  const basis = cached.size === 0 ? here(known) : { ...before(cached), stale: true };
  return answerOf(known, { ...judge(known, cached), decision: 'UNKNOWN', reasons: [reason] }, basis);
}

function answerOf({ amount: required, serviceDate, now, clinicDay }: Known, judged: Judged, basis: Basis): Eligibility {
  const { benefit } = judged;
  const today = benefit === null ? clinicDay : localDay(benefit, now);
  return { ...judged, required, unit: benefit?.unit ?? null, serviceDate: serviceDate ?? today, ...basis };
}

/** Those at the payer whose period it is. */
function running(benefits: readonly Benefit[], now: Temporal.Instant): readonly Benefit[] {
  return benefits.filter((benefit) => benefit.externalPlanId !== null && covers(benefit, localDay(benefit, now)));
}

/** Whether all of them were asked about lately. What could not be believed is asked again. */
function isFresh({ benefits, now }: Known, view: View): boolean {
  const since = now.subtract({ minutes: FRESH_MINUTES });
  return running(benefits, now)
    .map(({ id }) => view.get(id))
    .every((said) => said?.fault === null && Temporal.Instant.compare(said.asOf, since) >= 0);
}

function oldest(view: View): Temporal.Instant {
  return [...view.values()].map(({ asOf }) => asOf).reduce((a, b) => (Temporal.Instant.compare(a, b) <= 0 ? a : b));
}
