import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as care from '#care';
import { aPatient, issuesOf } from './support/patients.ts';
import { sandboxed } from './support/testing.ts';

describe('text about a patient', () => {
  for (const [what, character] of [
    ['bidirectional override', '\u202E'],
    ['bidirectional isolate', '\u2066'],
    ['zero width space', '\u200B'],
    ['tag character', '\u{E0041}'],
    ['half a character', '\uD800'],
  ] as const) {
    test(
      `takes no ${what} for text`,
      sandboxed(async (scope) => {
        const text = `a${character}b`;
        const address = { lines: [text], city: text };
        const issues = await issuesOf(
          care.createPatient(scope, { firstName: text, lastName: text, externalId: text, address }),
        );
        assert.deepEqual(
          issues,
          Object.fromEntries(
            ['firstName', 'lastName', 'externalId', 'address.lines.0', 'address.city'].map((path) => [
              path,
              'expected no control or invisible characters',
            ]),
          ),
        );
      }),
    );
  }

  test(
    'takes the joiners that scripts are written with, and no half of a character in notes',
    sandboxed(async (scope) => {
      const { firstName } = await care.createPatient(scope, aPatient({ firstName: 'مهدی\u200Cیار' }));
      assert.equal(firstName, 'مهدی\u200Cیار');
      const notes = 'first\nsecond \u{1F468}\u200D\u{1F469}';
      await care.createPatient(scope, aPatient({ notes }));
      assert.deepEqual(await issuesOf(care.createPatient(scope, aPatient({ notes: '\uDC00' }))), {
        notes: 'expected no half of a character',
      });
    }),
  );
});
