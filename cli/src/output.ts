/** What a command says on standard output: for a person, or with --json for a script. */
import type { Command } from 'commander';

export interface OutputOptions {
  readonly json?: true;
}

export function withJson(command: Command): Command {
  return command.option('--json', 'write the result as JSON');
}

export function print({ json }: OutputOptions, result: object, lines: readonly string[]): void {
  process.stdout.write(json ? `${JSON.stringify(result, null, 2)}\n` : `${lines.join('\n')}\n`);
}

export function examples(...lines: readonly string[]): string {
  return `\n${lines.length > 1 ? 'Examples' : 'Example'}:\n${lines.map((line) => `  ${line}`).join('\n')}`;
}

/** `1 line`, `2 lines` */
export function count(n: number, noun: string, plural = `${noun}s`): string {
  return `${n.toLocaleString('en')} ${n === 1 ? noun : plural}`;
}
