/** A file of visits that are over, as `risk backtest` replays it: CSV with a header, gzipped where its name ends in .gz. */
import { createReadStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import type { PastVisit } from '@careflex/core/risk/backtest';
import { CsvError, parse } from 'csv-parse';
import { z } from 'zod';
import { Misuse } from './faults.ts';

const flag = z.enum(['0', '1']).transform((text) => text === '1');
const localTime = z.string().transform((text, context) => {
  try {
    return Temporal.PlainDateTime.from(text);
  } catch {
    context.addIssue({ code: 'custom', message: 'expected a local time such as 2026-03-08T09:30:00' });
    return z.NEVER;
  }
});
const localDate = z.string().transform((text, context) => {
  try {
    return Temporal.PlainDate.from(text, { overflow: 'reject' });
  } catch {
    context.addIssue({ code: 'custom', message: 'expected a date such as 2026-03-08' });
    return z.NEVER;
  }
});

/** The columns that are read; whatever else the file has is left out. */
const Line = z.object({
  patient: z.string().min(1),
  booked_at: localTime,
  appt_date: localDate,
  age: z.coerce.number().int().min(0).max(150),
  sex: z.string(),
  clinic: z.string(),
  sms: flag,
  no_show: flag,
});

/** Throws {@link Misuse} for a file that cannot be read, with the first bad line and what was expected there. */
export async function readPastVisits(file: string): Promise<PastVisit[]> {
  const visits: PastVisit[] = [];
  const lines = parse({ columns: true, bom: true, info: true });
  try {
    await pipeline(createReadStream(file), ...(file.endsWith('.gz') ? [createGunzip()] : []), lines, async (parsed) => {
      for await (const { record, info } of parsed as AsyncIterable<Parsed>)
        visits.push(toVisit(file, record, info.lines));
    });
  } catch (thrown) {
    if (thrown instanceof Misuse) throw thrown;
    throw new Misuse(`${file} cannot be read: ${thrown instanceof CsvError ? thrown.message : codeOf(thrown)}.`);
  }
  return visits;
}

interface Parsed {
  readonly record: unknown;
  readonly info: { readonly lines: number };
}

function toVisit(file: string, record: unknown, line: number): PastVisit {
  const parsed = Line.safeParse(record);
  if (!parsed.success) {
    const issues = parsed.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`);
    throw new Misuse(`${file}, line ${line}: ${issues.join('; ')}.`);
  }
  const { booked_at: bookedAt, appt_date: day, sms: reminded, no_show: noShow, ...visit } = parsed.data;
  return { ...visit, bookedAt, day, reminded, noShow };
}

const codeOf = (thrown: unknown): string => (thrown as NodeJS.ErrnoException).code ?? String(thrown);
