import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { before, describe, test } from 'node:test';
import { type SignedInRole, useApi } from './support/api.ts';
import { halfHour, newProvider } from './support/visits.ts';

const api = useApi();
const page = readFileSync(new URL('../../docs/api.md', import.meta.url), 'utf8');

interface Example {
  readonly as: string;
  readonly query: string;
  variables: unknown;
  answer: unknown;
  errors: unknown;
}

const examples = readExamples(page);
/** What `<name>` stands for, once an answer has said it. */
const tuesdayAtNine = halfHour(0);
const seriesDay = Temporal.Instant.from(tuesdayAtNine)
  .toZonedDateTimeISO('America/New_York')
  .toPlainDate()
  .add({ weeks: 3 });
const known = new Map<string, unknown>([
  ['tuesdayAtNine', tuesdayAtNine],
  ['aQuarterLater', Temporal.Instant.from(tuesdayAtNine).add({ minutes: 15 }).toString()],
  ['seriesDay', seriesDay.toString()],
  ['seriesStart', `${seriesDay.toString()}T14:00`],
]);

describe('docs/api.md', () => {
  before(() => newProvider(api));

  test('has examples', () => assert.ok(examples.length >= 9));

  for (const [i, example] of examples.entries()) {
    test(`example ${i + 1} gives the answer that stands there`, async () => {
      const { email, password } = await api.person('agent');
      const variables = filled(example.variables) ?? { email, password };
      const ask = example.as === 'anonymous' ? {} : { as: example.as as SignedInRole };
      const { body } = await api.graphql(example.query, variables, ask);
      if (example.errors === undefined) assert.equal(body.errors, undefined);
      const [actual, expected] =
        example.errors === undefined ? [body.data, example.answer] : [body.errors, example.errors];
      learn(expected, actual);
      assert.deepEqual(actual, filled(expected));
    });
  }
});

/** A `graphql` block with who asks, then blocks `json` with its variables and its answer or errors. */
function readExamples(text: string): Example[] {
  const found: Example[] = [];
  for (const [, language, what = '', content = ''] of text.matchAll(/```(\w+) (\w+)\n([\s\S]*?)```/g)) {
    if (language === 'graphql') {
      found.push({ as: what, query: content, variables: undefined, answer: undefined, errors: undefined });
      continue;
    }
    const example = found.at(-1);
    assert.ok(example && ['variables', 'answer', 'errors'].includes(what), what);
    example[what as 'variables'] = JSON.parse(content);
  }
  return found;
}

const PLACEHOLDER = /^<(\w+)>$/;

function filled(value: unknown): unknown {
  if (typeof value === 'string') {
    const name = PLACEHOLDER.exec(value)?.[1];
    return name === undefined ? value : known.get(name);
  }
  if (Array.isArray(value)) return value.map(filled);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, filled(inner)]));
}

/** Takes the value of each placeholder that is new from where it stands in the answer. */
function learn(expected: unknown, actual: unknown): void {
  if (typeof expected === 'string') {
    const name = PLACEHOLDER.exec(expected)?.[1];
    if (name !== undefined && !known.has(name)) known.set(name, actual);
  } else if (typeof expected === 'object' && expected !== null && typeof actual === 'object' && actual !== null) {
    for (const [key, inner] of Object.entries(expected)) learn(inner, (actual as Record<string, unknown>)[key]);
  }
}
