import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { sql } from 'kysely';
import { NotFound } from '#platform/errors';
import { type Role, type Scope, transact } from '#platform/scope';
import * as scheduling from '#scheduling';
import { fhirPractitioner, fhirRole, imported, specialityOf } from './support/fhir.ts';
import { as, sandboxed } from './support/testing.ts';

/** One provider with one role, unless told otherwise. */
async function addProvider(
  scope: Scope,
  externalId: string,
  more: Partial<scheduling.ImportedProvider & scheduling.ImportedProviderRole> = {},
): Promise<string> {
  const system = as(scope, 'system');
  const provider = { externalId, name: 'Dr. Lee Okafor', knownAs: [`Practitioner/${externalId}`], ...more };
  const [added] = await scheduling.importProviders(system, [provider]);
  const role = { externalId: `${externalId}-role`, provider: `Practitioner/${externalId}`, ...more };
  const [outcome] = await scheduling.importProviderRoles(system, [{ ...role, externalId: `${externalId}-role` }]);
  assert.ok(added && added.outcome !== 'refused' && outcome?.outcome !== 'refused', JSON.stringify([added, outcome]));
  return added.id;
}

const namesOf = async (scope: Scope, list: scheduling.ProviderList) =>
  (await scheduling.providers(scope, list)).items.map(({ node }) => node.name);

describe('providers', () => {
  test(
    'come by name, page by page, each once',
    sandboxed(async (scope) => {
      for (const [i, name] of ['Cid', 'Ana', 'Ben', 'Ana', 'Dora'].entries())
        await addProvider(scope, `p${i}`, { name });
      const seen: string[] = [];
      for (let after: string | null = null; ;) {
        const page: Awaited<ReturnType<typeof scheduling.providers>> = await scheduling.providers(scope, {
          first: 2,
          after,
        });
        seen.push(...page.items.map(({ node }) => node.name));
        after = page.items.at(-1)?.cursor ?? null;
        if (!page.hasNextPage) break;
      }
      assert.deepEqual(seen, ['Ana', 'Ana', 'Ben', 'Cid', 'Dora']);
    }),
  );

  test(
    'are found by the first letters of their names, in any order, whatever case, accent or apostrophe',
    sandboxed(async (scope) => {
      await addProvider(scope, 'a', { name: 'Dr. María-José O’Keefe' });
      await addProvider(scope, 'b', { name: 'Dr. Mark Okafor' });
      await addProvider(scope, 'c', { name: '100% Care_Team' });
      for (const search of ['okee', "O'K maria", 'jose', 'MAR OKEEFE', 'dr jo']) {
        assert.deepEqual(await namesOf(scope, { search }), ['Dr. María-José O’Keefe'], search);
      }
      assert.equal((await namesOf(scope, { search: 'mar' })).length, 2);
      assert.equal((await namesOf(scope, { search: '%' })).length, 3);
      assert.deepEqual(await namesOf(scope, { search: 'efe' }), []);
      assert.deepEqual(await namesOf(scope, { search: 'care_t' }), ['100% Care_Team']);
    }),
  );

  test(
    'of a service are those whose active role offers it',
    sandboxed(async (scope) => {
      await addProvider(scope, 'doctor', { name: 'Doctor', specialityCode: '208D00000X' });
      await addProvider(scope, 'surgeon', { name: 'Surgeon', specialityCode: '208600000X' });
      await addProvider(scope, 'driver', { name: 'Driver', specialityCode: '343900000X' });
      await addProvider(scope, 'cook', { name: 'Cook', specialityCode: '332U00000X' });
      await addProvider(scope, 'other', { name: 'Other', specialityCode: '999X00000X' });
      await addProvider(scope, 'own', { name: 'Own', specialityCode: '999X00000X', services: ['WELLNESS_CHECK'] });
      const expected = {
        HOME_VISIT: ['Doctor'],
        TELEHEALTH: ['Doctor', 'Surgeon'],
        TRANSPORTATION: ['Driver'],
        MEAL_DELIVERY: ['Cook'],
        WELLNESS_CHECK: ['Doctor', 'Own'],
      };
      for (const service of scheduling.CARE_SERVICES) {
        assert.deepEqual(await namesOf(scope, { service }), expected[service], service);
      }
      assert.equal((await namesOf(scope, {})).length, 6);
      const role = { externalId: 'driver-role', provider: 'Practitioner/driver', specialityCode: '343900000X' };
      await scheduling.importProviderRoles(as(scope, 'admin'), [{ ...role, active: false }]);
      assert.deepEqual(await namesOf(scope, { service: 'TRANSPORTATION' }), []);
    }),
  );

  test(
    'that are not active are in no list; staff still find them by id, patients do not',
    sandboxed(async (scope) => {
      const id = await addProvider(scope, 'gone', { active: false });
      assert.deepEqual(await namesOf(scope, {}), []);
      assert.equal((await scheduling.getProvider(scope, id)).active, false);
      await assert.rejects(scheduling.getProvider(as(scope, 'patient'), id), NotFound);
    }),
  );
});

