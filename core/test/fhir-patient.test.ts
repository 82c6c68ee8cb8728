import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as care from '#care';
import type { Scope } from '#platform/scope';
import { fhirPatient, imported } from './support/fhir.ts';
import { as, asSuperuser, committed, sandboxed } from './support/testing.ts';

interface Mapped extends care.Patient {
  readonly details: care.PatientDetails;
  /** `Patient.birthDate: left out: …` */
  readonly warnings: readonly string[];
}

/** What becomes of a patient in an export. */
async function mapped(scope: Scope, more: object, id = 'p'): Promise<Mapped> {
  const system = as(scope, 'system');
  const { findings } = await imported(scope, { 'Patient.ndjson': [fhirPatient(id, more)] });
  const warnings = findings.flatMap(({ issues }) => issues.map(({ path, message }) => `${path}: ${message}`));
  const patient = await care.findByExternalId(system, id);
  assert.ok(patient, `refused: ${warnings.join('; ')}`);
  return { ...patient, details: await care.patientDetails(system, patient.id), warnings };
}

/** A test for each case: what stands in the resource, and what of the patient follows. */
function cases(pick: (patient: Mapped) => unknown, table: Readonly<Record<string, readonly [object, unknown]>>): void {
  for (const [name, [more, expected]] of Object.entries(table)) {
    test(
      name,
      sandboxed(async (scope) => assert.deepEqual(pick(await mapped(scope, more)), expected)),
    );
  }
}

const named = (use: string | undefined, family: string, ...given: string[]) => ({
  ...(use ? { use } : {}),
  family,
  given,
});

describe('names', () => {
  cases(({ firstName, lastName }) => `${firstName} / ${lastName}`, {
    'the official name comes before all others': [
      { name: [named('maiden', 'Old', 'Ana'), named('usual', 'Short', 'Ana'), named('official', 'Right', 'Ana')] },
      'Ana / Right',
    ],
    'a name without a use comes before a nickname': [
      { name: [named('nickname', 'N', 'Annie'), named(undefined, 'Rivera', 'Ana')] },
      'Ana / Rivera',
    ],
    'a name that has ended gives way to one in use': [
      { name: [{ ...named('official', 'Before', 'Ana'), period: { end: '2020' } }, named('usual', 'Now', 'Ana')] },
      'Ana / Now',
    ],
    'a name without a part of it gives way to a whole one': [
      { name: [{ use: 'official', family: 'Rivera' }, named('usual', 'Rivera', 'Ana')] },
      'Ana / Rivera',
    ],
    'several given names stand together, prefix and suffix do not count': [
      { name: [{ ...named('official', 'Yundt', 'Donya', 'Mikaela'), prefix: ['Mrs.'], suffix: ['PhD'] }] },
      'Donya Mikaela / Yundt',
    ],
    'a null where an extension stands is passed over': [
      { name: [{ use: 'official', family: 'Rivera', given: [null, 'Ana'] }] },
      'Ana / Rivera',
    ],
    'the digits of Synthea go': [
      { name: [named('official', "O'Conner199", 'Donya787', 'Miguel Ángel46')] },
      "Donya Miguel Ángel / O'Conner",
    ],
    'other digits stay': [{ name: [named('official', 'Rivera3', 'Donya788', 'R2D2')] }, 'Donya788 R2D2 / Rivera3'],
  });
});

const phone = (value: string, more: object = {}) => ({ system: 'phone', value, ...more });

