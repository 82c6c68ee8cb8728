import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { Finding } from '#fhir-import';
import { RESOURCE_TYPES } from '#fhir-import';
import { fhirPractitioner, imported } from './support/fhir.ts';
import { sandboxed } from './support/testing.ts';

const MARK = 'Qj7';

/** A failure is shown as it was found: to make it smaller would take thousands of imports. */
const runs = (numRuns: number) => ({ numRuns, endOnFailure: true });

/** Text that can be told from anything a report says by itself. */
const marked = fc.string({ unit: 'binary', maxLength: 20 }).map((text) => `${MARK}${text}`);
const leaf = fc.oneof(marked, fc.integer(), fc.double(), fc.boolean(), fc.constant(null), fc.constant('2020-02-30'));

const json = fc.letrec((tie) => ({
  value: fc.oneof({ depthSize: 'small' }, leaf, tie('list'), tie('record')),
  list: fc.array(tie('value'), { maxLength: 3 }),
  record: fc.dictionary(fc.oneof(marked, fc.constantFrom('use', 'value', 'system', '__proto__')), tie('value')),
})).value;

/** Nearly always what it should be: a resource has so many parts that else hardly one were whole. */
const mostly = <T>(shape: fc.Arbitrary<T>): fc.Arbitrary<unknown> =>
  fc.oneof({ weight: 25, arbitrary: shape }, { weight: 1, arbitrary: json });
const text = mostly(fc.string({ unit: fc.constantFrom('a', 'b', 'é', ' '), maxLength: 12 }).map((rest) => MARK + rest));
const list = (shape: fc.Arbitrary<unknown>) => mostly(fc.array(shape, { maxLength: 3 }));
const some = (parts: Record<string, fc.Arbitrary<unknown>>) => mostly(fc.record(parts, { requiredKeys: [] }));

const contactPoint = some({
  system: fc.constantFrom('phone', 'email'),
  value: text,
  use: text,
  period: some({ end: text }),
});
const humanName = mostly(fc.record({ family: text, given: fc.array(text, { minLength: 1, maxLength: 2 }), use: text }));
const reference = some({ reference: text, identifier: some({ system: text, value: text }) });
const concept = some({ coding: list(some({ system: text, code: text, display: text })), text });
const address = some({ state: text, city: text, line: list(text), country: text });

const PARTS = {
  telecom: list(contactPoint),
  birthDate: fc.constantFrom('2021-02-30', '2999-01-01', '1980', '1980-01-01', '1980-01-02', `${MARK}1980`),
  deceasedDateTime: text,
  communication: list(some({ language: concept, preferred: mostly(fc.boolean()) })),
  link: list(some({ type: fc.constantFrom('replaces', MARK), other: reference })),
  identifier: list(some({ system: text, value: text })),
  organization: reference,
  specialty: list(concept),
  managingOrganization: reference,
};

/** Resources that look the part, so that what is deep inside the mappings is reached too. */
const resource = fc.constantFrom(...RESOURCE_TYPES).chain((type) => {
  const person = type === 'Patient' || type === 'Practitioner';
  const whole = {
    resourceType: fc.constant(type),
    id: mostly(fc.uuid()),
    name: person ? mostly(fc.array(humanName, { minLength: 1, maxLength: 3 })) : text,
    address: type === 'Location' ? address : list(address),
    location: list(reference),
    practitioner: fc.oneof(reference, { weight: 4, arbitrary: fc.constant({ reference: 'Practitioner/known' }) }),
  };
  const required = Object.keys(whole) as (keyof typeof whole)[];
  return fc.tuple(fc.constant(type), fc.record({ ...whole, ...PARTS }, { requiredKeys: required }));
});

function refuseLeak(findings: readonly Finding[]): void {
  for (const { file, line, issues } of findings) {
    assert.ok(!JSON.stringify(issues).includes(MARK), `a value of ${file} line ${line} is in the report`);
    assert.ok(issues.length > 0 && line >= 1);
  }
}

describe('importDirectory, whatever stands in a line', () => {
  test(
    'takes or refuses any JSON, and repeats none of it',
    sandboxed(async (scope) => {
      const lines = fc.array(json, { minLength: 1, maxLength: 30 });
      await fc.assert(
        fc.asyncProperty(fc.constantFrom(...RESOURCE_TYPES), lines, async (type, values) => {
          const { counts, findings } = await imported(scope, {
            [`${type}.ndjson`]: values.map((value) => JSON.stringify(value)),
          });
          assert.equal(counts[type].refused, values.length);
          refuseLeak(findings);
        }),
        runs(40),
      );
    }),
  );

  test(
    'takes or refuses any resource, counts each line once, and repeats nothing of it',
    sandboxed(async (scope) => {
      await imported(scope, { 'Practitioner.ndjson': [fhirPractitioner('known')] });
      const taken = new Map<string, number>();
      const lines = fc.array(resource, { minLength: 1, maxLength: 30 });
      await fc.assert(
        fc.asyncProperty(lines, async (resources) => {
          const files = Object.groupBy(resources, ([type]) => `${type}.ndjson`);
          const content = Object.entries(files).map(([name, of]) => [name, of.map(([, value]) => value)]);
          const { counts, findings } = await imported(scope, Object.fromEntries(content));
          for (const type of RESOURCE_TYPES) {
            const { created, updated, unchanged, refused } = counts[type];
            assert.equal(created + updated + unchanged + refused, resources.filter(([of]) => of === type).length);
            taken.set(type, (taken.get(type) ?? 0) + created);
          }
          refuseLeak(findings);
        }),
        runs(60),
      );
      // Else the property would say nothing of what is behind the first check.
      for (const type of RESOURCE_TYPES) assert.ok((taken.get(type) ?? 0) >= 5, `${taken.get(type)} of ${type} taken`);
    }),
  );

  test(
    'refuses JSON that breaks off into something else, and repeats nothing of it',
    sandboxed(async (scope) => {
      const cut = fc.tuple(resource, fc.integer({ min: 0, max: 999 }));
      await fc.assert(
        fc.asyncProperty(fc.array(cut, { minLength: 1, maxLength: 10 }), async (cuts) => {
          const lines = cuts.map(([[, value], place]) => {
            const whole = JSON.stringify(value);
            return `${whole.slice(0, 1 + (place % (whole.length - 1)))}${MARK}`;
          });
          const { counts, findings } = await imported(scope, { 'Patient.ndjson': lines });
          assert.equal(counts.Patient.refused, lines.length);
          refuseLeak(findings);
        }),
        runs(60),
      );
    }),
  );

  test(
    'takes or refuses any bytes',
    sandboxed(async (scope) => {
      const bytes = fc.uint8Array({ maxLength: 2000 }).map((array) => Buffer.from(array));
      await fc.assert(
        fc.asyncProperty(bytes, async (content) => {
          const { counts } = await imported(scope, { 'Patient.ndjson': content, 'Location.ndjson.gz': content });
          assert.equal(counts.Patient.created + counts.Location.created, 0);
        }),
        runs(60),
      );
    }),
  );
});
