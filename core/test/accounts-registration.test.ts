import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, test } from 'node:test';
import * as accounts from '#accounts';
import * as care from '#care';
import { Refused, Unavailable, Unknown } from '#integrations/guard';
import { InvalidInput, RateLimited } from '#platform/errors';
import type { Scope } from '#platform/scope';
import { later, other, outbox, receiveCode, trail } from './support/accounts.ts';
import { as, asSuperuser, committed, sandboxed } from './support/testing.ts';
import { assertSame } from './support/same.ts';

const BORN = '1950-05-05';
const PASSWORD = 'quiet river';

let phones = 0;
async function newPatient(scope: Scope, more: Partial<care.NewPatient> = {}): Promise<care.Patient> {
  const phone = `+1212555${String(100 + (phones++ % 100)).padStart(4, '0')}`;
  const email = `patient-${randomUUID()}@home.example`;
  return care.createPatient(scope, {
    firstName: 'Mary',
    lastName: 'Shelley',
    dateOfBirth: BORN,
    email,
    phone,
    ...more,
  });
}

async function proven(scope: Scope, contact: accounts.Contact): Promise<accounts.Registration> {
  const { verificationId } = await accounts.requestVerification(scope, contact);
  const code = await receiveCode(scope, verificationId);
  return { verificationId, code, dateOfBirth: BORN, email: `new-${randomUUID()}@home.example`, password: PASSWORD };
}

describe('register', () => {
  test(
    'makes the patient who holds the code a user, linked to their own record',
    committed(async (scope) => {
      const patient = await newPatient(scope);
      const registration = await proven(scope, { email: patient.email?.toUpperCase() });
      const viewer = await accounts.register(scope, { ...registration, email: patient.email ?? '' });
      assert.deepEqual(viewer, {
        id: viewer.id,
        role: 'patient',
        email: patient.email,
        displayName: 'Mary Shelley',
        patientId: patient.id,
        mayOverride: false,
      });
      const { accessToken } = await accounts.login(scope, { email: patient.email ?? '', password: PASSWORD });
      const actor = await accounts.authenticate(scope, { bearer: accessToken });
      assert.equal(actor.patientId, patient.id);
      assert.equal((await care.getPatient(as(scope, actor), patient.id)).id, patient.id);
      assert.deepEqual(await trail(viewer.id), ['user.register SUCCESS']);
      const users = await asSuperuser('select email_verified from users where id = $1', [viewer.id]);
      assert.deepEqual(users, [{ email_verified: true }]);
    }),
  );

  test(
    'takes a code by phone, and then does not take the e-mail address for verified',
    committed(async (scope) => {
      const patient = await newPatient(scope);
      const viewer = await accounts.register(scope, await proven(scope, { phone: patient.phone }));
      assert.equal(viewer.patientId, patient.id);
      const users = await asSuperuser('select email_verified from users where id = $1', [viewer.id]);
      assert.deepEqual(users, [{ email_verified: false }]);
    }),
  );

  test(
    'refuses a wrong code, a wrong date of birth and a verification that never was with one answer',
    sandboxed(async (scope) => {
      const registration = await proven(scope, { email: (await newPatient(scope)).email });
      for (const wrong of [
        { code: other(registration.code) },
        { dateOfBirth: '1950-05-06' },
        { verificationId: randomUUID() },
      ]) {
        await assert.rejects(
          accounts.register(scope, { ...registration, ...wrong }),
          new accounts.VerificationFailed(),
        );
      }
      await accounts.register(scope, registration);
    }),
  );

  test(
    'gives a code five tries, ten minutes and one success',
    sandboxed(async (scope) => {
      const first = await proven(scope, { email: (await newPatient(scope)).email });
      for (let i = 0; i < 5; i++) {
        await assert.rejects(
          accounts.register(scope, { ...first, code: other(first.code) }),
          accounts.VerificationFailed,
        );
      }
      await assert.rejects(accounts.register(scope, first), accounts.VerificationFailed);

      const second = await proven(scope, { email: (await newPatient(scope)).email });
      await assert.rejects(accounts.register(later(scope, { minutes: 10 }), second), accounts.VerificationFailed);
      await accounts.register(later(scope, { minutes: 9 }), second);
      await assert.rejects(accounts.register(scope, second), accounts.VerificationFailed);
    }),
  );

  test(
    'gives no sixth try to callers at once',
    committed(async (scope) => {
      const quiet = { ...scope, request: { ...scope.request, ip: null } };
      for (let round = 0; round < 4; round++) {
        const registration = await proven(quiet, { email: (await newPatient(scope)).email });
        const wrong = { ...registration, code: other(registration.code) };
        await Promise.allSettled(Array.from({ length: 8 }, () => accounts.register(quiet, wrong)));
        const rows = await asSuperuser('select tries from verifications where id = $1', [registration.verificationId]);
        assert.deepEqual(rows, [{ tries: 5 }]);
      }
    }),
  );

  test(
    'counts a refused e-mail address as a try',
    sandboxed(async (scope) => {
      const taken = await accounts.register(scope, await proven(scope, { email: (await newPatient(scope)).email }));
      const registration = await proven(scope, { email: (await newPatient(scope)).email });
      for (let i = 0; i < 5; i++) {
        await assert.rejects(accounts.register(scope, { ...registration, email: taken.email }), accounts.EmailInUse);
      }
      await assert.rejects(accounts.register(scope, registration), accounts.VerificationFailed);
    }),
  );

  test(
    'makes one user of a patient, with 64 callers at once too',
    committed(async (scope) => {
      const patient = await newPatient(scope);
      const quiet = { ...scope, request: { ...scope.request, ip: null } };
      const registration = await proven(quiet, { email: patient.email });
      const results = await Promise.allSettled(
        Array.from({ length: 64 }, (_, i) =>
          accounts.register(quiet, { ...registration, email: `racer-${i}-${randomUUID()}@home.example` }),
        ),
      );
      assert.equal(results.filter(({ status }) => status === 'fulfilled').length, 1);
      for (const result of results) {
        assert.ok(result.status === 'fulfilled' || result.reason instanceof accounts.VerificationFailed);
      }
      const again = await proven(quiet, { email: patient.email });
      await assert.rejects(accounts.register(quiet, again), accounts.AlreadyRegistered);
    }),
  );

  test(
    'tells family members with one phone apart by their birthdays, and twins not at all',
    sandboxed(async (scope) => {
      const phone = '+12125550199';
      const mother = await newPatient(scope, { phone });
      await newPatient(scope, { phone, dateOfBirth: '1980-01-01' });
      const registration = await proven(scope, { phone });
      assert.equal((await accounts.register(scope, registration)).patientId, mother.id);
      await newPatient(scope, { phone, dateOfBirth: '1980-01-01' });
      const twins = { ...(await proven(scope, { phone })), dateOfBirth: '1980-01-01' };
      await assert.rejects(accounts.register(scope, twins), accounts.VerificationFailed);
    }),
  );

  test(
    'refuses a weak password and a malformed input before anything is tried',
    sandboxed(async (scope) => {
      const registration = await proven(scope, { email: (await newPatient(scope)).email });
      for (const wrong of [
        { password: 'short' },
        { password: 'baseball' },
        { code: '12345' },
        { dateOfBirth: '5/5/50' },
      ]) {
        for (let i = 0; i < 6; i++) {
          await assert.rejects(accounts.register(scope, { ...registration, ...wrong }), InvalidInput);
        }
      }
      await accounts.register(scope, registration);
    }),
  );
});

