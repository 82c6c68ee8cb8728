/**
 * The audit trail: how fast it is sealed and verified, how far sealing lags behind a steady load, and what the
 * audit row costs a write, as a ratio of the same write with and without it, in turns within one run.
 *
 *     node bench/src/audit.ts [entries] [seconds a turn] [turns]
 */
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import * as audit from '@careflex/core/audit';
import { emit } from '@careflex/core/platform/events';
import { once } from '@careflex/core/platform/idempotency';
import { type Scope, transact } from '@careflex/core/platform/scope';
import { benchPlatform } from './platform.ts';

declare module '@careflex/core/platform/events' {
  interface Events {
    'bench.written': { id: string };
  }
}

export interface AuditFigure {
  readonly figure: string;
  readonly value: number;
  readonly unit: string;
}

export async function measureAudit({ entries = 100_000, seconds = 5, turns = 5 } = {}): Promise<AuditFigure[]> {
  await using platform = await benchPlatform();
  const { scope } = platform;
  const sealing: number[] = [];
  for (let turn = 0; turn < turns; turn++) {
    await fill(scope, entries / turns);
    sealing.push(await secondsOf(() => audit.seal(now(scope))));
  }
  const verifying = await secondsOf(async () => {
    const { firstBad } = await audit.verify(now(scope));
    if (firstBad !== null) throw new Error(firstBad.message);
  });
  const figures = [
    { figure: 'sealed', value: Math.round(entries / turns / median(sealing)), unit: 'entries/s' },
    { figure: 'verified', value: Math.round(entries / verifying), unit: 'entries/s' },
    ...(await lag(scope, seconds * turns)),
    ...(await cost(scope, seconds, turns)),
  ];
  await audit.seal(now(scope));
  return figures;
}

const now = (scope: Scope): Scope => ({ ...scope, now: Temporal.Now.instant() });
const read = (): audit.Entry => ({ action: 'patient.read', resourceType: 'Patient', resourceId: randomUUID() });

const PER_TRANSACTION = 500;

async function fill(scope: Scope, entries: number): Promise<void> {
  for (let written = 0; written < entries; written += PER_TRANSACTION) {
    await transact(now(scope), async (scope) => {
      for (let i = 0; i < Math.min(PER_TRANSACTION, entries - written); i++) await audit.record(scope, read());
    });
  }
}

async function secondsOf(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return (performance.now() - start) / 1_000;
}

const PER_SECOND = 200;

/** Two hundred audited writes a second, and a sealer that starts every second. */
async function lag(scope: Scope, seconds: number): Promise<AuditFigure[]> {
  await audit.seal(now(scope));
  const start = performance.now();
  const elapsed = () => (performance.now() - start) / 1_000;
  const lags: number[] = [];
  let written = 0;
  const write = async () => {
    while (elapsed() < seconds) {
      if (written < elapsed() * PER_SECOND) {
        written += 1;
        await transact(now(scope), (scope) => audit.record(scope, read()));
      } else await sleep(2);
    }
  };
  const seal = async () => {
    for (let tick = 1; elapsed() < seconds; tick++) {
      await audit.seal(now(scope));
      await sleep(Math.max(0, (tick - elapsed()) * 1_000));
    }
  };
  const look = async () => {
    while (elapsed() < seconds) {
      lags.push(await audit.sealLag(now(scope)));
      await sleep(50);
    }
  };
  await Promise.all([write(), seal(), look()]);
  const sorted = lags.toSorted((a, b) => a - b);
  return [
    { figure: 'load while the lag was measured', value: Math.round(written / seconds), unit: 'entries/s' },
    { figure: 'seal lag, median', value: round(sorted[Math.floor(sorted.length / 2)] ?? 0), unit: 's' },
    { figure: 'seal lag, longest', value: round(sorted.at(-1) ?? 0), unit: 's' },
  ];
}

const CLIENTS = 8;
const LIST = 50;

/** The write is the least that a command does: an idempotency key, and an event. */
async function cost(scope: Scope, seconds: number, turns: number): Promise<AuditFigure[]> {
  const patients = Array.from({ length: 10_000 }, () => randomUUID());
  const page = () => {
    const from = Math.floor(Math.random() * (patients.length - LIST));
    return { action: 'patient.list', resourceType: 'Patient', resourceIds: patients.slice(from, from + LIST) };
  };
  const kinds = {
    without: async () => undefined,
    single: (scope: Scope) => audit.record(scope, read()),
    list: (scope: Scope) => audit.record(scope, page()),
  };
  const rates: Record<keyof typeof kinds, number[]> = { without: [], single: [], list: [] };
  for (let turn = 0; turn < turns; turn++) {
    for (const kind of Object.keys(kinds) as (keyof typeof kinds)[]) {
      rates[kind].push(await writesPerSecond(scope, seconds, kinds[kind]));
    }
  }
  const [without, single, list] = [median(rates.without), median(rates.single), median(rates.list)];
  return [
    { figure: 'writes without an audit row', value: Math.round(without), unit: 'writes/s' },
    { figure: 'writes with one', value: Math.round(single), unit: 'writes/s' },
    { figure: 'with one, of without', value: round(single / without), unit: 'ratio' },
    { figure: `with one that lists ${LIST} patients, of without`, value: round(list / without), unit: 'ratio' },
  ];
}

async function writesPerSecond(scope: Scope, seconds: number, also: (scope: Scope) => Promise<void>): Promise<number> {
  const until = performance.now() + seconds * 1_000;
  let writes = 0;
  const client = async () => {
    for (; performance.now() < until; writes++) {
      await transact(now(scope), async (scope) => {
        const id = randomUUID();
        await once(scope, { key: id, operation: 'bench.write', input: { id } }, async () => {
          await emit(scope, 'bench.written', { id });
          await also(scope);
          return id;
        });
      });
    }
  };
  await Promise.all(Array.from({ length: CLIENTS }, client));
  return writes / seconds;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
}

const round = (value: number): number => Math.round(value * 100) / 100;

if (import.meta.main) {
  const [entries = 100_000, seconds = 5, turns = 5] = process.argv.slice(2).map(Number);
  console.table(await measureAudit({ entries, seconds, turns }));
}