describe('getProvider and providersByIds', () => {
  test(
    'tell what the first active role adds, and the services of all',
    sandboxed(async (scope) => {
      const system = as(scope, 'system');
      await scheduling.importOrganizations(system, [{ externalId: 'o', name: 'House', knownAs: ['Organization/o'] }]);
      await scheduling.importLocations(system, [
        {
          externalId: 'l',
          name: 'Room',
          knownAs: ['Location/l'],
          organization: 'Organization/o',
          timeZone: 'America/Denver',
        },
      ]);
      const id = await addProvider(scope, 'p', {
        specialityCode: '208D00000X',
        speciality: 'General Practice',
        organization: 'Organization/o',
        location: 'Location/l',
        timeZone: 'America/Chicago',
        phone: '+12125550101',
      });
      await scheduling.importProviderRoles(system, [
        { externalId: 'q', provider: 'Practitioner/p', specialityCode: '172A00000X', speciality: 'Driver' },
      ]);
      const provider = await scheduling.getProvider(scope, id);
      assert.deepEqual(
        [provider.speciality, provider.organization?.name, provider.location?.name, provider.timeZone, provider.phone],
        ['General Practice', 'House', 'Room', 'America/Denver', '+12125550101'],
      );
      assert.deepEqual(provider.services, ['HOME_VISIT', 'TELEHEALTH', 'TRANSPORTATION', 'WELLNESS_CHECK']);
    }),
  );

  test(
    'know nothing of other ids',
    sandboxed(async (scope) => {
      const id = await addProvider(scope, 'p');
      const found = await scheduling.providersByIds(scope, [id, crypto.randomUUID(), 'no-id']);
      assert.deepEqual([...found.keys()], [id]);
      for (const unknown of [crypto.randomUUID(), 'no-id']) {
        await assert.rejects(scheduling.getProvider(scope, unknown), NotFound);
      }
    }),
  );

  test(
    'give a provider without a known place the zone of the clinic',
    sandboxed(async (scope) => {
      assert.equal((await scheduling.getProvider(scope, await addProvider(scope, 'p'))).timeZone, 'America/New_York');
    }),
  );
});

describe('imports into the directory', () => {
  test(
    'refuse a bad record by itself, and say every issue',
    sandboxed(async (scope) => {
      const outcomes = await scheduling.importProviders(as(scope, 'system'), [
        { externalId: 'a', name: 'A' },
        { externalId: 'b', name: ' ', phone: '123', timeZone: 'EST', email: 'none' },
        { externalId: 'a', name: 'A again' },
      ]);
      assert.deepEqual(
        outcomes.map((outcome) => ('issues' in outcome ? outcome.issues.map(({ path }) => path[0]) : outcome.outcome)),
        ['created', ['name', 'phone', 'email', 'timeZone'], ['externalId']],
      );
    }),
  );

  test(
    'refuse a reference to nobody known',
    sandboxed(async (scope) => {
      const [outcome] = await scheduling.importProviderRoles(as(scope, 'system'), [
        { externalId: 'r', provider: 'Practitioner/unknown', organization: 'Organization/unknown' },
      ]);
      assert.ok(outcome && 'issues' in outcome);
      assert.match(outcome.issues[0]?.message ?? '', /reference/);
    }),
  );

  test(
    'are on record and told as events, and only when something changes',
    sandboxed(async (scope) => {
      const system = as(scope, 'system');
      const traces = () =>
        transact(system, async ({ db }) => {
          const { rows: events } = await sql<{ topic: string; payload: object }>`
            select topic, payload from events order by id`.execute(db);
          const { rows: audit } = await sql<{ action: string; resource_ids: string[] }>`
            select action, resource_ids from audit_entries where action like '%.import' order by id`.execute(db);
          return { events, audit };
        });
      const organization = {
        externalId: 'o',
        name: 'House',
        address: { lines: ['1 Main St'], city: null, state: 'KS' },
      };
      const [created] = await scheduling.importOrganizations(system, [organization]);
      await scheduling.importOrganizations(system, [organization]);
      await scheduling.importOrganizations(system, [{ ...organization, name: 'Other house' }]);
      assert.ok(created && 'id' in created);
      const payload = { organizationId: created.id };
      assert.deepEqual(await traces(), {
        events: [
          { topic: 'organization.created', payload },
          { topic: 'organization.updated', payload },
        ],
        audit: Array.from({ length: 2 }, () => ({ action: 'organization.import', resource_ids: [created.id] })),
      });
    }),
  );
});

