import assert from 'node:assert/strict';
import { createHash, randomUUID } from 'node:crypto';
import { describe, test } from 'node:test';
import * as care from '#care';
import { VaultError } from '#platform/vault';
import * as scheduling from '#scheduling';
import { booked } from './support/appointments.ts';
import { aPatient } from './support/patients.ts';
import { as, asSuperuser, committed } from './support/testing.ts';

const PLANTED = {
  externalId: 'dump-1',
  firstName: 'Xaviera',
  lastName: 'Quillfeather',
  email: 'Xaviera.Quillfeather@example.test',
  phone: '+1 415 555 0142',
  dateOfBirth: '1947-11-23',
  address: { lines: ['77 Obsidian Crescent'], city: 'Wolverhollow' },
  furtherPhones: ['+1 415 555 0143'],
  notes: 'Afraid of dogs',
};

/** What a thief would look for, in every form that a careless program leaves it in. */
function traces(): Map<string, string> {
  const normalised = ['xaviera.quillfeather@example.test', '+14155550142', '1947-11-23', 'quillfeather', 'xaviera'];
  const parts = ['4155550142', '4155550143', '19471123', 'obsidian', 'wolverhollow', 'afraid of dogs', 'quill'];
  const keywords = ['prefix qu', 'prefix quillf', 'born 1947-11-23', 'prefixes qu xa'];
  const found = new Map<string, string>();
  for (const word of [...normalised, ...parts, ...keywords]) {
    const bytes = Buffer.from(word);
    found.set(`${word} in plain`, word).set(`${word} in hex`, bytes.toString('hex'));
    // The last characters depend on what follows.
    found.set(
      `${word} in base64`,
      bytes
        .toString('base64')
        .replace(/.{0,2}=*$/, '')
        .toLowerCase(),
    );
    found.set(`${word} reversed`, Array.from(word).toReversed().join(''));
    for (const algorithm of ['md5', 'sha1', 'sha256', 'sha512']) {
      const digest = createHash(algorithm).update(word).digest();
      found.set(`${word} as ${algorithm}`, digest.toString('hex'));
      found.set(`${word} as ${algorithm} in base64`, digest.toString('base64').replace(/=+$/, '').toLowerCase());
    }
  }
  return found;
}

/** Every value of every table, as text; bytes in hex. */
async function dump(): Promise<string> {
  const tables = await asSuperuser<{ name: string }>(
    `select quote_ident(schemaname) || '.' || quote_ident(tablename) as name from pg_tables
     where schemaname not in ('pg_catalog', 'information_schema')`,
  );
  const parts: string[] = [];
  for (const { name } of tables) {
    parts.push(
      ...(await asSuperuser<{ row: string }>(`select t::text as row from ${name} as t`)).map(({ row }) => row),
    );
  }
  return parts.join('\n').toLowerCase();
}

