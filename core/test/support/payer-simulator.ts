/** A payer to ask: the simulator, steered over HTTP as anybody would, and the adapter that asks it. */
import { type BenefitsApi, openBenefitsApi, PAYER_GUARD } from '#integrations/benefits-api';
import { type Guarded, guard, type GuardOptions } from '#integrations/guard';
import { ManualClock } from '#platform/clock';
import type { Config } from '#platform/config';
import { startSimulators } from '@careflex/simulators/main';
import { NOW } from './testing.ts';

/** One that gives up soon and whose circuit never opens, unless told otherwise. */
export const QUICK: GuardOptions = {
  ...PAYER_GUARD,
  timeoutMs: 2_000,
  retries: 0,
  firstRetryMs: 1,
  failuresToOpen: 1_000_000,
};

/** As the payer has it; money unless told otherwise. */
export interface PlanBenefit {
  readonly code: string;
  readonly unit?: 'MONEY' | 'COUNT';
  readonly allowed: string;
  readonly used?: string;
  readonly system?: string;
  readonly currency?: string;
}

export interface Plan {
  readonly id: string;
  readonly inForce?: boolean;
  /** 2026 unless given. */
  readonly start?: string;
  readonly end?: string;
  readonly benefits?: readonly PlanBenefit[];
}

export interface PayerCounts {
  readonly byKind: Readonly<Record<'search' | 'eligibility' | 'read', number>>;
  readonly byStatus: Readonly<Record<string, number>>;
}

export interface PayerRequest {
  readonly kind: 'search' | 'eligibility' | 'read';
  readonly method: string;
  readonly url: string;
  readonly member: string;
  readonly planIds: readonly string[];
  readonly status: number | null;
}

export interface SimulatedPayer extends AsyncDisposable {
  readonly config: Pick<Config, 'BENEFITS_API_URL' | 'BENEFITS_API_TOKEN' | 'BENEFITS_API_CODES'>;
  /** Asks it; its clock stands at NOW unless another is given. */
  api(guarded?: Guarded, clock?: ManualClock): BenefitsApi;
  /** From now on the payer has exactly these plans of the member. */
  tell(member: string, ...plans: readonly Plan[]): Promise<void>;
  /** What the next questions meet: see docs/simulators.md. */
  script(...scripts: readonly object[]): Promise<void>;
  settings(changed: object): Promise<void>;
  counts(): Promise<PayerCounts>;
  /** The newest first. */
  requests(): Promise<readonly PayerRequest[]>;
  /** Steers it: `POST faults`. */
  control(what: string, body?: object): Promise<unknown>;
}

export async function startPayer(seed = 'test'): Promise<SimulatedPayer> {
  const simulators = await startSimulators({
    credentials: { accountSid: `AC${'0'.repeat(32)}`, authToken: 'a-token-for-simulators' },
    seed,
    now: () => NOW,
  });
  const config = { BENEFITS_API_URL: simulators.payerUrl, BENEFITS_API_TOKEN: undefined, BENEFITS_API_CODES: {} };
  const control = async (what: string, body?: object): Promise<unknown> => {
    const [method = 'GET', path = ''] = what.split(' ');
    const url = `${simulators.url}/simulator/payer/${path}`;
    const response = await fetch(url, { method, ...(body === undefined ? {} : { body: JSON.stringify(body) }) });
    const answer: unknown = await response.json();
    if (!response.ok) throw new Error(`${what}: ${JSON.stringify(answer)}`);
    return answer;
  };
  return {
    config,
    api: (guarded = guard(QUICK), clock = new ManualClock(NOW)) => openBenefitsApi(config, guarded, clock),
    async tell(member, ...plans) {
      const complete = plans.map((plan) => Object.assign({ start: '2026-01-01', end: '2026-12-31' }, plan));
      await control('POST members', { member, plans: complete });
    },
    async script(...scripts) {
      await control('POST scripts', scripts);
    },
    async settings(changed) {
      await control('POST settings', changed);
    },
    counts: async () => (await control('GET counts')) as PayerCounts,
    requests: async () => (await control('GET requests')) as PayerRequest[],
    control,
    [Symbol.asyncDispose]: () => simulators[Symbol.asyncDispose](),
  };
}
