import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, test } from 'node:test';
import * as audit from '#audit';
import * as care from '#care';
import { Forbidden, IdempotencyMismatch, InvalidInput, NotFound } from '#platform/errors';
import { type Scope, transact } from '#platform/scope';
import { aPatient, eventsSoFar, issuesOf } from './support/patients.ts';
import { NOW, actor, as, sandboxed } from './support/testing.ts';
import { assertSame } from './support/same.ts';

const lastEntry = async (scope: Scope) => (await audit.list(as(scope, 'auditor'), { first: 1 })).items[0]?.node;

describe('createPatient', () => {
  test(
    'keeps everything in its normal form',
    sandboxed(async (scope) => {
      const created = await care.createPatient(scope, {
        externalId: ' mrn-1 ',
        firstName: '  José  Luis ',
        lastName: "O'Brien",
        email: ' Jose.Luis@EXAMPLE.test ',
        phone: '(212) 555-0123',
        dateOfBirth: '1980-03-08',
        timeZone: 'America/Phoenix',
        language: 'es-mx',
        preferences: { channels: ['VOICE', 'SMS'], quietHours: { from: '21:00', to: '08:30' } },
        address: { lines: ['1 Main St'], city: 'Tempe' },
        furtherPhones: ['212 555 0124'],
        notes: 'Rings twice',
      });
      const { id, ...rest } = created;
      assert.match(id, /^[0-9a-f]{8}-[0-9a-f]{4}-7/);
      assertSame(
        { ...rest, dateOfBirth: String(rest.dateOfBirth) },
        {
          externalId: 'mrn-1',
          firstName: 'José Luis',
          lastName: "O'Brien",
          email: 'jose.luis@example.test',
          phone: '+12125550123',
          dateOfBirth: '1980-03-08',
          timeZone: 'America/Phoenix',
          language: 'es-MX',
          status: 'ACTIVE',
          preferences: { channels: ['VOICE', 'SMS'], quietHours: { from: '21:00', to: '08:30' } },
          version: 1,
          deletedAt: null,
          createdAt: NOW,
          updatedAt: NOW,
        },
      );
      assertSame(await care.getPatient(scope, id), created);
      assert.deepEqual(await care.patientDetails(scope, id), {
        address: { lines: ['1 Main St'], city: 'Tempe', state: null, postalCode: null, country: null },
        furtherPhones: ['+12125550124'],
        notes: 'Rings twice',
      });
    }),
  );

  test(
    'needs a name only: the clinic and the defaults say the rest',
    sandboxed(async (scope) => {
      const patient = await care.createPatient(scope, { firstName: 'Ada', lastName: 'Li', email: null, phone: null });
      assert.equal(patient.timeZone, 'America/New_York');
      assert.equal(patient.language, 'en');
      assert.equal(patient.email, null);
      assert.deepEqual(patient.preferences, {
        channels: ['SMS', 'EMAIL', 'VOICE'],
        quietHours: { from: '20:00', to: '09:00' },
      });
      assert.deepEqual(await care.patientDetails(scope, patient.id), { address: null, furtherPhones: [], notes: null });
    }),
  );

  test(
    'tells every issue at once, each with its path and none with the value',
    sandboxed(async (scope) => {
      const input = {
        firstName: ' ',
        lastName: '12',
        email: 'nobody-at-all',
        phone: '12',
        dateOfBirth: '2026-03-05',
        timeZone: 'EST',
        language: 'not a language',
        preferences: { channels: ['SMS', 'SMS'], quietHours: { from: '25:00', to: '9' } },
        furtherPhones: ['212 555 0100', 'x'],
        externalId: 'a\0',
        notes: 7,
        idempotencyKey: '\0',
      } as unknown as care.NewPatient;
      const issues = await issuesOf(care.createPatient(scope, input));
      assert.deepEqual(Object.keys(issues).toSorted(), [
        'dateOfBirth',
        'email',
        'externalId',
        'firstName',
        'furtherPhones.1',
        'idempotencyKey',
        'language',
        'lastName',
        'notes',
        'phone',
        'preferences.channels',
        'preferences.quietHours.from',
        'preferences.quietHours.to',
        'timeZone',
      ]);
      assert.ok(!JSON.stringify(issues).includes('nobody-at-all'));
    }),
  );

  test(
    'takes a birth on the day that it is somewhere already, and no later one',
    sandboxed(async (scope) => {
      const late = { ...scope, now: Temporal.Instant.from('2026-03-02T11:00:00Z') };
      await care.createPatient(late, aPatient({ dateOfBirth: '2026-03-03' }));
      const issues = await issuesOf(care.createPatient(late, aPatient({ dateOfBirth: '2026-03-04' })));
      assert.deepEqual(issues, { dateOfBirth: 'expected a date that is not in the future' });
      assert.ok((await issuesOf(care.createPatient(late, aPatient({ dateOfBirth: '2025-02-29' }))))['dateOfBirth']);
    }),
  );

  for (const [phone, region, expected] of [
    ['(212) 555-0199', 'US', '+12125550199'],
    ['+1 415 555 0100', 'MX', '+14155550100'],
    ['020 7946 0958', 'GB', '+442079460958'],
    ['55 5123 4567', 'MX', '+525551234567'],
  ] as const) {
    test(
      `reads the phone ${phone} as one of ${region}`,
      sandboxed(async (scope) => {
        const there = { ...scope, clinic: { ...scope.clinic, timeZone: 'UTC', region } };
        assert.equal((await care.createPatient(there, aPatient({ phone }))).phone, expected);
      }),
    );
  }

  test(
    'refuses an e-mail address or external id that a live patient has, and leaves no trace of the attempt',
    sandboxed(async (scope) => {
      await care.createPatient(scope, aPatient({ email: 'ada@example.test', externalId: 'x1' }));
      const before = await eventsSoFar(scope);
      await assert.rejects(care.createPatient(scope, aPatient({ email: 'ＡDA@example.test' })), care.EmailTaken);
      await assert.rejects(care.createPatient(scope, aPatient({ externalId: 'x1' })), care.ExternalIdTaken);
      assert.deepEqual(await eventsSoFar(scope), before);
      assert.equal((await care.patients(scope)).items.length, 1);
      assert.equal((await care.searchPatients(scope, { query: 'lovelace' })).items.length, 1);
    }),
  );

  test(
    'does it once per idempotency key, and shows the patient as it stands by then',
    sandboxed(async (scope) => {
      const input = aPatient({ email: 'ada@example.test', dateOfBirth: '1980-03-08', idempotencyKey: 'k1' });
      const first = await care.createPatient(scope, input);
      const renamed = await care.updatePatient(scope, first.id, { lastName: 'King' });
      assertSame(await care.createPatient(scope, input), renamed);
      await assert.rejects(care.createPatient(scope, { ...input, lastName: 'Byron' }), IdempotencyMismatch);
      assert.equal((await care.patients(scope)).items.length, 1);
    }),
  );

  test(
    'is on record with the names of the fields and an event with the id',
    sandboxed(async (scope) => {
      const { id } = await care.createPatient(scope, aPatient({ email: 'ada@example.test' }));
      const entry = await lastEntry(scope);
      assert.equal(entry?.action, 'patient.create');
      assert.equal(entry.resourceId, id);
      assert.deepEqual(entry.changedFields, ['firstName', 'lastName', 'email']);
      assert.deepEqual(await eventsSoFar(scope), [{ topic: 'patient.created', payload: { patientId: id } }]);
    }),
  );
});

