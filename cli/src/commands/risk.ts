import type { Command } from 'commander';
import { addBacktest } from './risk-backtest.ts';

export function addRisk(program: Command): void {
  const risk = program.command('risk').description('who will probably not come');
  addBacktest(risk);
}