describe('a practitioner in a FHIR export', () => {
  test(
    'is known by NPI, keeps the title, and is found by literal, conditional and logical references',
    sandboxed(async (scope) => {
      const npi = { system: 'http://hl7.org/fhir/sid/us-npi', value: '9999992198' };
      const organization = { system: 'urn:oid:1.2.3', value: 'H 7' };
      const references = [
        { reference: 'Practitioner/p1' },
        { reference: 'https://fhir.example.test/r4/Practitioner/p1/_history/3' },
        { reference: 'urn:uuid:p1' },
        { reference: `Practitioner?identifier=${encodeURIComponent('http://hl7.org/fhir/sid/us-npi|9999992198')}` },
        { identifier: npi },
      ];
      const { counts, findings } = await imported(scope, {
        'Organization.ndjson': [{ resourceType: 'Organization', id: 'o1', name: 'House', identifier: [organization] }],
        'Practitioner.ndjson': [
          fhirPractitioner('p1', {
            identifier: [{ system: 'urn:other', value: '1' }, npi],
            name: [{ family: 'Bergstrom287', given: ['Randy380'], prefix: ['Dr.'], suffix: ['MD'] }],
          }),
        ],
        'PractitionerRole.ndjson': references.map((practitioner, i) =>
          fhirRole(`r${i}`, '', {
            practitioner,
            organization: { identifier: organization },
            ...specialityOf('207Q00000X'),
          }),
        ),
      });
      assert.deepEqual(findings, []);
      assert.equal(counts.PractitionerRole.created, references.length);
      const { items } = await scheduling.providers(scope);
      assert.equal(items.length, 1);
      const provider = items[0]?.node;
      assert.deepEqual(
        [provider?.name, provider?.externalId, provider?.organization?.name, provider?.specialityCode],
        ['Dr. Randy Bergstrom MD', '9999992198', 'House', '207Q00000X'],
      );
    }),
  );

  test(
    'without an NPI that is one is known by id; an unknown place of work is left out, an unknown practitioner refused',
    sandboxed(async (scope) => {
      const { findings, counts } = await imported(scope, {
        'Practitioner.ndjson': [
          fhirPractitioner('p1', { identifier: [{ system: 'http://hl7.org/fhir/sid/us-npi', value: '12' }] }),
        ],
        'PractitionerRole.ndjson': [
          fhirRole('r1', 'p1', { organization: { reference: 'Organization/none' }, location: [{ reference: '#1' }] }),
          fhirRole('r2', 'p2'),
          fhirRole('r3', '', { practitioner: undefined }),
        ],
      });
      assert.deepEqual([counts.PractitionerRole.created, counts.PractitionerRole.refused], [1, 2]);
      const told = findings.map(
        ({ file, line, kind, issues }) => `${file}:${line} ${kind} ${issues.map(({ path }) => path).join()}`,
      );
      assert.deepEqual(told.toSorted(), [
        'Practitioner.ndjson:1 warning Practitioner.identifier[0].value',
        'PractitionerRole.ndjson:1 warning PractitionerRole.organization,PractitionerRole.location[0]',
        'PractitionerRole.ndjson:2 refused PractitionerRole.practitioner',
        'PractitionerRole.ndjson:3 refused PractitionerRole.practitioner',
      ]);
      assert.equal((await scheduling.providers(scope)).items[0]?.node.externalId, 'p1');
    }),
  );

  test(
    'has the zone of the place of work before that of the own address',
    sandboxed(async (scope) => {
      await imported(scope, {
        'Location.ndjson': [{ resourceType: 'Location', id: 'l', name: 'Room', address: { state: 'Colorado' } }],
        'Practitioner.ndjson': [
          fhirPractitioner('a', { address: [{ state: 'KS' }] }),
          fhirPractitioner('b', { address: [{ state: 'CA' }] }),
        ],
        'PractitionerRole.ndjson': [fhirRole('r', 'a', { location: [{ reference: 'Location/l' }] })],
      });
      const { items } = await scheduling.providers(scope);
      const zones = Object.fromEntries(items.map(({ node }) => [node.externalId, node.timeZone]));
      assert.deepEqual(zones, { a: 'America/Denver', b: 'America/Los_Angeles' });
    }),
  );

  test(
    'loses what Windows’ characters became on the way, and gets them back',
    sandboxed(async (scope) => {
      const house = { resourceType: 'Organization', id: 'o', name: 'SAINT LUKE\u0092S' };
      const { counts } = await imported(scope, {
        'Organization.ndjson': [house],
        'Practitioner.ndjson': [fhirPractitioner('p')],
        'PractitionerRole.ndjson': [fhirRole('r', 'p', { organization: { reference: 'Organization/o' } })],
      });
      assert.equal(counts.Organization.created, 1);
      assert.equal((await scheduling.providers(scope)).items[0]?.node.organization?.name, 'SAINT LUKE’S');
    }),
  );
});

