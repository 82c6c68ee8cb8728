/**
 * What it costs a booking to plan its messages: bookings with and without what follows from them, in turns within one
 * run, through the scheduling face.
 *
 *     node bench/src/planning.ts [seconds a turn] [turns]
 */
import * as scheduling from '@careflex/core/scheduling';
import { type ApiBench, openApiBench, systemScope } from './api-bench.ts';
import { addProviders } from './scheduling.ts';

const PATIENTS = 2_000;
const HALF_HOURS_A_DAY = 20;

interface PlanningFigures {
  /** Bookings a second of one client, medians of the turns. */
  readonly planned: number;
  readonly unplanned: number;
  readonly ratio: number;
}

export async function measurePlanning({ seconds = 3, turns = 7 } = {}): Promise<PlanningFigures> {
  await using bench = await openApiBench(PATIENTS);
  const book = bookings(bench, await addProviders(bench));
  const rates = { planned: [] as number[], unplanned: [] as number[] };
  const ratios: number[] = [];
  await rateOf(() => book(true), 1);
  for (let turn = 0; turn < turns; turn++) {
    const planned = await rateOf(() => book(true), seconds);
    const unplanned = await rateOf(() => book(false), seconds);
    rates.planned.push(planned);
    rates.unplanned.push(unplanned);
    ratios.push(planned / unplanned);
  }
  return { planned: median(rates.planned), unplanned: median(rates.unplanned), ratio: median(ratios) };
}

/** Each half hour of every provider in turn, each with another patient. */
function bookings({ app, patientIds }: ApiBench, providerIds: readonly string[]) {
  const first = Temporal.Now.zonedDateTimeISO('UTC').startOfDay().add({ days: 2, hours: 14 }).toInstant();
  let count = 0;
  return async (follows: boolean): Promise<void> => {
    const i = count++;
    const halfHour = Math.floor(i / providerIds.length);
    const { react, ...alone } = systemScope(app);
    await scheduling.schedule(follows && react ? { ...alone, react } : alone, {
      patientId: patientIds[i % patientIds.length] as string,
      providerId: providerIds[i % providerIds.length] as string,
      service: 'TELEHEALTH',
      startsAt: first.add({
        hours: 24 * Math.floor(halfHour / HALF_HOURS_A_DAY),
        minutes: 30 * (halfHour % HALF_HOURS_A_DAY),
      }),
    });
  };
}

async function rateOf(work: () => Promise<void>, seconds: number): Promise<number> {
  const start = performance.now();
  let done = 0;
  for (; performance.now() - start < seconds * 1_000; done++) await work();
  return (done * 1_000) / (performance.now() - start);
}

const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;

if (import.meta.main) {
  const [seconds = 3, turns = 7] = process.argv.slice(2).map(Number);
  const { planned, unplanned, ratio } = await measurePlanning({ seconds, turns });
  console.log(`bookings a second: ${planned.toFixed(0)} with their messages planned, ${unplanned.toFixed(0)} without`);
  console.log(`ratio ${ratio.toFixed(2)}`);
}