describe('phones and e-mail', () => {
  cases(({ phone, details }) => [phone, ...details.furtherPhones], {
    'a mobile comes before home, home before work': [
      {
        telecom: [
          phone('212-555-0101', { use: 'work' }),
          phone('212-555-0102', { use: 'home' }),
          phone('212-555-0103', { use: 'mobile' }),
        ],
      },
      ['+12125550103', '+12125550102', '+12125550101'],
    ],
    'rank decides among equals': [
      { telecom: [phone('212-555-0101', { use: 'home', rank: 2 }), phone('212-555-0102', { use: 'home', rank: 1 })] },
      ['+12125550102', '+12125550101'],
    ],
    'a number out of use, a fax and a repeated one do not count': [
      {
        telecom: [
          phone('212-555-0101', { use: 'old' }),
          phone('212-555-0102', { period: { end: '2026-03-01' } }),
          { system: 'fax', value: '212-555-0103' },
          phone('tel:+1-212-555-0104', { use: 'home', period: { end: '2026-03' } }),
          phone('(212) 555 0105', { use: 'work' }),
          phone('+1 212.555.0104', { use: 'work' }),
        ],
      },
      ['+12125550104', '+12125550105'],
    ],
    'an invented number of area code 555 counts': [
      { telecom: [phone('555-907-9875', { use: 'home' })] },
      ['+15559079875'],
    ],
    'an invalid mobile gives way to a valid home phone': [
      { telecom: [phone('123', { use: 'mobile' }), phone('212-555-0101', { use: 'home' })] },
      ['+12125550101'],
    ],
    'no telecom is no phone': [{}, [null]],
  });

  test(
    'a patient whose number is none is taken without it, and a warning says where it stands',
    sandboxed(async (scope) => {
      const { phone: number, warnings } = await mapped(scope, { telecom: [phone('none'), phone('99999999')] });
      assert.equal(number, null);
      assert.deepEqual(
        warnings,
        [0, 1].map((i) => `Patient.telecom[${i}].value: left out: expected a valid phone number`),
      );
    }),
  );

  test(
    'the first valid e-mail address counts, normalised',
    sandboxed(async (scope) => {
      const email = (value: string) => ({ system: 'email', value });
      const patient = await mapped(scope, { telecom: [email('not an address'), email(' Ana@Example.TEST ')] });
      assert.equal(patient.email, 'ana@example.test');
      assert.deepEqual(patient.warnings, ['Patient.telecom[0].value: left out: expected an e-mail address']);
    }),
  );

  test(
    'an address that is another patient’s is left out, again and again, and not the patient',
    sandboxed(async (scope) => {
      const more = { telecom: [{ system: 'email', value: 'family@example.test' }] };
      const lines = [fhirPatient('one', more), fhirPatient('two', more)];
      for (const outcome of ['created', 'unchanged'] as const) {
        const { counts, findings } = await imported(scope, { 'Patient.ndjson': lines });
        assert.deepEqual([counts.Patient[outcome], counts.Patient.warned], [2, 1]);
        assert.deepEqual(findings[0]?.issues, [
          { path: 'Patient.telecom[0].value', message: 'left out: another patient has this e-mail address' },
        ]);
      }
    }),
  );
});

describe('birth, death and status', () => {
  cases(({ status }) => status, {
    'a deceased patient is deceased': [{ deceasedBoolean: true }, 'DECEASED'],
    'so is one with a time of death': [{ deceasedDateTime: '1951-02-20T08:15:54-05:00', active: true }, 'DECEASED'],
    'so is one with a time of death that is not legible': [{ deceasedDateTime: 'last spring' }, 'DECEASED'],
    'one that is not deceased is active': [{ deceasedBoolean: false }, 'ACTIVE'],
    'one that is not active is inactive': [{ active: false }, 'INACTIVE'],
    'one that another record replaces is inactive': [{ link: [{ type: 'replaced-by' }] }, 'INACTIVE'],
    'one that replaces another is active': [{ link: [{ type: 'replaces' }] }, 'ACTIVE'],
  });

  test(
    'a year or a month of birth is left out with a warning',
    sandboxed(async (scope) => {
      for (const birthDate of ['1961', '1961-04']) {
        const { dateOfBirth, warnings } = await mapped(scope, { birthDate }, birthDate);
        assert.equal(dateOfBirth, null);
        assert.deepEqual(warnings, ['Patient.birthDate: left out: expected the day of birth too']);
      }
    }),
  );

  test(
    'a patient that replaces, or is replaced by, another one is reported',
    sandboxed(async (scope) => {
      const { warnings } = await mapped(scope, {
        link: [{ type: 'seealso' }, { type: 'replaced-by' }, { type: 'replaces' }],
      });
      assert.equal(warnings.length, 2);
      assert.match(warnings[0] ?? '', /^Patient\.link\[1\]: another record replaces this one/);
      assert.match(warnings[1] ?? '', /^Patient\.link\[2\]: this record replaces another one/);
    }),
  );

  test(
    'a death that the source takes back brings the patient back; a suspension stays',
    sandboxed(async (scope) => {
      assert.equal((await mapped(scope, { deceasedBoolean: true })).status, 'DECEASED');
      const { id, status } = await mapped(scope, { deceasedBoolean: false });
      assert.equal(status, 'ACTIVE');
      await care.updatePatient(scope, id, { status: 'SUSPENDED' });
      assert.equal((await mapped(scope, { birthDate: '1961-04-10' })).status, 'SUSPENDED');
      assert.equal((await mapped(scope, { active: false })).status, 'INACTIVE');
    }),
  );
});

const speaks = (code: string, more: object = {}) => ({
  language: { coding: [{ system: 'urn:ietf:bcp:47', code }] },
  ...more,
});

