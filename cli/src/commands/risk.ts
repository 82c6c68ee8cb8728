import type { Command } from 'commander';
import { addBacktest } from './risk-backtest.ts';
import { addModels } from './risk-models.ts';

export function addRisk(program: Command): void {
  const risk = program.command('risk').description('who will probably not come');
  addModels(risk);
  addBacktest(risk);
}
