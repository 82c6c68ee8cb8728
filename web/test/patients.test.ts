import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { dataOf, useApi } from './support/api.ts';

const api = useApi();
const CREATE = `mutation($input: CreatePatientInput!, $key: String) { createPatient(input: $input, idempotencyKey: $key) {
  __typename ... on Patient { id firstName lastName email phone dateOfBirth timeZone version }
  ... on InvalidInput { issues { path message } } ... on Problem { code message } } }`;

interface Created {
  readonly __typename: string;
  readonly id: string;
  readonly version: number;
  readonly code?: string;
}
let count = 0;

async function create(input: object = {}, key?: string): Promise<Created> {
  const patient = { firstName: 'Ida', lastName: `Lovelace ${++count}`, ...input };
  return dataOf(await api.graphql(CREATE, { input: patient, key }, { as: 'agent' }), 'createPatient');
}

const asAgent = (query: string, variables: object = {}) => api.graphql(query, variables, { as: 'agent' });

describe('createPatient', () => {
  test('normalises what it is given', async () => {
    const created = await create({
      firstName: ' José ',
      email: ' JOSE@Example.com ',
      phone: '(212) 555-0123',
      dateOfBirth: '1980-03-08',
    });
    assert.deepEqual(
      { ...created, id: '', lastName: '' },
      {
        __typename: 'Patient',
        id: '',
        firstName: 'José',
        lastName: '',
        email: 'jose@example.com',
        phone: '+12125550123',
        dateOfBirth: '1980-03-08',
        timeZone: 'America/New_York',
        version: 1,
      },
    );
  });

  test('reports every issue with its path, as data', async () => {
    const refused = await create({
      firstName: '',
      email: 'nobody',
      phone: '12',
      timeZone: 'EST',
      preferences: { channels: ['SMS'], quietHours: { from: '25:00', to: '9' } },
    });
    const { issues } = refused as unknown as { issues: { path: string[] }[] };
    assert.equal(refused.code, 'INVALID_INPUT');
    assert.deepEqual(issues.map(({ path }) => path.join('.')).toSorted(), [
      'email',
      'firstName',
      'phone',
      'preferences.quietHours.from',
      'preferences.quietHours.to',
      'timeZone',
    ]);
  });

  test('gives the first answer again for the same key, and refuses another input', async () => {
    const input = { lastName: 'Same' };
    const [first, second] = [await create(input, 'once'), await create(input, 'once')];
    assert.equal(first.id, second.id);
    assert.equal((await create({ lastName: 'Other' }, 'once')).code, 'IDEMPOTENCY_MISMATCH');
  });

  test('refuses an e-mail address that another patient has', async () => {
    await create({ email: 'taken@example.com' });
    assert.deepEqual((await create({ email: 'TAKEN@example.com' })).__typename, 'EmailTaken');
  });
});

describe('updatePatient', () => {
  const UPDATE = `mutation($id: ID!, $input: UpdatePatientInput!, $version: Int) { updatePatient(id: $id, input: $input, version: $version) {
    __typename ... on Patient { lastName email version } ... on StalePatient { currentVersion } } }`;

  test('changes what is named, clears what is null, and leaves the rest', async () => {
    const { id } = await create({ email: 'before@example.com' });
    const answer = await asAgent(UPDATE, { id, input: { lastName: 'Byron', email: null } });
    assert.deepEqual(dataOf(answer, 'updatePatient'), {
      __typename: 'Patient',
      lastName: 'Byron',
      email: null,
      version: 2,
    });
  });

  test('refuses to overwrite what somebody else changed meanwhile', async () => {
    const { id } = await create();
    await asAgent(UPDATE, { id, input: { language: 'es' } });
    const answer = await asAgent(UPDATE, { id, input: { language: 'fr' }, version: 1 });
    assert.deepEqual(dataOf(answer, 'updatePatient'), { __typename: 'StalePatient', currentVersion: 2 });
  });
});

describe('deletePatient, restorePatient, erasePatient', () => {
  const act = async (name: string, id: string, as: 'agent' | 'admin' = 'agent') =>
    dataOf<{ __typename: string }>(
      await api.graphql(`mutation($id: ID!) { ${name}(id: $id) { __typename } }`, { id }, { as }),
      name,
    ).__typename;
  const find = async (id: string) =>
    dataOf(await asAgent('query($id: ID!) { patient(id: $id) { id } }', { id }), 'patient');

  test('take away, bring back, and destroy for good', async () => {
    const { id } = await create();
    assert.equal(await act('deletePatient', id), 'Patient');
    assert.equal(await find(id), null);
    assert.equal(await act('restorePatient', id), 'Patient');
    assert.deepEqual(await find(id), { id });
    assert.equal(await act('erasePatient', id, 'admin'), 'Done');
    assert.equal(await find(id), null);
    assert.equal(await act('restorePatient', id), 'NotFound');
  });
});