describe('requestVerification', () => {
  test(
    'answers and does the same whether or not a patient has the contact',
    committed(async (scope) => {
      const patient = await newPatient(scope);
      const enqueued: unknown[] = [];
      const watched: Scope = {
        ...scope,
        jobs: { ...scope.jobs, enqueue: async (_scope, queue, payload) => void enqueued.push([queue, payload]) },
      };
      const ids = [];
      for (const email of [patient.email, `stranger-${randomUUID()}@home.example`]) {
        const { verificationId, ...rest } = await accounts.requestVerification(watched, { email });
        assertSame(rest, { expiresAt: scope.now.add({ minutes: 10 }) });
        ids.push(verificationId);
      }
      assert.deepEqual(
        enqueued,
        ids.map((verificationId) => ['verification-code', { verificationId }]),
      );
      const rows = await asSuperuser(
        'select channel, patient_ids, tries, sent_at, closed_at, length(message) > 0 as sealed from verifications where id = any ($1)',
        [ids],
      );
      assert.equal(rows.length, 2);
      assert.deepEqual(rows[0], rows[1]);
    }),
  );

  test(
    'closes the code asked for before',
    sandboxed(async (scope) => {
      const patient = await newPatient(scope);
      const first = await proven(scope, { email: patient.email });
      const second = await proven(scope, { email: patient.email });
      await assert.rejects(accounts.register(scope, first), accounts.VerificationFailed);
      await accounts.register(scope, second);
    }),
  );

  test(
    'is limited by contact, whether a patient has it or not, and by address',
    sandboxed(async (scope) => {
      const ask = (ip: string | null, email: string) =>
        accounts.requestVerification({ ...scope, request: { ...scope.request, ip } }, { email });
      for (const email of [(await newPatient(scope)).email ?? '', 'stranger@home.example']) {
        for (let i = 0; i < 3; i++) await ask(null, email);
        await assert.rejects(
          ask(null, email),
          (thrown) => thrown instanceof RateLimited && thrown.retryAfterSeconds === 60,
        );
      }
      for (let i = 0; i < 20; i++) await ask(`${i % 2 ? '::ffff:' : ''}192.0.2.99`, `stranger-${i}@home.example`);
      await assert.rejects(ask('192.0.2.99', 'another@home.example'), RateLimited);
      await ask('::ffff:192.0.2.98', 'another@home.example');
    }),
  );

  test(
    'keeps 64 callers with one contact to one open code',
    committed(async (scope) => {
      const quiet = { ...scope, request: { ...scope.request, ip: null } };
      const email = (await newPatient(scope)).email;
      const results = await Promise.allSettled(
        Array.from({ length: 64 }, () => accounts.requestVerification(quiet, { email })),
      );
      const ids = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value.verificationId] : []));
      assert.equal(ids.length, 3);
      const open = await asSuperuser('select id from verifications where id = any ($1) and closed_at is null', [ids]);
      assert.equal(open.length, 1);
    }),
  );

  test(
    'wants one contact that can be one',
    sandboxed(async (scope) => {
      for (const contact of [{}, { email: 'a@home.example', phone: '+12125550100' }, { email: 'a' }, { phone: '12' }]) {
        await assert.rejects(accounts.requestVerification(scope, contact), InvalidInput);
      }
    }),
  );
});

