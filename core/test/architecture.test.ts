/** The rules of ARCHITECTURE.md, executed: who may know whom, whose table is whose, and what stands in one place only. */
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { LOCKS } from '#platform/advisory-locks';

const ROOT = path.resolve(import.meta.dirname, '../..');

interface Source {
  /** From the checkout's root, with forward slashes. */
  readonly file: string;
  readonly text: string;
}

type Rule = (source: Source) => string[];

/** A context may import those; platform and integrations are open to all of them. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  platform: [],
  integrations: [],
  audit: [],
  operations: ['audit'],
  neighbours: ['audit'],
  care: ['audit'],
  benefits: ['audit', 'care'],
  accounts: ['audit', 'care'],
  presence: ['audit', 'care', 'accounts'],
  scheduling: ['audit', 'care', 'benefits'],
  notifications: ['audit', 'care', 'scheduling'],
  risk: ['audit', 'care', 'scheduling', 'notifications'],
};
/** What puts the contexts together, and so sees all of them. */
const SEES_ALL = new Set(['app', 'fhir-import', 'installation', 'key-columns', 'reactions', 'worker', 'workers']);

const IMPORT =
  /(?:^|\n)\s*(?:import|export)\b[^'"`;]*?from\s*'([^']+)'|\bimport\(\s*'([^']+)'\s*\)|(?:^|\n)import\s+'([^']+)'/g;
const imports = (text: string) => [...text.matchAll(IMPORT)].map((match) => match[1] ?? match[2] ?? match[3] ?? '');

/** The context, or the file beside the contexts, that a file of core belongs to. */
function homeOf(file: string): string | null {
  return /^core\/src\/([\w-]+?)(?:\.ts|\/)/.exec(file)?.[1] ?? null;
}

const staysWithinItsContext: Rule = ({ file, text }) => {
  const home = homeOf(file);
  if (home === null) return [];
  return imports(text).flatMap((specifier) => {
    const named = /^#([\w-]+)/.exec(specifier)?.[1];
    if (named !== undefined) return mayKnow(home, named) ? [] : [`${home} may not know ${named}`];
    if (!specifier.startsWith('.')) return [];
    const target = homeOf(path.posix.join(path.posix.dirname(file), specifier));
    return target === home || SEES_ALL.has(home) ? [] : [`${specifier} reaches into ${target}; import its face`];
  });
};

function mayKnow(home: string, other: string): boolean {
  if (SEES_ALL.has(home) || home === other || other === 'platform') return true;
  return other === 'integrations' ? home !== 'platform' : (MAY_IMPORT[home]?.includes(other) ?? false);
}

/** Who owns a table: the context whose migration or `tables.ts` declares it. */
const OWNERS = ownersOfTables();

function ownersOfTables(): ReadonlyMap<string, string> {
  const owners = new Map<string, string>();
  for (const file of globSync('core/src/**/*.ts', { cwd: ROOT }).map(toPosix)) {
    const text = readFileSync(path.join(ROOT, file), 'utf8');
    const declared = /interface Database \{([\s\S]*?)\n {2}\}/.exec(text)?.[1] ?? '';
    for (const [, table = ''] of declared.matchAll(/^ {4}(\w+):/gm)) owners.set(table, homeOf(file) ?? '');
  }
  return owners;
}

const QUERY =
  /\b(?:selectFrom|insertInto|updateTable|deleteFrom|\w*[jJ]oin)\(\s*'(\w+)|\b(?:from|into|update|join)\s+(\w+)/g;

const queriesItsOwnTables: Rule = ({ file, text }) => {
  const home = homeOf(file);
  // A bench runs the very same SQL beside ours.
  if (file.startsWith('bench/')) return [];
  return [...withoutComments(text).matchAll(QUERY)].flatMap(([, built, written]) => {
    const table = built ?? written ?? '';
    const owner = OWNERS.get(table);
    return owner === undefined || owner === home ? [] : [`only ${owner} may query ${table}`];
  });
};

const webKnowsFacesOnly: Rule = ({ file, text }) => {
  if (!/^(web|cli)\/src\//.test(file)) return [];
  return imports(text).filter((specifier) => specifier.startsWith('#') || /(^|\/)core\/src\//.test(specifier));
};

const ONLY_HERE: readonly { readonly what: RegExp; readonly where: RegExp; readonly name: string }[] = [
  { name: 'the environment', what: /process\.env\b/, where: /^core\/src\/platform\/config\.ts$|^bench\// },
  {
    name: 'the time',
    what: /Temporal\.Now\b|Date\.now\(|new Date\(\)/,
    // A zone's name is tried there; a lock file's age, a simulator's and a bench's clock are the machine's own.
    where: /^core\/src\/platform\/(clock|config|directory-lock)\.ts$|^simulators\/src\/main\.ts$|^bench\//,
  },
];

const asksInOnePlace: Rule = ({ file, text }) =>
  ONLY_HERE.flatMap(({ name, what, where }) =>
    what.test(withoutComments(text)) && !where.test(file) ? [`asks for ${name}`] : [],
  );

const BANNED = /^(utils?|helpers?|common|misc|manager|service|impl|types|constants|index)\.ts$/;

const isNamedAfterItsConcept: Rule = ({ file }) => {
  const name = path.posix.basename(file);
  return /^[a-z0-9]+(-[a-z0-9]+)*\.ts$/.test(name) && !BANNED.test(name) ? [] : [`${name} is not a good name`];
};

const exportsNothingByDefault: Rule = ({ text }) => (/^export default\b/m.test(text) ? ['a default export'] : []);

const RULES = {
  staysWithinItsContext,
  queriesItsOwnTables,
  webKnowsFacesOnly,
  asksInOnePlace,
  isNamedAfterItsConcept,
  exportsNothingByDefault,
} as const;

function withoutComments(text: string): string {
  return text.replaceAll(/\/\*[\s\S]*?\*\/|(^|\s)\/\/.*$/gm, '');
}

function toPosix(file: string): string {
  return file.split(path.sep).join('/');
}

const sources: Source[] = globSync('{core,web,cli,simulators,bench}/src/**/*.ts', { cwd: ROOT })
  .map(toPosix)
  .map((file) => ({ file, text: readFileSync(path.join(ROOT, file), 'utf8') }));

describe('every source', () => {
  assert.ok(sources.length > 100);
  for (const [name, rule] of Object.entries(RULES)) {
    test(name, () => {
      const broken = sources.flatMap((source) => rule(source).map((what) => `${source.file}: ${what}`));
      assert.deepEqual(broken, []);
    });
  }
});

describe('an advisory lock', () => {
  const NUMBER = /\b4_?27\d_?\d{3}\b/;
  const listed: readonly number[] = Object.values(LOCKS);

  test('has a number of its own, which code names from the list', () => {
    assert.equal(new Set(listed).size, listed.length);
    const written = sources.filter(({ file, text }) => !file.endsWith('/advisory-locks.ts') && NUMBER.test(text));
    assert.deepEqual(
      written.map(({ file }) => file),
      [],
    );
  });

  test('is taken by one function of the database at most', () => {
    const takenBy = new Map<number, Set<string>>();
    for (const file of globSync('core/migrations/*.sql', { cwd: ROOT })) {
      const [, ...functions] = readFileSync(path.join(ROOT, file), 'utf8').split(/^create (?:or replace )?function /m);
      for (const text of functions) {
        const name = /^\w+/.exec(text)?.[0] ?? '';
        for (const [number] of text.matchAll(new RegExp(NUMBER, 'g'))) {
          const takers = takenBy.get(Number(number)) ?? new Set<string>();
          takenBy.set(Number(number), takers.add(name));
        }
      }
    }
    assert.ok(takenBy.size >= 4);
    for (const [number, takers] of takenBy) {
      assert.ok(listed.includes(number), `${number} is not on the list`);
      assert.equal(takers.size, 1, `${number} is taken by ${[...takers].join(' and ')}`);
    }
  });
});

describe('a rule', () => {
  const BREAKS: readonly [keyof typeof RULES, Source][] = [
    ['staysWithinItsContext', { file: 'core/src/audit/seal.ts', text: `import * as care from '#care';` }],
    ['staysWithinItsContext', { file: 'core/src/platform/jobs.ts', text: `import { record } from '#audit';` }],
    ['staysWithinItsContext', { file: 'core/src/accounts/user.ts', text: `import { x } from '../care/record.ts';` }],
    ['staysWithinItsContext', { file: 'core/src/care.ts', text: `export { x } from './audit/tables.ts';` }],
    ['queriesItsOwnTables', { file: 'core/src/accounts/user.ts', text: `db.selectFrom('patients')` }],
    ['queriesItsOwnTables', { file: 'core/src/care/record.ts', text: 'sql`select 1 from users`' }],
    ['webKnowsFacesOnly', { file: 'web/src/server.ts', text: `import { x } from '../../core/src/care/record.ts';` }],
    ['asksInOnePlace', { file: 'core/src/care.ts', text: 'const now = Temporal.Now.instant();' }],
    ['asksInOnePlace', { file: 'web/src/server.ts', text: `process.env['PORT']` }],
    ['isNamedAfterItsConcept', { file: 'core/src/care/utils.ts', text: '' }],
    ['isNamedAfterItsConcept', { file: 'core/src/care/PatientRecord.ts', text: '' }],
    ['exportsNothingByDefault', { file: 'core/src/care.ts', text: 'export default 1;' }],
  ];
  for (const [name, source] of BREAKS) {
    test(`${name} catches ${source.file} with ${JSON.stringify(source.text.slice(0, 50))}`, () => {
      assert.equal(RULES[name](source).length, 1);
    });
  }
});
