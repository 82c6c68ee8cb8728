/** What docs/simulators.md says is possible. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { Faults, Script } from '../src/behaviour.ts';
import { control, simulate } from './support/world.ts';

const DOCUMENT = readFileSync(new URL('../../docs/simulators.md', import.meta.url), 'utf8');

describe('docs/simulators.md', () => {
  const examples = [...DOCUMENT.matchAll(/^curl http:\/\/127\.0\.0\.1:4001\/simulator\/(\w+) -d '(.+)'$/gm)];

  it('has examples that work', async () => {
    assert.equal(examples.length, 3);
    await using simulators = await simulate();
    for (const [, path = '', body = ''] of examples) {
      await control(simulators.url, `POST ${path}`, JSON.parse(body) as object);
    }
  });

  it('has every field of a script and every fault, and no other', () => {
    const section = DOCUMENT.slice(DOCUMENT.indexOf('A script has any of'));
    const fields = [...section.matchAll(/^\| (`.*?) \|/gm)].flatMap(([, names = '']) => names.match(/\w+/g) ?? []);
    assert.deepEqual(fields.toSorted(), Object.keys(Script.shape).toSorted());
    const [, faults = ''] = /how likely a fault is: (.*?) \|/.exec(DOCUMENT) ?? [];
    assert.deepEqual(faults.match(/\w+/g), Object.keys(Faults.parse({})));
  });
});
