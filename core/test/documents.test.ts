/** Documents name files and settings; what they name must exist. */
import assert from 'node:assert/strict';
import { existsSync, globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';

const ROOT = path.resolve(import.meta.dirname, '../..');
const DOCUMENTS = globSync('{*.md,docs/**/*.md,demo/*.md}', { cwd: ROOT }).filter((file) => file !== 'STYLE.md');

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
});