describe('deliverVerification', () => {
  const broken = (thrown: Error): accounts.CodeChannels => {
    const sender = { send: () => Promise.reject(thrown) };
    return { sms: sender, email: sender };
  };

  test(
    'sends the code once, by the way it was asked for, and erases it',
    committed(async (scope) => {
      const patient = await newPatient(scope);
      const { verificationId } = await accounts.requestVerification(scope, { phone: patient.phone });
      const { sent, channels } = outbox();
      const deliver = () => accounts.deliverVerification(scope, verificationId, channels);
      await deliver();
      const rows = await asSuperuser('select message from verifications where id = $1', [verificationId]);
      assert.deepEqual(rows, [{ message: null }]);
      await deliver();
      assert.equal(sent.length, 1);
      assert.equal(sent[0]?.channel, 'sms');
      assert.equal(sent[0]?.to, patient.phone);
      assert.match(sent[0]?.text ?? '', /^Your CareFlex code is \d{6}\. /);
    }),
  );

  test(
    'sends it once when several workers have the job at once',
    committed(async (scope) => {
      const { verificationId } = await accounts.requestVerification(scope, { email: (await newPatient(scope)).email });
      const { sent, channels } = outbox();
      await Promise.all(Array.from({ length: 8 }, () => accounts.deliverVerification(scope, verificationId, channels)));
      assert.equal(sent.length, 1);
    }),
  );

  test(
    'sends nothing to strangers, to the dead, or too late',
    sandboxed(async (scope) => {
      const { sent, channels } = outbox();
      const [late, dead] = [await newPatient(scope), await newPatient(scope, { status: 'DECEASED' })];
      const ask = async (email: string | null) => (await accounts.requestVerification(scope, { email })).verificationId;
      await accounts.deliverVerification(scope, await ask('stranger@home.example'), channels);
      await accounts.deliverVerification(scope, await ask(dead.email), channels);
      await accounts.deliverVerification(later(scope, { minutes: 10 }), await ask(late.email), channels);
      await accounts.deliverVerification(scope, randomUUID(), channels);
      assert.deepEqual(sent, []);
    }),
  );

  test(
    'can be tried again when the message could not be sent',
    sandboxed(async (scope) => {
      const { verificationId } = await accounts.requestVerification(scope, { email: (await newPatient(scope)).email });
      const failing = accounts.deliverVerification(scope, verificationId, broken(new Unavailable('503')));
      await assert.rejects(failing, Unavailable);
      assert.match(await receiveCode(scope, verificationId), /^\d{6}$/);
    }),
  );

  test(
    'is not tried again when the message may have been sent, or never will be',
    committed(async (scope) => {
      for (const thrown of [new Unknown('TIMEOUT'), new Refused('550'), new Error('a fault of ours')]) {
        const { email } = await newPatient(scope);
        const { verificationId } = await accounts.requestVerification(scope, { email });
        await assert.rejects(accounts.deliverVerification(scope, verificationId, broken(thrown)), thrown);
        const rows = await asSuperuser('select message from verifications where id = $1', [verificationId]);
        assert.deepEqual(rows, [{ message: null }]);
        assert.equal(await receiveCode(scope, verificationId), 'none');
      }
    }),
  );
});
