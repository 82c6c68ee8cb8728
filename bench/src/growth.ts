/**
 * What becomes of the same three questions while visits pile up behind them: a page, a day board, free slots. Through the
 * whole API, one client, in turns at each size.
 *
 *     node bench/src/growth.ts [visits ...]
 */
import { type ApiBench, latencies, median, openApiBench, type Operation } from './api-bench.ts';
import { addProviders, dayBoard, page, PROVIDERS } from './scheduling.ts';
import { A_DAY, seedAppointments } from './synthetic-appointments.ts';

export interface GrowthFigures {
  readonly visits: number;
  /** Medians of the turns' medians, in milliseconds. */
  readonly page: number;
  readonly board: number;
  readonly slots: number;
}

const PATIENTS = 2_000;
const TURNS = 5;

/** The sizes in their order, each as many visits as there are then in all; at least those of three days. */
export async function measureGrowth(sizes: readonly number[], { seconds = 2 } = {}): Promise<GrowthFigures[]> {
  await using bench = await openApiBench(PATIENTS);
  const providerIds = await addProviders(bench);
  const tomorrow = Temporal.Now.zonedDateTimeISO('UTC').startOfDay().add({ days: 1 });
  const asked = { page: page(tomorrow.toInstant()), board: dayBoard(tomorrow.toInstant()), slots: slots(providerIds) };
  const figures: GrowthFigures[] = [];
  let there = 0;
  let earliest = tomorrow.add({ days: 3 });
  for (const visits of sizes) {
    const days = Math.ceil((visits - there) / PROVIDERS / A_DAY);
    earliest = earliest.subtract({ days });
    const { adminUrl, patientIds } = bench;
    await seedAppointments(adminUrl, { patientIds, providerIds, count: visits - there, from: earliest.toInstant() });
    there = visits;
    figures.push({ visits, ...(await medians(bench, asked, seconds)) });
  }
  return figures;
}

type Asked = Readonly<Record<'page' | 'board' | 'slots', Operation>>;

async function medians(bench: ApiBench, asked: Asked, seconds: number): Promise<Omit<GrowthFigures, 'visits'>> {
  const taken = { page: [] as number[], board: [] as number[], slots: [] as number[] };
  for (let turn = 0; turn < TURNS; turn++) {
    for (const kind of ['page', 'board', 'slots'] as const)
      taken[kind].push((await latencies(bench, asked[kind], seconds)).p50);
  }
  return { page: median(taken.page), board: median(taken.board), slots: median(taken.slots) };
}

/** The first hundred of fifty providers over thirty days. */
function slots(providerIds: readonly string[]): Operation {
  const from = Temporal.Now.instant().add({ hours: 24 });
  return {
    name: 'free slots',
    query: `query($from: DateTime!, $to: DateTime!, $providers: [ID!]) {
      availableSlots(service: TELEHEALTH, from: $from, to: $to, providerIds: $providers) { startsAt } }`,
    variables: [
      { from: from.toString(), to: from.add({ hours: 24 * 30 }).toString(), providers: providerIds.slice(0, 50) },
    ],
    expect: '"startsAt":"',
  };
}

if (import.meta.main) {
  const sizes = process.argv.slice(2).map(Number);
  console.table(await measureGrowth(sizes.length > 0 ? sizes : [30_000, 100_000]));
}