describe('updatePatient', () => {
  test(
    'changes what is named, clears what is null, and leaves the rest',
    sandboxed(async (scope) => {
      const patient = await care.createPatient(
        scope,
        aPatient({ email: 'ada@example.test', phone: '212 555 0123', notes: 'n', furtherPhones: ['212 555 0124'] }),
      );
      const later = { ...scope, now: NOW.add({ hours: 1 }) };
      const changes = { email: null, lastName: 'King', status: null, preferences: { channels: ['EMAIL' as const] } };
      const updated = await care.updatePatient(later, patient.id, changes);
      assertSame(updated, {
        ...patient,
        lastName: 'King',
        email: null,
        preferences: { channels: ['EMAIL'], quietHours: patient.preferences.quietHours },
        version: 2,
        updatedAt: later.now,
      });
      const details = { address: null, furtherPhones: ['+12125550124'], notes: 'n' };
      assert.deepEqual(await care.patientDetails(scope, patient.id), details);
      assert.equal(await care.patientByEmail(scope, 'ada@example.test'), null);
      assert.equal((await care.patientsByPhone(scope, '+12125550123')).length, 1);
      await care.updatePatient(scope, patient.id, { furtherPhones: [], notes: null });
      assert.deepEqual(await care.patientDetails(scope, patient.id), { address: null, furtherPhones: [], notes: null });
    }),
  );

  test(
    'records the names of the changed fields alone, and nothing happens when nothing changes',
    sandboxed(async (scope) => {
      const { id } = await care.createPatient(scope, aPatient({ email: 'ada@example.test' }));
      await care.updatePatient(scope, id, { email: 'king@example.test', firstName: 'Ada' });
      const entry = await lastEntry(scope);
      assert.equal(entry?.action, 'patient.update');
      assert.deepEqual(entry.changedFields, ['email']);
      const same = { firstName: 'Ada', preferences: { quietHours: { from: '20:00', to: '09:00' } } };
      assert.equal((await care.updatePatient(scope, id, same)).version, 2);
      assert.deepEqual(
        (await eventsSoFar(scope)).map(({ topic }) => topic),
        ['patient.created', 'patient.updated'],
      );
    }),
  );

  test(
    'refuses a change of what the caller has not seen',
    sandboxed(async (scope) => {
      const { id } = await care.createPatient(scope, aPatient());
      await care.updatePatient(scope, id, { lastName: 'King', version: 1 });
      const attempt = care.updatePatient(scope, id, { lastName: 'Byron', version: 1 });
      await assert.rejects(attempt, (error) => error instanceof care.StalePatient && error.currentVersion === 2);
      assert.equal((await care.getPatient(scope, id)).lastName, 'King');
    }),
  );

  test(
    'refuses the e-mail address of another live patient',
    sandboxed(async (scope) => {
      await care.createPatient(scope, aPatient({ email: 'ada@example.test' }));
      const { id } = await care.createPatient(scope, aPatient());
      await assert.rejects(care.updatePatient(scope, id, { email: 'ada@example.test' }), care.EmailTaken);
    }),
  );

  test(
    'does it once per idempotency key',
    sandboxed(async (scope) => {
      const { id } = await care.createPatient(scope, aPatient());
      const changes = { lastName: 'King', version: 1, idempotencyKey: 'k' };
      await care.updatePatient(scope, id, changes);
      assert.equal((await care.updatePatient(scope, id, changes)).version, 2);
    }),
  );

  test(
    'lets patients change their contact data and preferences, and nothing else',
    sandboxed(async (scope) => {
      const { id } = await care.createPatient(scope, aPatient({ phone: '212 555 0123' }));
      const own = as(scope, actor('patient', { patientId: id }));
      const allowed = {
        phone: null,
        furtherPhones: ['212 555 0124'],
        address: { lines: ['1 Main St'] },
        timeZone: 'Asia/Kolkata',
        language: 'es',
        preferences: { channels: [] },
      };
      const updated = await care.updatePatient(own, id, allowed);
      assert.deepEqual([updated.phone, updated.language, updated.version], [null, 'es', 2]);
      for (const denied of [
        { lastName: 'King' },
        { dateOfBirth: '1990-01-01' },
        { notes: 'n' },
        { status: 'ACTIVE' },
      ]) {
        await assert.rejects(care.updatePatient(own, id, denied as care.PatientChanges), Forbidden);
        const entry = await lastEntry(scope);
        assert.deepEqual([entry?.outcome, entry?.changedFields], ['DENIED', Object.keys(denied)]);
      }
    }),
  );
});

