import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as audit from '#audit';
import * as care from '#care';
import { Forbidden, InvalidInput } from '#platform/errors';
import type { Scope } from '#platform/scope';
import { aPatient } from './support/patients.ts';
import { actor, as, sandboxed } from './support/testing.ts';

/** Creates patients of these names, "First/Last" or "First/Last/1980-01-02", in this order. */
async function named(scope: Scope, ...names: string[]): Promise<void> {
  for (const name of names) {
    const [firstName = '', lastName = '', dateOfBirth] = name.split('/');
    await care.createPatient(scope, { firstName, lastName, dateOfBirth });
  }
}

async function search(scope: Scope, query: string): Promise<string[]> {
  const { items } = await care.searchPatients(scope, { query, first: 100 });
  return items.map(({ node }) => `${node.firstName} ${node.lastName}`);
}

async function everyPage(scope: Scope, query: string, first: number): Promise<string[]> {
  const found: string[] = [];
  for (let after: string | null = null; ;) {
    const page: Awaited<ReturnType<typeof care.searchPatients>> = await care.searchPatients(scope, {
      query,
      first,
      after,
    });
    found.push(...page.items.map(({ node }) => `${node.firstName} ${node.lastName}`));
    if (!page.hasNextPage) return found;
    after = page.items.at(-1)?.cursor ?? assert.fail('a page without an end');
  }
}

