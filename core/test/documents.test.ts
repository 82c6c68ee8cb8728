/** Documents name files and settings; what they name must exist. */
import assert from 'node:assert/strict';
import { existsSync, globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { FACTS } from '../src/risk/model/facts.ts';
import { leadBand, PUBLISHED_BASE_RATE, PUBLISHED_LEAD_EFFECTS } from '../src/risk/model/lead-time.ts';
import { bandOf, logistic, logit } from '../src/risk/model/model.ts';

const ROOT = path.resolve(import.meta.dirname, '../..');
const DOCUMENTS = globSync('{*.md,docs/**/*.md,demo/*.md}', { cwd: ROOT }).filter((file) => file !== 'STYLE.md');

/** The mean of the four published shares, which the effects are told against. */
const SHAPE_LEVEL = logit((0.12 + 0.23 + 0.42 + 0.44) / 4);

const LINK = /\]\((?!https?:|#|mailto:)([^)#]+)/g;
const FILE = /`((?:core|web|cli|simulators|bench|demo|docs|bin)\/[\w./-]+\.(?:ts|sql|md|mjs|graphql))`/g;

function missing(document: string, text: string): string[] {
  const linked = [...text.matchAll(LINK)].map(([, target = '']) => path.resolve(ROOT, path.dirname(document), target));
  const named = [...text.matchAll(FILE)].map(([, target = '']) => path.resolve(ROOT, target));
  return linked
    .concat(named)
    .filter((file) => !existsSync(file))
    .map((file) => path.relative(ROOT, file));
}

describe('documents', () => {
  for (const document of DOCUMENTS) {
    test(`${document} names only files that exist`, () => {
      assert.deepEqual(missing(document, readFileSync(path.join(ROOT, document), 'utf8')), []);
    });
  }

  test('a name that does not exist is found', () => {
    assert.deepEqual(missing('docs/x.md', 'see [it](../nowhere.md) and `core/src/nowhere.ts`'), [
      'nowhere.md',
      'core/src/nowhere.ts',
    ]);
  });

  test('operations.md has every setting of the configuration, and no other', () => {
    const config = readFileSync(path.join(ROOT, 'core/src/platform/config.ts'), 'utf8');
    const settings = [...config.matchAll(/^ {2}([A-Z][A-Z0-9_]+):/gm)].map(([, name = '']) => name);
    const operations = readFileSync(path.join(ROOT, 'docs/operations.md'), 'utf8');
    const table = operations.slice(operations.indexOf('## Settings'), operations.indexOf('## Keys'));
    const documented = [...table.matchAll(/^\| (.*?) \|/gm)]
      .flatMap(([, names]) => (names ?? '').match(/`\w+`/g) ?? [])
      .map((name) => name.replaceAll('`', ''));
    assert.ok(settings.length > 20);
    assert.deepEqual(
      settings.filter((name) => !documented.includes(name)),
      [],
    );
    assert.deepEqual(
      [...new Set(documented)].filter((name) => !settings.includes(name)),
      [],
    );
  });

  test('model-card.md says what the models are told and begin from', () => {
    const card = readFileSync(path.join(ROOT, 'docs/model-card.md'), 'utf8');
    const told = card.slice(card.indexOf('## What it is told'), card.indexOf('## What it was trained on'));
    const facts = [...told.matchAll(/^\| ([a-z ]+?) \|/gm)]
      .map(([, fact = '']) => fact)
      .filter((fact) => fact !== 'fact');
    assert.deepEqual(facts.toSorted(), [...new Set(FACTS.map(({ feature }) => feature))].toSorted());
    const source = readFileSync(path.join(ROOT, 'core/src/risk/model/lead-time.ts'), 'utf8');
    const published = [...source.matchAll(/doi (10\.[\w./-]+[\w])/g)].map(([, doi = '']) => doi);
    assert.equal(published.length, 2);
    for (const doi of published) assert.ok(card.includes(`doi ${doi}`), doi);
    const shares = [0, 1, 7, 13].map((days) => logistic((PUBLISHED_LEAD_EFFECTS[leadBand(days)] ?? 0) + SHAPE_LEVEL));
    assert.deepEqual(
      shares.map((share) => `${Math.round(share * 100)} %`),
      /(\d+ %) not kept.*?(\d+ %) for the next, (\d+ %) after.*?(\d+ %) after/s.exec(card)?.slice(1),
    );
    assert.ok(card.includes(`*Level*: ${PUBLISHED_BASE_RATE * 100} %`));
  });

  test('model-card.md has the bands of the scores', () => {
    const card = readFileSync(path.join(ROOT, 'docs/model-card.md'), 'utf8');
    const [, low, high] = /`LOW` is below (\d+) %, `HIGH` from\s+(\d+) % on/.exec(card) ?? [];
    const bands = [Number(low) - 0.1, Number(low), Number(high) - 0.1, Number(high)].map((percent) =>
      bandOf(percent / 100),
    );
    assert.deepEqual(bands, ['LOW', 'MEDIUM', 'MEDIUM', 'HIGH']);
  });

  test('model-card.md: nothing in scheduling knows a score', () => {
    const files = globSync('core/src/{scheduling,benefits,care}{.ts,/**/*.ts}', { cwd: ROOT });
    assert.ok(files.length > 30);
    const knowing = files.filter((file) =>
      /risk_scores|['"]#risk|\.\/risk/.test(readFileSync(path.join(ROOT, file), 'utf8')),
    );
    assert.deepEqual(knowing, []);
  });
});