describe('an e-mail address or phone that a patient gives', () => {
  const clinic = { phone: '+12125550100' };
  const attempts = [
    ...['taken@example.test', 'free@example.test', 'ada@example.test'].map((email) => ({ email })),
    ...['212 555 0123', '212 555 0124'].map((phone) => ({ phone })),
  ];

  test(
    'is refused alike whether another patient has it or not, and may be cleared',
    sandboxed(async (scope) => {
      await care.createPatient(scope, aPatient({ email: 'taken@example.test', phone: '212 555 0123' }));
      const { id } = await care.createPatient(scope, aPatient({ email: 'ada@example.test' }));
      const own = { ...as(scope, actor('patient', { patientId: id })), clinic: { ...scope.clinic, ...clinic } };
      for (const given of attempts) {
        const field = Object.keys(given)[0] ?? '';
        await assert.rejects(care.updatePatient(own, id, { ...given, language: 'es' }), (thrown) => {
          const [kind, name] =
            field === 'email' ? [care.EmailUnproven, 'e-mail address'] : [care.PhoneUnproven, 'phone'];
          assert.ok(thrown instanceof kind);
          const way = 'please prove it with requestContactChange, or call the clinic at +12125550100';
          assert.equal(thrown.message, `To change your ${name} ${way}`);
          return thrown.phone === clinic.phone;
        });
        const entry = await lastEntry(scope);
        assert.deepEqual([entry?.outcome, entry?.changedFields], ['DENIED', [field, 'language']]);
      }
      assert.equal((await care.getPatient(own, id)).language, 'en');
      assert.equal((await care.updatePatient(own, id, { email: null })).email, null);
    }),
  );
});

