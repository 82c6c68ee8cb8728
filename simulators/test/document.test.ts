/** What docs/simulators.md says is possible. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { Faults, Script } from '../src/behaviour.ts';
import { LIES as DIRECTORY_LIES, Script as DirectoryScript } from '../src/directory/behaviour.ts';
import { Faults as PayerFaults, LIES, Script as PayerScript } from '../src/payer/behaviour.ts';
import { control, simulate } from './support/world.ts';

const DOCUMENT = readFileSync(new URL('../../docs/simulators.md', import.meta.url), 'utf8');

describe('docs/simulators.md', () => {
  const examples = [...DOCUMENT.matchAll(/^curl http:\/\/127\.0\.0\.1:4001\/simulator\/([\w/]+) -d '(.+)'$/gm)];

  it('has examples that work', async () => {
    assert.equal(examples.length, 8);
    await using simulators = await simulate();
    for (const [, path = '', body = ''] of examples) {
      await control(simulators.url, `POST ${path}`, JSON.parse(body) as object);
    }
  });

  const senders = DOCUMENT.slice(0, DOCUMENT.indexOf('## The payer'));
  const directory = DOCUMENT.slice(DOCUMENT.indexOf('## The directory of providers'));
  const payer = DOCUMENT.slice(senders.length, DOCUMENT.length - directory.length);

  for (const [name, text, heading, about] of [
    ['a sender', senders, 'A script has any of', { Script, Faults }],
    ['the payer', payer, 'A payer’s script has any of', { Script: PayerScript, Faults: PayerFaults }],
  ] as const) {
    it(`has every field of a script and every fault of ${name}, and no other`, () => {
      const section = text.slice(text.indexOf(heading.replace('’', "'")));
      const fields = [...section.matchAll(/^\| (`.*?) \|/gm)].flatMap(([, names = '']) => names.match(/\w+/g) ?? []);
      assert.deepEqual(fields.toSorted(), Object.keys(about.Script.shape).toSorted());
      const [, faults = ''] = /how likely a fault is: (.*?) \|/.exec(text) ?? [];
      assert.deepEqual(faults.match(/\w+/g), Object.keys(about.Faults.parse({})));
    });
  }

  it('has every field of a script and every lie of the directory, and no other', () => {
    const section = directory.slice(directory.indexOf("A directory's script has any of"));
    const fields = [...section.matchAll(/^\| (`.*?) \|/gm)].flatMap(([, names = '']) => names.match(/\w+/g) ?? []);
    assert.deepEqual(fields.toSorted(), Object.keys(DirectoryScript.shape).toSorted());
    const [, lies = ''] = /^\| `lie` \| of slots: (.*) \|$/m.exec(directory) ?? [];
    assert.deepEqual(lies.match(/[\w-]+/g), DIRECTORY_LIES);
  });

  it('has every lie of the payer, and no other', () => {
    const [, lies = ''] = /^\| `lie` \| (.*) \|$/m.exec(payer) ?? [];
    assert.deepEqual(lies.match(/[\w-]+/g), LIES);
  });
});
