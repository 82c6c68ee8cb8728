/** Plans as FHIR R4 shows them: Coverage, and CoverageEligibilityResponse with or without a lie in it. */
import { z } from 'zod';
import { decimal, fhirError, type Resource } from '../fhir.ts';
import type { Lie } from './behaviour.ts';
import type { Plan, PlanBenefit } from './members.ts';

const INSURER = { display: 'Simulated Payer' };
const PLACES = { MONEY: 2, COUNT: 0 } as const;

export function coverage(member: string, { id, inForce, start, end }: Plan): Resource {
  return {
    resourceType: 'Coverage',
    id,
    status: inForce ? 'active' : 'cancelled',
    subscriberId: member,
    beneficiary: { identifier: { value: member } },
    relationship: {
      coding: [{ system: 'http://terminology.hl7.org/CodeSystem/subscriber-relationship', code: 'self' }],
    },
    period: { start, end },
    payor: [INSURER],
  };
}

const Reference = z.object({
  reference: z.string().optional(),
  identifier: z.object({ value: z.string() }).optional(),
});

/** As far as it is looked at. */
const EligibilityRequest = z.looseObject({
  resourceType: z.literal('CoverageEligibilityRequest'),
  status: z.literal('active'),
  purpose: z.array(z.enum(['auth-requirements', 'benefits', 'discovery', 'validation'])).min(1),
  patient: z.looseObject({ identifier: z.looseObject({ value: z.string().min(1) }) }),
  created: z.string(),
  insurer: z.looseObject({}),
  servicedDate: z.iso.date().optional(),
  insurance: z.array(z.object({ focal: z.boolean().optional(), coverage: Reference })).min(1),
});

export interface Question {
  readonly member: string;
  readonly planIds: readonly string[];
  readonly day: Temporal.PlainDate | null;
  readonly purpose: readonly string[];
}

/** Throws the 400 or 422 that such a request gets. */
export function readQuestion(body: unknown): Question {
  const { data: request } = EligibilityRequest.safeParse(body);
  if (!request) throw fhirError(422);
  const { patient, insurance, servicedDate, purpose } = request;
  return {
    member: patient.identifier.value,
    planIds: insurance.map(({ coverage: { reference, identifier } }) =>
      reference === undefined ? (identifier?.value ?? '') : reference.replace(/^.*\//, ''),
    ),
    day: servicedDate === undefined ? null : Temporal.PlainDate.from(servicedDate),
    purpose,
  };
}

interface Answered {
  readonly id: string;
  readonly question: Question;
  /** Those that were asked about and that the member has. */
  readonly plans: readonly Plan[];
  readonly now: Temporal.Instant;
  readonly lie: Lie | undefined;
}

export function eligibilityResponse({ id, question, plans, now, lie }: Answered): Resource {
  const insurance = lie === 'plan-left-out' ? [] : plans.map((plan) => insuranceOf(plan, lie));
  return {
    resourceType: 'CoverageEligibilityResponse',
    id,
    status: 'active',
    purpose: question.purpose,
    patient: { identifier: { value: question.member } },
    ...(question.day === null ? {} : { servicedDate: question.day.toString() }),
    created: now.round('millisecond').toString(),
    request: { reference: `CoverageEligibilityRequest/${id}` },
    insurer: INSURER,
    ...outcomeOf(plans, lie),
    insurance,
  };
}

function outcomeOf(plans: readonly Plan[], lie: Lie | undefined): object {
  if (lie === 'queued' || lie === 'partial') return { outcome: lie };
  if (lie !== 'error' && plans.length > 0) return { outcome: 'complete' };
  return { outcome: 'error', error: [{ code: { coding: [{ code: 'coverage-not-found' }] } }] };
}

function insuranceOf({ id, inForce, start, end, benefits }: Plan, lie: Lie | undefined): object {
  const said = lie === 'not-in-force' ? false : inForce;
  return {
    coverage: { reference: `Coverage/${lie === 'other-plan' ? `not-${id}`.slice(0, 64) : id}` },
    ...(lie === 'in-force-unsaid' ? {} : { inforce: said }),
    ...(lie === 'no-period' ? {} : { benefitPeriod: { start, end } }),
    ...(said && lie !== 'no-amounts' ? { item: benefits.map((benefit) => itemOf(benefit, lie)) } : {}),
  };
}

function itemOf(benefit: PlanBenefit, lie: Lie | undefined): object {
  const { code, system, allowed } = benefit;
  const amounts = [amountsOf(benefit)];
  if (lie === 'amount-twice') amounts.push(amountsOf({ ...benefit, allowed: `${allowed.replace(/\..*/, '')}1` }));
  if (lie === 'used-above-allowed') amounts[0] = amountsOf({ ...benefit, used: `${allowed.replace(/\..*/, '')}1` });
  return { category: { coding: [{ ...(system === undefined ? {} : { system }), code }] }, benefit: amounts };
}

function amountsOf({ unit, currency, allowed, used }: PlanBenefit): object {
  const type = { coding: [{ system: 'http://terminology.hl7.org/CodeSystem/benefit-type', code: 'benefit' }] };
  if (unit === 'COUNT')
    return { type, allowedUnsignedInt: written(unit, allowed), usedUnsignedInt: written(unit, used) };
  const money = (text: string) => ({ value: written(unit, text), currency });
  return { type, allowedMoney: money(allowed), usedMoney: money(used) };
}

/** As it was told, and money with its cents. */
function written(unit: PlanBenefit['unit'], text: string): unknown {
  const [whole = '0', cents] = text.split('.');
  return decimal(cents === undefined && PLACES[unit] > 0 ? `${whole}.00` : text);
}