describe('languages', () => {
  cases(({ language, warnings }) => [language, ...warnings], {
    'the preferred one counts': [{ communication: [speaks('en-US'), speaks('es', { preferred: true })] }, ['es']],
    'else the first, in its canonical form': [{ communication: [speaks('ES-mx'), speaks('en')] }, ['es-MX']],
    'none is the default': [{}, ['en']],
    'one that is no code is left out': [
      { communication: [{ language: { text: 'Klingon' } }] },
      ['en', 'Patient.communication[0].language: left out: expected a BCP 47 code such as en or es-MX'],
    ],
  });
});

describe('addresses', () => {
  const home = { line: ['1 Main St', 'Apt 2'], city: 'Wichita', state: 'KS', postalCode: '67201', country: 'US' };

  cases(({ details }) => details.address, {
    'the home in use counts': [
      {
        address: [
          { use: 'old', city: 'Before' },
          { use: 'work', city: 'Office' },
          { use: 'home', ...home },
        ],
      },
      { lines: home.line, city: 'Wichita', state: 'KS', postalCode: '67201', country: 'US' },
    ],
    'an empty one is none': [{ address: [{ use: 'home', line: [' '] }] }, null],
    'one that is too long is left out': [{ address: [{ city: 'x'.repeat(201) }] }, null],
  });

  const zoneOf = (address: object): object => ({ address: [address] });
  describe('give the time zone', () =>
    cases(({ timeZone }) => timeZone, {
      'of a state by its code': [zoneOf({ state: 'KS', country: 'US' }), 'America/Chicago'],
      'of a state by its name': [zoneOf({ state: 'new york' }), 'America/New_York'],
      'of a state without summer time': [zoneOf({ state: 'AZ', country: 'USA' }), 'America/Phoenix'],
      'of a state in two zones, where most people live': [zoneOf({ state: 'ID', country: 'US' }), 'America/Boise'],
      'of a territory': [zoneOf({ state: 'Puerto Rico', country: 'United States' }), 'America/Puerto_Rico'],
      'of the clinic, elsewhere': [zoneOf({ state: 'CA', country: 'Canada' }), 'America/New_York'],
      'of the clinic, without an address': [{}, 'America/New_York'],
    }));
});

describe('what is no use to us', () => {
  const PLANTED = 'Zyxwv';
  const extension = (url: string) => ({
    url: `http://hl7.org/fhir/us/core/StructureDefinition/${url}`,
    valueString: PLANTED,
  });
  const planted = {
    text: { status: 'generated', div: `<div>${PLANTED}</div>` },
    extension: ['us-core-race', 'us-core-ethnicity', 'patient-mothersMaidenName', 'us-core-birthsex'].map(extension),
    identifier: [
      { system: 'http://hl7.org/fhir/sid/us-ssn', value: `999-${PLANTED}` },
      { type: { text: 'Driver’s License' }, system: 'urn:oid:2.16.840.1.113883.4.3.25', value: PLANTED },
    ],
    gender: PLANTED,
    maritalStatus: { text: PLANTED },
    contact: [{ name: { family: PLANTED } }],
    photo: [{ data: PLANTED }],
    address: [{ city: 'Wichita', extension: [extension('geolocation')] }],
  };

  test(
    'is neither in the patient nor anywhere in the database',
    committed(async (scope) => {
      const patient = await mapped(scope, planted);
      assert.ok(!JSON.stringify(patient).includes(PLANTED));
      const practitioner = { resourceType: 'Practitioner', id: 'p', name: [{ family: 'B', given: ['A'] }], ...planted };
      const { counts } = await imported(scope, {
        'Practitioner.ndjson': [{ ...practitioner, identifier: planted.identifier.slice(0, 1) }],
      });
      assert.equal(counts.Practitioner.created, 1);
      assert.equal(await inDatabase(PLANTED), false);
      // The look itself works: what is kept in the clear is found.
      assert.equal(await inDatabase('Practitioner/p'), true);
      assert.equal(await inDatabase('Rivera'), false);
    }),
  );

  async function inDatabase(text: string): Promise<boolean> {
    const tables = await asSuperuser<{ name: string }>(
      `select quote_ident(table_name) as name from information_schema.tables
       where table_schema = 'public' and table_type = 'BASE TABLE'`,
    );
    for (const { name } of tables) {
      const rows = await asSuperuser(
        `select from ${name} t where position(lower($1) in lower(t::text)) > 0
        or position(encode(convert_to($1, 'UTF8'), 'hex') in t::text) > 0`,
        [text],
      );
      if (rows.length > 0) return true;
    }
    return false;
  }
});