describe('a copy of the database', () => {
  test(
    'tells nothing of a patient who was created, searched, changed, booked for, imported, deleted and restored',
    committed(async (scope) => {
      const system = as(scope, 'system');
      const patient = await care.createPatient(scope, { ...PLANTED, idempotencyKey: 'k' });
      await care.searchPatients(scope, { query: 'quillfeather xav 1947-11-23' });
      await care.patientsByPhone(scope, PLANTED.phone);
      await care.patientByEmail(scope, PLANTED.email);
      await care.patientsToRegister(system, PLANTED);
      await care.updatePatient(scope, patient.id, { firstName: 'Xav', idempotencyKey: 'k' });
      await care.updatePatient(scope, patient.id, { firstName: PLANTED.firstName });
      const visit = await booked(scope, { patientId: patient.id, notes: PLANTED.notes });
      await scheduling.update(scope, visit.id, { notes: `${PLANTED.notes} and cats` });
      await scheduling.cancel(scope, visit.id, { reason: 'PATIENT', note: PLANTED.notes });
      await care.deletePatient(scope, patient.id);
      await care.restorePatient(scope, patient.id);
      await assert.rejects(care.createPatient(scope, aPatient({ email: PLANTED.email })), care.EmailTaken);
      await care.importPatients(system, [{ ...PLANTED, notes: 'Afraid of dogs and owls' }]);
      await care.rebuildSearchIndex(system);

      const text = await dump();
      assert.ok(text.includes(patient.id) && text.includes('dump-1') && text.length > 10_000, 'nothing was dumped');
      for (const [what, trace] of traces()) assert.ok(!text.includes(trace), what);
    }),
  );

  test(
    'does not show how long a name is',
    committed(async (scope) => {
      const ids: string[] = [];
      for (const lastName of ['Li', 'Wolfeschlegelsteinhausen']) {
        ids.push((await care.createPatient(scope, { firstName: 'Jo', lastName })).id);
      }
      const sizes = await asSuperuser('select distinct length(identity) from patients where id = any($1)', [ids]);
      assert.equal(sizes.length, 1);
    }),
  );

  test(
    'does not show that two patients share a name, nor how often one occurs',
    committed(async (scope) => {
      for (let i = 0; i < 3; i++)
        await care.createPatient(scope, { firstName: 'Maximiliane', lastName: 'Maximiliane' });
      const columns = await asSuperuser<{ values: string[]; sizes: number[] }>(
        `select array_agg(token::text) || array_agg(sealed::text) as values, array_agg(distinct 32) as sizes
           from (table patient_search_entries_0 union all table patient_search_entries_1) as entries
         union all
         select array_agg(token::text) || array_agg(sealed::text), array_agg(distinct length(sealed))
           from (table patient_search_counts_0 union all table patient_search_counts_1) as counts`,
      );
      assert.equal(columns.length, 2);
      for (const { values, sizes } of columns) {
        assert.equal(new Set(values).size, values.length, 'a value occurs twice');
        assert.equal(sizes.length, 1, 'sizes differ');
      }
      const [{ identities } = { identities: 0 }] = await asSuperuser<{ identities: number }>(
        `select count(distinct substring(identity from 18))::int as identities from patients`,
      );
      assert.equal(identities, (await care.patients(scope)).items.length);
    }),
  );
});

describe('a sealed value', () => {
  const twoPatients = async (scope: Parameters<typeof care.createPatient>[0]) => {
    const make = () => care.createPatient(scope, aPatient({ notes: 'n', email: `${randomUUID()}@example.test` }));
    return [await make(), await make()] as const;
  };

  for (const column of ['identity', 'data_key', 'details']) {
    test(
      `that was moved to another row of ${column} does not open`,
      committed(async (scope) => {
        const [a, b] = await twoPatients(scope);
        await asSuperuser(
          `update patients set ${column} = (select ${column} from patients where id = $1) where id = $2`,
          [a.id, b.id],
        );
        const attempt = column === 'details' ? care.patientDetails(scope, b.id) : care.getPatient(scope, b.id);
        await assert.rejects(attempt, VaultError);
        assert.equal((await care.getPatient(scope, a.id)).id, a.id);
      }),
    );
  }

  test(
    'does not open in another row even with the key it was sealed with, nor in another column of its own',
    committed(async (scope) => {
      const [a, b] = await twoPatients(scope);
      await asSuperuser(
        `update patients as b set identity = a.identity, data_key = a.data_key from patients as a where a.id = $1 and b.id = $2`,
        [a.id, b.id],
      );
      await assert.rejects(care.getPatient(scope, b.id), VaultError);
      await asSuperuser('update patients set identity = details where id = $1', [a.id]);
      await assert.rejects(care.getPatient(scope, a.id), VaultError);
    }),
  );

  test(
    'that was changed by a byte does not open',
    committed(async (scope) => {
      const [{ id }] = await twoPatients(scope);
      await asSuperuser(
        'update patients set identity = set_byte(identity, 20, get_byte(identity, 20) # 1) where id = $1',
        [id],
      );
      await assert.rejects(care.getPatient(scope, id), VaultError);
    }),
  );
});