describe('writeProvenContact', () => {
  test(
    'reaches the caller’s own record alone, and changes what was proven and nothing else',
    sandboxed(async (scope) => {
      const { id } = await care.createPatient(scope, aPatient({ email: 'ada@example.test' }));
      const stranger = as(scope, actor('patient', { patientId: randomUUID() }));
      await assert.rejects(care.writeProvenContact(stranger, id, { email: 'new@example.test' }), NotFound);
      await assert.rejects(care.writeProvenContact(as(scope, 'auditor'), id, { phone: '212 555 0123' }), Forbidden);
      const own = as(scope, actor('patient', { patientId: id }));
      await assert.rejects(care.writeProvenContact(own, id, { phone: '12' }), InvalidInput);
      const { email, phone, version } = await care.writeProvenContact(own, id, { phone: '212 555 0123' });
      assert.deepEqual([email, phone, version], ['ada@example.test', '+12125550123', 2]);
      assert.deepEqual((await lastEntry(scope))?.changedFields, ['phone']);
    }),
  );
});

describe('an id in upper case', () => {
  test(
    'is the same patient: for what is done, for what is told of it, and for the patient',
    sandboxed(async (scope) => {
      const { id } = await care.createPatient(scope, aPatient());
      const shouted = id.toUpperCase();
      const own = as(scope, actor('patient', { patientId: id }));
      await care.updatePatient(own, shouted, { language: 'es' });
      assert.equal((await care.findPatient(own, shouted))?.language, 'es');
      assert.deepEqual([...(await care.patientsByIds(own, [shouted])).keys()], [id]);
      assert.deepEqual([...(await care.patientsOnRecord(own, [shouted])).keys()], [id]);
      await care.patientDetails(own, shouted);
      await care.deletePatient(scope, shouted);
      await care.restorePatient(scope, shouted);
      await care.erasePatient(as(scope, 'admin'), shouted);
      const told = (await eventsSoFar(scope)).map(({ payload }) => (payload as { patientId: string }).patientId);
      assert.deepEqual([...new Set(told)], [id]);
      const { items } = await audit.list(as(scope, 'auditor'));
      assert.ok(items.every(({ node }) => node.outcome === 'SUCCESS'));
    }),
  );
});

