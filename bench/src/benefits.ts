/**
 * Spending from benefits through the whole API: `recordBenefitUsage` on a benefit of each patient's own, as a ratio to
 * the very same statements by pgbench, in turns within one run; and by 64 callers at once on one benefit, whose ledger
 * is then counted.
 *
 *     node bench/src/benefits.ts [seconds a turn] [turns]
 */
import * as benefits from '@careflex/core/benefits';
import {
  type ApiBench,
  compare,
  type Figures,
  openApiBench,
  type Operation,
  runLoad,
  systemScope,
} from './api-bench.ts';
import { CLIENT, nextId, type Vary } from './sql-baseline.ts';

const PATIENTS = 2_000;
const HOT_CALLERS = 64;

export interface BenefitFigures {
  readonly compared: Figures;
  readonly hot: HotFigures;
}

/** One benefit that everybody spends from. */
export interface HotFigures {
  /** Uses a second. */
  readonly rate: number;
  readonly accepted: number;
  /** What the benefit says is used, in cents: one for each that was accepted. */
  readonly used: number;
}

export async function measureBenefits({ seconds = 5, turns = 5 } = {}): Promise<BenefitFigures> {
  await using bench = await openApiBench(PATIENTS);
  const benefitIds = await Promise.all(bench.patientIds.map((patientId) => allocate(bench, patientId)));
  const compared = await compare(bench, usage(benefitIds), { seconds, turns });
  const hotId = await allocate(bench, bench.patientIds[0] as string);
  return { compared, hot: await measureHot(bench, hotId, seconds * turns) };
}

async function allocate({ app }: ApiBench, patientId: string): Promise<string> {
  const today = Temporal.Now.plainDateISO('UTC');
  const { id } = await benefits.createBenefit(systemScope(app), {
    patientId,
    type: 'OTC_ITEMS',
    unit: 'MONEY',
    allocated: '9999999.99',
    periodStart: today.subtract({ days: 30 }).toString(),
    periodEnd: today.add({ days: 30 }).toString(),
  });
  return id;
}

const QUERY = `mutation($id: ID!, $input: RecordBenefitUsageInput!) { it: recordBenefitUsage(benefitId: $id, input: $input) {
  __typename ... on BenefitEntry { id kind amount benefit { available } } ... on Problem { code message } } }`;
const ACCEPTED = '"__typename":"BenefitEntry"';
const CENT = { amount: '0.01' };

function usage(benefitIds: readonly string[]): Operation {
  return {
    name: 'recordBenefitUsage',
    query: QUERY,
    variables: benefitIds.map((id) => ({ id, input: CENT })),
    expect: ACCEPTED,
    vary: (of, answer) => varyUsage((of as { id: string }).id, answer, benefitIds),
  };
}

/** Each of the clients spends from a benefit of its own. */
function varyUsage(benefitId: string, answer: string, benefitIds: readonly string[]): Vary {
  const entryId = /"id":"([^"]+)"/.exec(answer)?.[1];
  return (value) => {
    if (value === entryId) return nextId(200);
    if (value === benefitId) return `('{${benefitIds.slice(0, 64).join(',')}}'::uuid[])[${CLIENT} + 1]`;
    return undefined;
  };
}

async function measureHot(bench: ApiBench, id: string, seconds: number): Promise<HotFigures> {
  const load = { urls: bench.urls, token: bench.token, query: QUERY, expect: ACCEPTED };
  const { requests, milliseconds } = await runLoad({
    ...load,
    variables: [{ id, input: CENT }],
    clients: HOT_CALLERS,
    seconds,
  });
  const benefit = await benefits.findBenefit(systemScope(bench.app), id);
  return {
    rate: (requests / milliseconds) * 1_000,
    accepted: requests,
    used: benefit?.used.times(100).toNumber() ?? Number.NaN,
  };
}

if (import.meta.main) {
  const [seconds = 5, turns = 5] = process.argv.slice(2).map(Number);
  const { compared, hot } = await measureBenefits({ seconds, turns });
  console.table([compared]);
  console.log('One benefit, everybody at once', hot);
  if (hot.accepted !== hot.used) {
    console.error('An accepted use is missing');
    process.exitCode = 1;
  }
}