describe('a list', () => {
  const PAGE = `query($first: Int, $after: String) { patients(first: $first, after: $after) {
    pageInfo { hasNextPage endCursor } edges { cursor node { id } } } }`;
  interface Page {
    readonly pageInfo: { hasNextPage: boolean; endCursor: string | null };
    readonly edges: { cursor: string; node: { id: string } }[];
  }
  const page = async (variables: object) => dataOf<Page>(await asAgent(PAGE, variables), 'patients');

  test('is walked to its end by cursor, each once, while others come and go', async () => {
    const made: string[] = [];
    for (let i = 0; i < 7; i++) made.push((await create()).id);
    const seen: string[] = [];
    for (let after: string | null = null; ;) {
      const { edges, pageInfo }: Page = await page({ first: 3, after });
      seen.push(...edges.map(({ node }) => node.id));
      await asAgent('mutation($id: ID!) { deletePatient(id: $id) { __typename } }', { id: edges[0]?.node.id });
      if (!pageInfo.hasNextPage) break;
      after = pageInfo.endCursor;
    }
    assert.equal(new Set(seen).size, seen.length);
    assert.deepEqual(
      seen.filter((id) => made.includes(id)),
      made,
    );
  });

  test('refuses a cursor that is not one of its own, and a page of no size', async () => {
    const foreign = Buffer.from(JSON.stringify(['019f0000-0000-7000-8000-000000000001', 'x', 3])).toString('base64url');
    for (const after of [
      '',
      'nonsense',
      foreign,
      Buffer.from('{"$ne":1}').toString('base64url'),
      '🏃'.repeat(50),
      'x'.repeat(501),
    ]) {
      const { status, body } = await asAgent(PAGE, { after });
      assert.deepEqual([status, body.errors?.[0]?.extensions['code']], [200, 'BAD_USER_INPUT'], after);
    }
    for (const first of [0, -1, 101]) {
      const { body } = await asAgent(PAGE, { first });
      assert.deepEqual(body.errors?.[0]?.extensions['issues'], [
        { path: ['first'], message: first > 1 ? 'expected at most 100' : 'expected at least 1' },
      ]);
    }
  });
});

describe('search', () => {
  test('finds by first letters, and by phone and e-mail', async () => {
    const { id } = await create({
      firstName: 'Zoë',
      lastName: 'Quartermain',
      email: 'zoe@example.com',
      phone: '+12125550177',
    });
    const found = await asAgent(`{ searchPatients(query: "quart zo") { edges { node { id } } } }`);
    assert.deepEqual(dataOf(found, 'searchPatients'), { edges: [{ node: { id } }] });
    assert.deepEqual(dataOf(await asAgent('{ patientsByPhone(phone: "212 555 0177") { id } }'), 'patientsByPhone'), [
      { id },
    ]);
    assert.deepEqual(dataOf(await asAgent('{ patientByEmail(email: "ZOE@example.com") { id } }'), 'patientByEmail'), {
      id,
    });
  });
});

describe('what nobody would send', () => {
  const strange = [
    '\u0000',
    'a\u0000b',
    'x'.repeat(10_000),
    '\uD800',
    '‮evil',
    '%00',
    "'; drop table patients; --",
    '${7*7}',
    '../../etc/passwd',
  ];

  test('is refused or found nowhere, and never a fault', async () => {
    for (const text of strange) {
      for (const [query, variables] of [
        ['query($x: ID!) { patient(id: $x) { id } }', { x: text }],
        ['query($x: String!) { searchPatients(query: $x) { edges { cursor } } }', { x: text }],
        ['query($x: String!) { patientByEmail(email: $x) { id } }', { x: text }],
        ['query($x: String!) { patientsByPhone(phone: $x) { id } }', { x: text }],
        ['query($x: String) { patients(after: $x) { edges { cursor } } }', { x: text }],
        ['mutation($x: ID!) { deletePatient(id: $x) { __typename } }', { x: text }],
        [
          CREATE,
          {
            input: {
              firstName: text,
              lastName: text,
              email: text,
              phone: text,
              externalId: text,
              timeZone: text,
              language: text,
            },
          },
        ],
        [CREATE, { input: { firstName: 'A', lastName: 'B', externalId: text }, key: text }],
        ['mutation($x: String!) { login(email: $x, password: $x) { __typename } }', { x: text }],
      ] as const) {
        const { body } = await asAgent(query, variables);
        const codes = body.errors?.map(({ extensions }) => extensions['code']) ?? [];
        assert.ok(!codes.includes('INTERNAL'), `${JSON.stringify(text.slice(0, 20))} in ${query}`);
      }
    }
  });
});