describe('who may do what in the directory', () => {
  const TABLES = ['organizations', 'locations', 'providers', 'provider_roles'] as const;
  /** Rows out of two, of which one is active; what the database lets each role do when the code's checks are gone. */
  const MATRIX: Record<Role, { select: number | null; insert: boolean; update: number | null; delete: number | null }> =
    {
      admin: { select: 2, insert: true, update: 2, delete: null },
      system: { select: 2, insert: true, update: 2, delete: null },
      agent: { select: 2, insert: false, update: 0, delete: null },
      patient: { select: 1, insert: false, update: null, delete: null },
      auditor: { select: null, insert: false, update: null, delete: null },
    };

  for (const [role, may] of Object.entries(MATRIX)) {
    test(
      `${role}: table by table and verb by verb, in the database itself`,
      sandboxed(async (scope) => {
        await fillTwice(scope);
        for (const table of TABLES) {
          const attempt = (text: string) => rowsOf(as(scope, role as Role), text);
          assert.equal(await attempt(`select from ${table}`), may.select, `select ${table}`);
          assert.equal(await attempt(`update ${table} set active = active`), may.update, `update ${table}`);
          assert.equal(await attempt(`delete from ${table}`), may.delete, `delete ${table}`);
          assert.equal((await attempt(insertInto(table))) === 1, may.insert, `insert ${table}`);
        }
      }),
    );
  }

  test(
    'the code says the same: auditors read nothing, only admins and the system write',
    sandboxed(async (scope) => {
      const record = [{ externalId: 'x', name: 'X' }];
      for (const role of ['agent', 'patient', 'auditor'] as const) {
        await assert.rejects(scheduling.importOrganizations(as(scope, role), record), { code: 'FORBIDDEN' });
      }
      await scheduling.importOrganizations(as(scope, 'admin'), record);
      await assert.rejects(scheduling.providers(as(scope, 'auditor')), { code: 'FORBIDDEN' });
      await assert.rejects(scheduling.providersByIds(as(scope, 'auditor'), []), { code: 'FORBIDDEN' });
      assert.deepEqual((await scheduling.providers(as(scope, 'patient'))).items, []);
    }),
  );

  async function fillTwice(scope: Scope): Promise<void> {
    for (const active of [true, false]) {
      const externalId = `row-${String(active)}`;
      const row = { externalId, name: 'Row', active };
      await scheduling.importOrganizations(as(scope, 'system'), [row]);
      await scheduling.importLocations(as(scope, 'system'), [row]);
      await addProvider(scope, externalId, { active });
    }
  }

  const COPIED = {
    organizations: 'known_as, name',
    locations: 'known_as, name',
    providers: 'known_as, name, name_key, time_zone',
    provider_roles: 'provider_id, services',
  };

  function insertInto(table: (typeof TABLES)[number]): string {
    const columns = `${COPIED[table]}, active, created_at, updated_at`;
    return `insert into ${table} (id, external_id, ${columns})
      select gen_random_uuid(), 'copy', ${columns} from ${table} limit 1`;
  }

  /** How many rows a statement reached; null when it is refused. */
  async function rowsOf(scope: Scope, text: string): Promise<number | null> {
    try {
      return await transact(scope, async ({ db }) => {
        const { rows, numAffectedRows } = await sql.raw(text).execute(db);
        return Number(numAffectedRows ?? rows.length);
      });
    } catch (thrown) {
      assert.match((thrown as Error).message, /permission denied|row-level security/);
      return null;
    }
  }
});