describe('deletePatient, restorePatient and erasePatient', () => {
  const everywhere = async (scope: Scope, { id }: care.Patient) =>
    [
      await care.findPatient(scope, id),
      ...(await care.patientsByIds(scope, [id])).values(),
      await care.patientByEmail(scope, 'ada@example.test'),
      await care.findByExternalId(scope, 'x1'),
      ...(await care.patientsByPhone(scope, '+12125550123')),
      ...(await care.patients(scope)).items,
      ...(await care.searchPatients(scope, { query: 'lovelace' })).items,
      ...(await care.patientsToRegister(as(scope, 'system'), { email: 'ada@example.test', dateOfBirth: '1980-03-08' })),
    ].filter((found) => found !== null).length;
  const findable = aPatient({
    email: 'ada@example.test',
    phone: '212 555 0123',
    externalId: 'x1',
    dateOfBirth: '1980-03-08',
  });

  test(
    'take the patient out of every list and look-up, and bring them back',
    sandboxed(async (scope) => {
      const patient = await care.createPatient(scope, findable);
      assert.equal(await everywhere(scope, patient), 8);
      const deleted = await care.deletePatient(scope, patient.id);
      assertSame(deleted.deletedAt, NOW);
      assert.equal(await everywhere(scope, patient), 0);
      await assert.rejects(care.getPatient(scope, patient.id), NotFound);
      await assert.rejects(care.patientDetails(scope, patient.id), NotFound);
      await assert.rejects(care.updatePatient(scope, patient.id, { notes: 'n' }), NotFound);
      await assert.rejects(care.deletePatient(scope, patient.id), NotFound);
      const own = as(scope, actor('patient', { patientId: patient.id }));
      assert.equal(await care.findPatient(own, patient.id), null);

      const restored = await care.restorePatient(scope, patient.id);
      assertSame(restored, { ...patient, version: 3 });
      assert.equal(await everywhere(scope, patient), 8);
      await assert.rejects(care.restorePatient(scope, patient.id), NotFound);
      assert.deepEqual(
        (await eventsSoFar(scope)).map(({ topic }) => topic),
        ['patient.created', 'patient.deleted', 'patient.restored'],
      );
    }),
  );

  test(
    'free the e-mail address, and refuse to take it back from whom has it since',
    sandboxed(async (scope) => {
      const { id } = await care.createPatient(scope, aPatient({ email: 'ada@example.test' }));
      await care.deletePatient(scope, id);
      const other = await care.createPatient(scope, aPatient({ email: 'ada@example.test' }));
      await assert.rejects(care.restorePatient(scope, id), care.EmailTaken);
      await care.deletePatient(scope, other.id);
      assert.equal((await care.restorePatient(scope, id)).email, 'ada@example.test');
    }),
  );

  test(
    'can be repeated with an idempotency key',
    sandboxed(async (scope) => {
      const { id } = await care.createPatient(scope, aPatient());
      const admin = as(scope, 'admin');
      const key = { idempotencyKey: 'k' };
      const deleted = await care.deletePatient(admin, id, key);
      assertSame(await care.deletePatient(admin, id, key), deleted);
      await care.erasePatient(admin, id, key);
      await care.erasePatient(admin, id, key);
      await assert.rejects(care.erasePatient(admin, id), NotFound);
    }),
  );

  test(
    'forget the idempotency keys of who is erased: the same input again is a new patient',
    sandboxed(async (scope) => {
      const input = aPatient({ externalId: randomUUID(), idempotencyKey: 'k' });
      const { id } = await care.createPatient(scope, input);
      await care.updatePatient(scope, id, { language: 'es', idempotencyKey: 'k' });
      await care.erasePatient(as(scope, 'admin'), id);
      const kept = await transact(as(scope, 'system'), ({ db }) =>
        db.selectFrom('idempotency_keys').select('operation').where('result_id', '=', id).execute(),
      );
      assert.deepEqual(kept, []);
      const again = await care.createPatient(scope, input);
      assert.notEqual(again.id, id);
      assert.equal(again.externalId, input.externalId);
    }),
  );

  test(
    'destroy everything that names the patient when erasing, and keep what does not',
    sandboxed(async (scope) => {
      const externalId = randomUUID();
      const patient = await care.createPatient(
        scope,
        aPatient({ email: `${externalId}@example.test`, externalId, notes: 'n' }),
      );
      const admin = as(scope, 'admin');
      await care.erasePatient(admin, patient.id);
      assert.equal(await care.findPatient(scope, patient.id), null);
      await assert.rejects(care.restorePatient(scope, patient.id), NotFound);
      const row: Record<string, unknown> = await transact(scope, ({ db }) =>
        db.selectFrom('patients').selectAll().where('id', '=', patient.id).executeTakeFirstOrThrow(),
      );
      for (const gone of [
        'data_key',
        'identity',
        'details',
        'email_index',
        'phone_index',
        'search_id',
        'import_hash',
        'external_id',
      ]) {
        assert.equal(row[gone], null, gone);
      }
      assert.equal(row['status'], 'ACTIVE');
      assert.ok(row['erased_at']);
      const entry = await lastEntry(scope);
      assert.deepEqual([entry?.action, entry?.resourceId], ['patient.erase', patient.id]);
    }),
  );

  test(
    'are for staff, and erasing for admins',
    sandboxed(async (scope) => {
      const { id } = await care.createPatient(scope, aPatient());
      const own = as(scope, actor('patient', { patientId: id }));
      for (const attempt of [care.deletePatient, care.restorePatient, care.erasePatient]) {
        await assert.rejects(attempt(own, id), Forbidden);
        await assert.rejects(attempt(as(scope, 'auditor'), id), Forbidden);
      }
      await assert.rejects(care.erasePatient(scope, id), Forbidden);
    }),
  );
});
