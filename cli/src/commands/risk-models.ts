import * as risk from '@careflex/core/risk';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { count, examples, type OutputOptions, print, withJson } from '../output.ts';
import { commandScope, withApp } from '../platform.ts';
import { share, startProgress } from '../progress.ts';

export function addModels(program: Command): void {
  withJson(program.command('train'))
    .description('have a model learn from what came of the visits of the last two years')
    .addOption(new Option('--kind <kind>', 'which').choices(['statistical', 'advanced']).default('advanced'))
    .addHelpText(
      'after',
      `\nNobody uses it before an admin activates it.\n${examples('careflex risk train --kind advanced')}`,
    )
    .action(train);
  withJson(program.command('score'))
    .description('score every visit to come')
    .addHelpText(
      'after',
      `\nWhat is stopped in between carries on when started again.\n${examples('careflex risk score')}`,
    )
    .action(score);
  withJson(program.command('report'))
    .description('what was said of the visits of the last weeks, beside what came of them')
    .option('--days <days>', 'of so many days', days, 28)
    .addHelpText('after', `\n${examples('careflex risk report --days 90')}`)
    .action(report);
}

async function train(options: OutputOptions & { kind: string }): Promise<void> {
  const kind = options.kind.toUpperCase() as risk.LearningKind;
  const id = await withApp(async (app) => {
    using progress = startProgress('Reading visits');
    const scope = commandScope(app);
    const rows = await risk.readLessons(scope, { onProgress: (visits) => progress.update(count(visits, 'visit')) });
    return risk.train(scope, { kind, rows });
  });
  print(options, { modelId: id }, [id === null ? 'Too few visits to learn from.' : `The model ${id} is trained.`]);
}

async function score(options: OutputOptions): Promise<void> {
  const { done } = await withApp(async (app) => {
    using progress = startProgress('Scoring visits');
    return risk.scoreAhead(commandScope(app), {
      onProgress: ({ done, total }) => progress.update(share(done, total)),
    });
  });
  print(options, { scored: done }, [`${count(done, 'visit')} scored.`]);
}

async function report(options: OutputOptions & { days: number }): Promise<void> {
  const found = await withApp(async (app) => {
    const scope = commandScope(app);
    return risk.riskReport(scope, { from: scope.now.subtract({ hours: 24 * options.days }) });
  });
  const { measures, statistical, alarms } = found;
  print(options, found, [
    `${count(measures.visits, 'visit')}, of which ${measures.noShows} were missed; model ${found.model}`,
    `               said    statistical`,
    ...LINES.map(([name, of]) => `${name.padEnd(14)} ${number(of(measures))}   ${number(of(statistical))}`),
    `tenths, said and missed: ${found.calibration.map(({ expected, observed }) => `${percent(expected)}/${percent(observed)}`).join(' ')}`,
    `alarms: ${alarms.length === 0 ? 'none' : alarms.join(', ')}`,
  ]);
}

function days(text: string): number {
  if (!/^[1-9]\d{0,2}$/.test(text) || Number(text) > 366) throw new InvalidArgumentError('expected 1 to 366 days');
  return Number(text);
}

const LINES: readonly (readonly [string, (measures: risk.Measures) => number | null])[] = [
  ['AUC', ({ auc }) => auc],
  ['Brier', ({ brier }) => brier],
  ['Brier skill', ({ brierSkill }) => brierSkill],
  ['log loss', ({ logLoss }) => logLoss],
  ['calibration', ({ calibrationError }) => calibrationError],
  ['observed/exp.', ({ observedOverExpected }) => observedOverExpected],
];

const number = (value: number | null): string => (value === null ? '     –' : value.toFixed(3).padStart(6));
const percent = (share: number): string => `${Math.round(share * 100)}%`;
