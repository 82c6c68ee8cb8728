/** `careflex risk backtest`: from a file to figures, and a sentence about a file that is none. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, describe, it } from 'node:test';
import { gzipSync } from 'node:zlib';
import { run } from './support/careflex.ts';

const HEADER = 'appt_id,patient,booked_at,appt_date,age,sex,clinic,welfare,sms,no_show';

/** Every second visit is for its own day; every fifth is missed. */
const csv = [
  HEADER,
  ...Array.from({ length: 200 }, (_, i) => {
    const day = `2026-03-${String(2 + Math.floor(i / 20)).padStart(2, '0')}`;
    const bookedOn = i % 2 === 0 ? day : '2026-02-20';
    return `${i},${i % 40},${bookedOn}T08:30:00,${day},${i % 90},${i % 3 === 0 ? 'M' : 'F'},C${i % 4},0,${i % 2},${i % 5 === 0 ? 1 : 0}`;
  }),
].join('\n');

describe('careflex risk backtest', () => {
  const directory = mkdtempSync(path.join(tmpdir(), 'careflex-backtest-'));
  const file = (name: string, content: string | Buffer): string => {
    const at = path.join(directory, name);
    writeFileSync(at, content);
    return at;
  };
  const call = (...args: string[]) => run(['risk', 'backtest', ...args], { CAREFLEX_DATA_DIR: directory });
  after(() => rmSync(directory, { recursive: true }));

  it('tells how good each model would have been, gzipped or not, from a day on', async () => {
    const plain = file('visits.csv', csv);
    const [whole, zipped] = await Promise.all([
      call(plain, '--json'),
      call(file('visits.csv.gz', gzipSync(csv)), '--json', '--from', '2026-03-07'),
    ]);
    assert.equal(whole.code, 0, whole.stderr);
    const models = modelsOf(whole.stdout);
    assert.deepEqual(models.map(({ model }) => model).toSorted(), ['ADVANCED', 'LEGACY', 'STATISTICAL']);
    for (const { all, advance } of models) {
      assert.equal(all.visits, 200);
      assert.equal(advance.visits, 100);
      assert.equal(all.noShowRate, 0.2);
    }
    for (const { all } of modelsOf(zipped.stdout)) assert.equal(all.visits, 100);
  });

  it('says which line cannot be read, and why', async () => {
    const ended = await call(file('bad.csv', csv.replace('2026-03-02,1,', '2026-13-02,1,')));
    assert.equal(ended.code, 2);
    assert.match(ended.stderr, /bad\.csv, line \d+: appt_date: expected a date such as 2026-03-08/);
  });
});

interface Reported {
  readonly model: string;
  readonly all: { readonly visits: number; readonly noShowRate: number };
  readonly advance: { readonly visits: number };
}

function modelsOf(json: string): readonly Reported[] {
  return (JSON.parse(json) as { readonly models: readonly Reported[] }).models;
}
