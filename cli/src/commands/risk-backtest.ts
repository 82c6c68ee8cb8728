import { replay, type ReplayReport, report } from '@careflex/core/risk/backtest';
import { type Command, InvalidArgumentError } from 'commander';
import { Failure } from '../faults.ts';
import { examples, type OutputOptions, print, withJson } from '../output.ts';
import { readPastVisits } from '../past-visits.ts';
import { share, startProgress } from '../progress.ts';

/** `risk backtest`: needs no database. */
export function addBacktest(risk: Command): void {
  withJson(risk.command('backtest'))
    .description('replay visits that are over, and tell how good each model’s forecasts would have been')
    .argument(
      '<file>',
      'CSV, or CSV gzipped: patient, booked_at, appt_date, age, sex, clinic, sms, no_show; times local',
    )
    .option('--history <file>', 'earlier visits, to learn from and not to count')
    .option('--from <date>', 'the first day that counts; earlier ones are learnt from', date)
    .addHelpText(
      'after',
      `
Day by day: each visit is scored the evening before, or when it was booked if that was later; each night the models are
fitted again to all that is over. No forecast sees an outcome of its day or a later one.
${examples('careflex risk backtest visits.csv.gz', 'careflex risk backtest june.csv --history spring.csv.gz --json')}`,
    )
    .action(backtest);
}

function date(text: string): Temporal.PlainDate {
  try {
    return Temporal.PlainDate.from(text, { overflow: 'reject' });
  } catch {
    throw new InvalidArgumentError('expected a date such as 2026-03-08');
  }
}

interface Options extends OutputOptions {
  readonly history?: string;
  readonly from?: Temporal.PlainDate;
}

async function backtest(file: string, { history, from, ...output }: Options): Promise<void> {
  const visits = await readPastVisits(file);
  const earlier = history === undefined ? [] : await readPastVisits(history);
  const first = visits.map(({ day }) => day).toSorted((a, b) => Temporal.PlainDate.compare(a, b))[0];
  if (first === undefined) throw new Failure(`${file} has no visits.`);
  using progress = startProgress('Replaying');
  const replayed = replay([...earlier, ...visits], {
    countFrom: from ?? first,
    onDay: (done, total) => progress.update(`${share(done, total)} days`),
  });
  progress.clear();
  const reports = report(replayed);
  print(output, { models: reports }, reports.flatMap(tableOf));
}

const ROWS = [
  ['visits', 'visits', 0],
  ['no-show rate', 'noShowRate', 4],
  ['AUC', 'auc', 4],
  ['AUC within days', 'aucWithinDays', 4],
  ['average precision', 'averagePrecision', 4],
  ['Brier score', 'brier', 4],
  ['Brier skill', 'brierSkill', 4],
  ['log loss', 'logLoss', 4],
  ['calibration error', 'calibrationError', 4],
  ['observed over expected', 'observedOverExpected', 3],
  ['lift of the top tenth', 'topTenthLift', 3],
] as const;

function tableOf({ model, all, advance, sameDay, groups }: ReplayReport): string[] {
  const line = (name: string, cells: readonly string[]) =>
    name.padEnd(24) + cells.map((cell) => cell.padStart(10)).join('');
  return [
    '',
    line(model, ['all', 'advance', 'same day']),
    ...ROWS.map(([name, key, digits]) =>
      line(
        name,
        [all, advance, sameDay].map((of) => of[key]?.toFixed(digits) ?? '–'),
      ),
    ),
    '',
    line('observed over expected', ['visits', 'O/E']),
    ...groups.map(({ group, visits, observedOverExpected }) =>
      line(group, [visits.toFixed(), observedOverExpected?.toFixed(3) ?? '–']),
    ),
  ];
}
