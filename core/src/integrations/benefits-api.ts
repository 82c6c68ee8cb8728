/** A payer, asked in FHIR R4 what it would pay: CoverageEligibilityRequest, and Coverage to find a member's plans. */
import { z } from 'zod';
import { type Clock, systemClock } from '#platform/clock';
import type { Config } from '#platform/config';
import { type BenefitCodes, type Faulty, type PayerBenefit, readInsurance } from './benefits-answer.ts';
import { escaped, type FhirClient, fhirClient, Malformed } from './fhir.ts';
import { type Guarded, GUARD, type GuardOptions, Refused, Unavailable } from './guard.ts';

export type { Faulty, PayerBenefit, PayerFault } from './benefits-answer.ts';

export interface PayerAnswer {
  /** Whether any of the plans is. */
  readonly inForce: boolean;
  /** By the payer's clock where it says so. */
  readonly asOf: Temporal.Instant;
  /** What can be believed: of plans in force, each plan, type, unit and period once. */
  readonly benefits: readonly PayerBenefit[];
  /** What cannot be believed. */
  readonly faults: readonly Faulty[];
  /** Plans of which the payer says that they are not in force. */
  readonly notInForce: readonly string[];
}

export interface PayerMember {
  /** By which the payer knows the patient. */
  readonly memberId: string;
  /** The payer's Coverage ids; none asks about all that it has of the member. */
  readonly planIds: readonly string[];
  /** Today, for the payer, unless given. */
  readonly serviceDate?: Temporal.PlainDate | null;
}

export interface BenefitsApi {
  /** False when no payer is configured: nothing can be asked. */
  readonly configured: boolean;
  /** Throws `Unavailable` (`RateLimited` among them), `Refused` or `Malformed`. Never call it in a transaction. */
  eligibility(member: PayerMember, signal?: AbortSignal): Promise<PayerAnswer>;
}

type BenefitsConfig = Pick<Config, 'BENEFITS_API_URL' | 'BENEFITS_API_TOKEN' | 'BENEFITS_API_CODES'>;

/** Somebody may be waiting for the answer, so a slow payer gets less patience than a sender of texts. */
export const PAYER_GUARD: GuardOptions = { ...GUARD, timeoutMs: 5_000, atOnce: 32, retries: 1 };

/** Connects with the first question. */
export function openBenefitsApi(config: BenefitsConfig, guarded: Guarded, clock: Clock = systemClock): BenefitsApi {
  if (config.BENEFITS_API_URL === undefined) return notConfigured;
  const fhir = fhirClient({ baseUrl: config.BENEFITS_API_URL, token: config.BENEFITS_API_TOKEN }, guarded);
  const codes = codesOf(config);
  return {
    configured: true,
    async eligibility(member, signal) {
      const asked = member.planIds.length > 0 ? member.planIds : await plansOf(fhir, member, signal);
      const planIds = [...new Set(asked)];
      if (planIds.length === 0) return { inForce: false, asOf: clock.now(), benefits: [], faults: [], notInForce: [] };
      const request = requestFor({ ...member, planIds }, clock.now());
      const response = readResponse(await fhir.create('CoverageEligibilityRequest', request, signal));
      const believed = readInsurance(response.insurance ?? [], { planIds, codes });
      return { ...believed, faults: [...believed.faults, ...partial(response)], asOf: asOf(response, clock.now()) };
    },
  };
}

const notConfigured: BenefitsApi = {
  configured: false,
  async eligibility() {
    throw new Unavailable('NOT_CONFIGURED');
  },
};

/** Medically related transportation, as X12 numbers it. The platform's own names are understood in any system. */
const TRANSPORTATION = 'http://terminology.hl7.org/CodeSystem/ex-benefitcategory|56';
const NAMES = ['TRANSPORTATION', 'MEALS', 'FITNESS', 'OTC_ITEMS', 'UTILITIES'];

function codesOf({ BENEFITS_API_CODES: codes }: BenefitsConfig): BenefitCodes {
  return new Map([
    ...NAMES.map((name) => [name, name] as const),
    [TRANSPORTATION, 'TRANSPORTATION'],
    ...Object.entries(codes),
  ]);
}

/** An identifier in a URL would stand in logs: the search is posted. */
async function plansOf(fhir: FhirClient, { memberId }: PayerMember, signal?: AbortSignal): Promise<string[]> {
  const parameters = { 'beneficiary.identifier': escaped(memberId), status: 'active', _count: '50' };
  const found = await fhir.search('Coverage', parameters, signal);
  return found.filter(({ resourceType }) => resourceType === 'Coverage').map(({ id }) => id);
}

const FHIR_ID = /^[A-Za-z0-9\-.]{1,64}$/;

function requestFor({ memberId, planIds, serviceDate }: PayerMember, now: Temporal.Instant): object {
  return {
    resourceType: 'CoverageEligibilityRequest',
    status: 'active',
    purpose: ['validation', 'benefits'],
    patient: { identifier: { value: memberId } },
    ...(serviceDate ? { servicedDate: serviceDate.toString() } : {}),
    created: now.toString(),
    insurer: { display: 'Payer' },
    insurance: planIds.map((planId, index) => ({
      focal: index === 0,
      coverage: FHIR_ID.test(planId) ? { reference: `Coverage/${planId}` } : { identifier: { value: planId } },
    })),
  };
}

const Response = z.object({
  resourceType: z.literal('CoverageEligibilityResponse'),
  outcome: z.enum(['queued', 'complete', 'error', 'partial']),
  created: z.string().nullish(),
  insurance: z.array(z.unknown()).nullish(),
});
type Response = z.output<typeof Response>;

function readResponse(answer: unknown): Response {
  const { data: response } = Response.safeParse(answer);
  if (!response) throw new Malformed('NOT_AN_ELIGIBILITY_RESPONSE');
  if (response.outcome === 'error') throw new Refused('OUTCOME_ERROR');
  if (response.outcome === 'queued') throw new Unavailable('OUTCOME_QUEUED');
  return response;
}

const partial = ({ outcome }: Response): Faulty[] =>
  outcome === 'partial' ? [{ planId: '', type: null, fault: 'ANSWER_PARTIAL' }] : [];

/** A date alone does not say when; and nothing is known as of a time that is still to come. */
function asOf({ created }: Response, now: Temporal.Instant): Temporal.Instant {
  try {
    const said = Temporal.Instant.from(created ?? '');
    return Temporal.Instant.compare(said, now) < 0 ? said : now;
  } catch {
    return now;
  }
}