describe('searchPatients', () => {
  test(
    'finds names that begin with a single Han character, and wants two letters of any other script',
    sandboxed(async (scope) => {
      await named(scope, '小明/李', '李娜/王', 'Jo/Li', '明/歐陽');
      assert.deepEqual((await search(scope, '李')).toSorted(), ['小明 李', '李娜 王']);
      assert.deepEqual(await search(scope, '李 小'), ['小明 李']);
      assert.deepEqual(await search(scope, '歐'), ['明 歐陽']);
      assert.deepEqual(await search(scope, '陽'), []);
      for (const query of ['l', 'é', 'り']) await assert.rejects(search(scope, query), InvalidInput);
    }),
  );

  const NAMES = [
    "José/O'Brien/1980-01-02",
    'Mary Jane/Smith-Jones',
    'Karl-Heinz/Müßig',
    'Øystein/De La Cruz',
    'Łucja/Nguyễn',
    'Anna/Annabel',
  ];
  for (const [query, ...found] of [
    ['jose', "José O'Brien"],
    ['JOSÉ', "José O'Brien"],
    ["o'b", "José O'Brien"],
    ['O’Brien', "José O'Brien"],
    ['ob', "José O'Brien"],
    ['o b', "José O'Brien"],
    ['o brien jo', "José O'Brien"],
    ['obri jos', "José O'Brien"],
    ['jo ob', "José O'Brien"],
    ['brien j'],
    ['josef'],
    ['jose jose'],
    ['mary', 'Mary Jane Smith-Jones'],
    ['jane', 'Mary Jane Smith-Jones'],
    ['maryjane', 'Mary Jane Smith-Jones'],
    ['jones', 'Mary Jane Smith-Jones'],
    ['smith-jo', 'Mary Jane Smith-Jones'],
    ['smithjones', 'Mary Jane Smith-Jones'],
    ['jones ja smi', 'Mary Jane Smith-Jones'],
    ['smith smith'],
    ['mussig', 'Karl-Heinz Müßig'],
    ['karlheinz', 'Karl-Heinz Müßig'],
    ['oystein delacruz', 'Øystein De La Cruz'],
    ['de la cru', 'Øystein De La Cruz'],
    ['dela', 'Øystein De La Cruz'],
    ['lucja nguyen', 'Łucja Nguyễn'],
    ['annab an', 'Anna Annabel'],
    ['annab annab'],
    ['jo 1980-01-02', "José O'Brien"],
    ['1980-01-02 ob', "José O'Brien"],
    ['o j 1980-01-02', "José O'Brien"],
    ['jo 1980-01-03'],
    ['smith 1980-01-02'],
  ] as const) {
    test(
      `finds ${found.join() || 'nobody'} by ${query}`,
      sandboxed(async (scope) => {
        await named(scope, ...NAMES);
        assert.deepEqual(await search(scope, query), found);
      }),
    );
  }

  for (const [region, query, found] of [
    ['US', 'may roberts 07/03/2009', 'May July'],
    ['US', '7/3/2009 may', 'May July'],
    ['US', 'may 7-3-2009', 'May July'],
    ['US', 'may 3.7.2009', 'May July'],
    ['DE', 'may roberts 07/03/2009', 'May March'],
    ['GB', 'may 07-03-2009', 'May March'],
    ['DE', 'may 7.3.2009', 'May March'],
    ['DE', 'may 2009-07-03', 'May July'],
  ] as const) {
    test(
      `reads the date in ${query} as it is meant in ${region}`,
      sandboxed(async (scope) => {
        await named(scope, 'May July/Roberts/2009-07-03', 'May March/Roberts/2009-03-07', 'May/Roberts');
        const there = { ...scope, clinic: { ...scope.clinic, region } };
        assert.deepEqual(await search(there, query), [`${found} Roberts`]);
      }),
    );
  }

  for (const [query, expected] of [
    ['may 13/25/2009', /^expected at most one date of birth, such as 1980-03-08 or 03\/08\/1980$/],
    ['may 07/03/2009 2009-07-03', /^expected at most one date of birth/],
    ['may 7/3/09', /^expected names, and digits only as a date of birth such as 1980-03-08 or 03\/08\/1980$/],
    ['may 2009', /^expected names/],
    ['2125550123', /^expected names/],
    ['may 07/03/20091', /^expected names/],
  ] as const) {
    test(
      `says what is expected instead of ${query}`,
      sandboxed(async (scope) => {
        await assert.rejects(search(scope, query), (error) => {
          assert.ok(error instanceof InvalidInput);
          return expected.test(error.issues[0]?.message ?? '');
        });
      }),
    );
  }

  test(
    'goes by the sound only when nobody is spelled so',
    sandboxed(async (scope) => {
      await named(scope, 'Catherine/Schmidt', 'John/Smith', 'Stephen/Philips');
      assert.deepEqual(await search(scope, 'smyth'), ['John Smith', 'Catherine Schmidt']);
      assert.deepEqual(await search(scope, 'kathryn schmitt'), ['Catherine Schmidt']);
      assert.deepEqual(await search(scope, 'fillips steven'), ['Stephen Philips']);
      assert.deepEqual(await search(scope, 'jon smyth'), ['John Smith']);
      assert.deepEqual(await search(scope, 'jo smyth'), ['John Smith']);
      assert.deepEqual(await search(scope, 'jane smyth'), ['John Smith']);
      await named(scope, 'Jane/Smyth');
      assert.deepEqual(await search(scope, 'smyth'), ['Jane Smyth']);
    }),
  );

  test(
    'finds each word of the query a word of its own, also where earlier words must make room',
    sandboxed(async (scope) => {
      await named(scope, 'Ann Anna/Annabel', 'Anna/Berg');
      assert.deepEqual(await search(scope, 'an anna annabel'), ['Ann Anna Annabel']);
      assert.deepEqual(await search(scope, 'annabel ann an an'), []);
    }),
  );

  test(
    'does not try every order in which many like words could fit, which would take days',
    sandboxed(async (scope) => {
      await named(scope, `${'qk '.repeat(14)}qkbbc/${'qk '.repeat(14)}`);
      assert.deepEqual(await search(scope, `${'qk '.repeat(7)}qkbbz`), []);
      assert.equal((await search(scope, `${'qk '.repeat(7)}qkbbc`)).length, 1);
    }),
  );

  test(
    'shows every match once, the newest first, page by page',
    sandboxed(async (scope) => {
      const names = Array.from({ length: 23 }, (_, i) => `Ann${String.fromCharCode(97 + i)}/Lee`);
      await named(scope, ...names, 'Bob/Lee', 'Ann/Kim');
      const newestFirst = ['Ann Kim', ...names.toReversed().map((name) => name.replace('/', ' '))];
      for (const first of [1, 4, 24, 25]) assert.deepEqual(await everyPage(scope, 'ann', first), newestFirst);
      assert.deepEqual(await everyPage(scope, 'le an', 5), newestFirst.slice(1));
      assert.equal((await care.searchPatients(scope, { query: 'ann', first: 24 })).hasNextPage, false);
    }),
  );

  test(
    'keeps a page where it is while patients come, change and go',
    sandboxed(async (scope) => {
      await named(scope, ...Array.from({ length: 9 }, (_, i) => `Ann${'abcdefghi'.charAt(i)}/Lee`));
      const page = await care.searchPatients(scope, { query: 'ann', first: 3 });
      assert.deepEqual(
        page.items.map(({ node }) => node.firstName),
        ['Anni', 'Annh', 'Anng'],
      );
      const [gone, renamed] = (await care.searchPatients(scope, { query: 'annf le' })).items
        .concat((await care.searchPatients(scope, { query: 'anne le' })).items)
        .map(({ node }) => node.id) as [string, string];
      await care.deletePatient(scope, gone);
      await care.updatePatient(scope, renamed, { firstName: 'Zoe' });
      await named(scope, 'Annz/Lee');
      const next = await care.searchPatients(scope, { query: 'ann', first: 3, after: page.items[2]?.cursor });
      assert.deepEqual(
        next.items.map(({ node }) => node.firstName),
        ['Annd', 'Annc', 'Annb'],
      );
    }),
  );

  test(
    'knows a renamed patient by the new name alone, and once even when the old name comes back',
    sandboxed(async (scope) => {
      const { id } = await care.createPatient(scope, aPatient({ firstName: 'John', lastName: 'Smith' }));
      await care.updatePatient(scope, id, { lastName: 'Miller' });
      assert.deepEqual(await search(scope, 'smith'), []);
      assert.deepEqual(await search(scope, 'john'), ['John Miller']);
      await care.updatePatient(scope, id, { lastName: 'Smith' });
      assert.deepEqual(await search(scope, 'smith'), ['John Smith']);
      assert.deepEqual(await search(scope, 'john'), ['John Smith']);
      await care.updatePatient(scope, id, { dateOfBirth: '1990-05-05' });
      assert.deepEqual(await search(scope, 'john 1990-05-05'), ['John Smith']);
    }),
  );

  for (const query of [
    '',
    ' ',
    'a',
    "'",
    '1980-01-02',
    'a 1980-01-02',
    'ann 1980-13-02',
    'ann 1980-01-02 1980-01-03',
    'x '.repeat(9),
    'y'.repeat(201),
  ]) {
    test(
      `refuses ${query.trim().slice(0, 30) || 'nothing'}`,
      sandboxed(async (scope) => {
        await assert.rejects(care.searchPatients(scope, { query }), (error) => {
          return error instanceof InvalidInput && error.issues[0]?.path[0] === 'query';
        });
      }),
    );
  }

  test(
    'refuses a cursor that is none, and does not go astray with a forged one',
    sandboxed(async (scope) => {
      await named(scope, 'Ann/Lee');
      const forged = (...key: unknown[]) => Buffer.from(JSON.stringify(key)).toString('base64url');
      for (const after of ['x', forged('a'), forged(0, 0, 0, 0, -1), forged(0, 2, 0, 0, 1)]) {
        await assert.rejects(care.searchPatients(scope, { query: 'ann', after }), InvalidInput);
      }
      for (const after of [forged(0, 0, 0, 0, 2 ** 50), forged(0, 0, 99, 99, 1), forged(0, 0, 0, 99, 5)]) {
        assert.ok((await care.searchPatients(scope, { query: 'ann', after })).items.length <= 1);
      }
      await assert.rejects(
        care.searchPatients(scope, { query: 'ann', after: forged(7, 0, 0, 0, 1) }),
        care.SearchExpired,
      );
    }),
  );

  test(
    'is on record with the ids and without the query',
    sandboxed(async (scope) => {
      const { id } = await care.createPatient(scope, aPatient({ firstName: 'Ann' }));
      await care.searchPatients(scope, { query: 'annmary' });
      await care.searchPatients(scope, { query: 'ann' });
      const { items } = await audit.list(as(scope, 'auditor'), { action: 'patient.search' });
      assert.deepEqual(
        items.map(({ node }) => node.resourceIds),
        [[id], []],
      );
      assert.ok(!JSON.stringify(items).toLowerCase().includes('ann'));
    }),
  );

  test(
    'is for staff',
    sandboxed(async (scope) => {
      for (const who of [actor('patient', { patientId: actor('agent').id }), actor('auditor')]) {
        await assert.rejects(care.searchPatients(as(scope, who), { query: 'ann' }), Forbidden);
      }
    }),
  );
});
