import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, test } from 'node:test';
import * as accounts from '#accounts';
import * as audit from '#audit';
import * as care from '#care';
import { IdempotencyMismatch, InvalidInput, NotFound, RateLimited } from '#platform/errors';
import type { Scope } from '#platform/scope';
import { later, newUser, other, outbox, receiveCode, trail } from './support/accounts.ts';
import { aPatient, eventsSoFar } from './support/patients.ts';
import { actor, as, asSuperuser, committed, sandboxed } from './support/testing.ts';
import { assertSame } from './support/same.ts';

const newEmail = () => `new-${randomUUID()}@home.example`;
let phones = 100;
const newPhone = () => `+1212555${String(phones++).padStart(4, '0')}`;

/** A patient, and the scope of their requests; without a network address, since many tests share it. */
async function newPatient(scope: Scope, more: Partial<care.NewPatient> = {}) {
  const patient = await care.createPatient(scope, aPatient({ email: newEmail(), dateOfBirth: '1950-05-05', ...more }));
  const own = as(scope, actor('patient', { patientId: patient.id }));
  return { patient, own: { ...own, request: { ...own.request, ip: null } } };
}

/** The code that came to the new contact. */
async function received(own: Scope, contact: accounts.Contact): Promise<accounts.ContactProof> {
  const { verificationId } = await accounts.requestContactChange(own, contact);
  return { verificationId, code: await receiveCode(own, verificationId) };
}

const refused = { code: 'VERIFICATION_FAILED', message: 'The code is wrong, or has expired' };

describe('confirmContactChange', () => {
  for (const [field, contact] of [
    ['email', { email: 'Ada.New@Home.example' }],
    ['phone', { phone: '(212) 555-0142' }],
  ] as const) {
    test(
      `writes the ${field} that the code was sent to into the caller’s own record`,
      sandboxed(async (scope) => {
        const { patient, own } = await newPatient(scope);
        const { verificationId } = await accounts.requestContactChange(own, contact);
        assert.equal((await care.getPatient(own, patient.id)).version, 1);
        const { sent, channels } = outbox();
        await accounts.deliverVerification(scope, verificationId, channels);
        const code = /\d{6}/.exec(sent[0]?.text ?? '')?.[0] ?? '';
        const before = (await eventsSoFar(scope)).length;

        const changed = await accounts.confirmContactChange(own, { verificationId, code });
        const to = { email: 'ada.new@home.example', phone: '+12125550142' }[field];
        assert.deepEqual([sent.length, sent[0]?.to, changed[field], changed.version], [1, to, to, 2]);
        assertSame(await care.getPatient(own, patient.id), changed);
        assert.deepEqual((await eventsSoFar(scope)).slice(before), [
          { topic: 'patient.updated', payload: { patientId: patient.id } },
        ]);
      }),
    );
  }

  test(
    'is on record, and keeps nothing of the contact but a hash',
    committed(async (scope) => {
      const { patient, own } = await newPatient(scope);
      const proof = await received(own, { email: newEmail() });
      const pending = 'select contact is null as gone, message, patient_id from verifications where id = $1';
      assert.deepEqual(await asSuperuser(pending, [proof.verificationId]), [
        { gone: false, message: null, patient_id: patient.id },
      ]);
      await assert.rejects(accounts.confirmContactChange(own, { ...proof, code: other(proof.code) }), refused);
      await accounts.confirmContactChange(own, proof);
      assert.deepEqual(await asSuperuser(pending, [proof.verificationId]), [
        { gone: true, message: null, patient_id: patient.id },
      ]);
      assert.deepEqual(await trail(proof.verificationId), [
        'contact.request SUCCESS',
        'contact.confirm FAILURE',
        'contact.confirm SUCCESS',
      ]);
      const { items } = await audit.list(as(scope, 'admin'), { action: 'patient.update', resourceId: patient.id });
      assert.deepEqual(
        items.map(({ node }) => [node.userId, node.outcome, node.changedFields]),
        [[own.actor.id, 'SUCCESS', ['email']]],
      );
    }),
  );

  test(
    'leaves what the user signs in with as it is',
    sandboxed(async (scope) => {
      const { patient, own } = await newPatient(scope);
      const { email } = patient;
      const { verificationId } = await accounts.requestVerification(scope, { email });
      const code = await receiveCode(scope, verificationId);
      const password = 'quiet river';
      const input = { verificationId, code, dateOfBirth: '1950-05-05', email: email ?? '', password };
      const viewer = await accounts.register(scope, input);
      await accounts.confirmContactChange(own, await received(own, { email: newEmail() }));
      assert.equal((await accounts.login(scope, { email: email ?? '', password })).viewer.id, viewer.id);
    }),
  );

  test(
    'refuses a wrong code, a late one, a spent one, a replaced one and one that never was with one answer',
    sandboxed(async (scope) => {
      const { patient, own } = await newPatient(scope);
      const email = newEmail();
      const replaced = await received(own, { email });
      const proof = await received(own, { email });
      const confirm = (at: Scope, more: accounts.ContactProof) => accounts.confirmContactChange(at, more);
      await assert.rejects(confirm(own, replaced), refused);
      await assert.rejects(confirm(own, { ...proof, code: other(proof.code) }), refused);
      await assert.rejects(confirm(own, { ...proof, verificationId: randomUUID() }), refused);
      await assert.rejects(confirm(later(own, { minutes: 10 }), proof), refused);
      assert.equal((await care.getPatient(own, patient.id)).version, 1);
      await confirm(later(own, { minutes: 9 }), proof);
      await assert.rejects(confirm(own, proof), refused);
    }),
  );

  test(
    'gives a code five tries, and no sixth to callers at once',
    committed(async (scope) => {
      const { patient, own } = await newPatient(scope);
      const proof = await received(own, { email: newEmail() });
      const wrong = { ...proof, code: other(proof.code) };
      await Promise.allSettled(Array.from({ length: 16 }, () => accounts.confirmContactChange(own, wrong)));
      const rows = await asSuperuser('select tries from verifications where id = $1', [proof.verificationId]);
      assert.deepEqual(rows, [{ tries: 5 }]);
      await assert.rejects(accounts.confirmContactChange(own, proof), refused);
      assert.equal((await care.getPatient(own, patient.id)).email, patient.email);
    }),
  );

  test(
    'takes a code from the patient who asked for it alone, and counts nobody else’s tries',
    committed(async (scope) => {
      const [mine, theirs] = [await newPatient(scope), await newPatient(scope)];
      const proof = await received(mine.own, { email: newEmail() });
      for (let i = 0; i < 6; i++) await assert.rejects(accounts.confirmContactChange(theirs.own, proof), refused);
      assert.equal((await care.getPatient(theirs.own, theirs.patient.id)).version, 1);
      const rows = await asSuperuser('select tries from verifications where id = $1', [proof.verificationId]);
      assert.deepEqual(rows, [{ tries: 0 }]);
      await accounts.confirmContactChange(mine.own, proof);
    }),
  );

  test(
    'takes the code of one address for no other, nor that of a registration, and a registration not this one',
    sandboxed(async (scope) => {
      const { patient, own } = await newPatient(scope);
      const first = await received(own, { email: newEmail() });
      const second = await received(own, { phone: newPhone() });
      for (const { code, verificationId } of [
        { ...first, code: second.code },
        { ...second, code: first.code },
      ]) {
        if (first.code === second.code) continue;
        await assert.rejects(accounts.confirmContactChange(own, { code, verificationId }), refused);
      }
      const asked = await accounts.requestVerification(scope, { email: patient.email });
      const registering = {
        verificationId: asked.verificationId,
        code: await receiveCode(scope, asked.verificationId),
      };
      await assert.rejects(accounts.confirmContactChange(own, registering), refused);

      const identity = { dateOfBirth: '1950-05-05', email: newEmail(), password: 'quiet river' };
      await assert.rejects(accounts.register(scope, { ...first, ...identity }), accounts.VerificationFailed);
      await accounts.register(scope, { ...registering, ...identity });
      await accounts.confirmContactChange(own, first);
      await accounts.confirmContactChange(own, second);
    }),
  );

  test(
    'says that another patient has the e-mail address to whom has proven it alone, and lets a phone be shared',
    sandboxed(async (scope) => {
      const [{ own }, taken] = [await newPatient(scope), await newPatient(scope, { phone: newPhone() })];
      const proof = await received(own, { email: taken.patient.email });
      await assert.rejects(accounts.confirmContactChange(own, { ...proof, code: other(proof.code) }), refused);
      await assert.rejects(accounts.confirmContactChange(own, proof), care.EmailTaken);
      await care.deletePatient(scope, taken.patient.id);
      assert.equal((await accounts.confirmContactChange(own, proof)).email, taken.patient.email);
      const { phone } = taken.patient;
      assert.equal((await accounts.confirmContactChange(own, await received(own, { phone }))).phone, phone);
    }),
  );

  test(
    'is done once per idempotency key, and refuses the key for another code',
    sandboxed(async (scope) => {
      const { own } = await newPatient(scope);
      const idempotencyKey = randomUUID();
      const proof = { ...(await received(own, { email: newEmail() })), idempotencyKey };
      const wrong = { ...proof, code: other(proof.code) };
      await assert.rejects(accounts.confirmContactChange(own, wrong), refused);
      const changed = await accounts.confirmContactChange(own, proof);
      assertSame(await accounts.confirmContactChange(own, proof), changed);
      assertSame(await accounts.confirmContactChange(later(own, { hours: 24 }), proof), changed);
      await assert.rejects(accounts.confirmContactChange(own, wrong), IdempotencyMismatch);
    }),
  );

  test(
    'changes the record once for 64 callers at once, and answers each of those with the same key',
    committed(async (scope) => {
      for (const idempotencyKey of [null, randomUUID()]) {
        const { patient, own } = await newPatient(scope);
        const email = newEmail();
        const proof = { ...(await received(own, { email })), idempotencyKey };
        const results = await Promise.allSettled(
          Array.from({ length: 64 }, () => accounts.confirmContactChange(own, proof)),
        );
        const won = results.filter(({ status }) => status === 'fulfilled');
        assert.equal(won.length, idempotencyKey === null ? 1 : 64);
        for (const result of results) {
          assert.ok(result.status === 'fulfilled' || result.reason instanceof accounts.VerificationFailed);
        }
        const { email: written, version } = await care.getPatient(own, patient.id);
        assert.deepEqual([written, version], [email, 2]);
      }
    }),
  );

  test(
    'wants an id and six digits before anything is tried',
    sandboxed(async (scope) => {
      const { own } = await newPatient(scope);
      const proof = await received(own, { email: newEmail() });
      for (const wrong of [{ code: '12345' }, { code: 'abcdef' }, { verificationId: 'x' }]) {
        for (let i = 0; i < 6; i++) {
          await assert.rejects(accounts.confirmContactChange(own, { ...proof, ...wrong }), InvalidInput);
        }
      }
      await accounts.confirmContactChange(own, proof);
    }),
  );
});

describe('requestContactChange', () => {
  test(
    'answers, does and sends the same whether another patient has the address or not',
    committed(async (scope) => {
      const { own } = await newPatient(scope);
      const taken = (await newPatient(scope)).patient.email;
      const user = await newUser(scope, { password: null });
      const enqueued: unknown[] = [];
      const watched: Scope = {
        ...own,
        jobs: { ...own.jobs, enqueue: async (_scope, queue, payload) => void enqueued.push([queue, payload]) },
      };
      const { sent, channels } = outbox();
      const ids: string[] = [];
      for (const email of [taken, user.email, newEmail()]) {
        const { verificationId, ...rest } = await accounts.requestContactChange(watched, { email });
        assertSame(rest, { expiresAt: scope.now.add({ minutes: 10 }) });
        await accounts.deliverVerification(scope, verificationId, channels);
        ids.push(verificationId);
      }
      assert.deepEqual(
        enqueued,
        ids.map((verificationId) => ['verification-code', { verificationId }]),
      );
      assert.deepEqual(
        sent.map(({ text }) => text.replace(/\d{6}/, 'CODE')),
        Array.from({ length: 3 }, () => sent[0]?.text.replace(/\d{6}/, 'CODE')),
      );
      const rows = await asSuperuser(
        `select distinct channel, patient_id, patient_ids, tries, sent_at, closed_at, message, length(contact) > 0 as sealed
           from verifications where id = any ($1)`,
        [ids],
      );
      assert.equal(rows.length, 1);
      assert.deepEqual(
        (await Promise.all(ids.map(trail))).flat(),
        ids.map(() => 'contact.request SUCCESS'),
      );
    }),
  );

  test(
    'is limited by the new contact, by the patient and by address, and a refusal is on record',
    committed(async (scope) => {
      const { own } = await newPatient(scope);
      const email = newEmail();
      for (let i = 0; i < 3; i++) await accounts.requestContactChange(own, { email });
      const after60 = (thrown: unknown) => thrown instanceof RateLimited && thrown.retryAfterSeconds === 60;
      await assert.rejects(accounts.requestContactChange(own, { email }), after60);
      // The same count as a stranger's who asks for a code to it.
      await assert.rejects(accounts.requestVerification(own, { email }), after60);
      for (let i = 0; i < 2; i++) await accounts.requestContactChange(own, { email: newEmail() });
      await assert.rejects(accounts.requestContactChange(own, { email: newEmail() }), after60);
      const denied = await asSuperuser(`select action from audit_entries where user_id = $1 and outcome = 'DENIED'`, [
        own.actor.id,
      ]);
      assert.deepEqual(
        denied.map(({ action }) => action),
        ['contact.request', 'contact.request'],
      );

      const near = { ...scope.request, ip: '198.51.100.7' };
      for (let i = 0; i < 20; i++) {
        const { own } = await newPatient(scope);
        await accounts.requestContactChange({ ...own, request: near }, { email: newEmail() });
      }
      const last = await newPatient(scope);
      await assert.rejects(
        accounts.requestContactChange({ ...last.own, request: near }, { email: newEmail() }),
        RateLimited,
      );
    }),
  );

  test(
    'answers a repeat with the first code’s id and sends no other, until the code is forgotten',
    sandboxed(async (scope) => {
      const { own } = await newPatient(scope);
      const idempotencyKey = randomUUID();
      const input = { email: newEmail(), idempotencyKey };
      const first = await accounts.requestContactChange(own, input);
      for (let i = 0; i < 5; i++) assertSame(await accounts.requestContactChange(own, input), first);
      await accounts.confirmContactChange(own, {
        verificationId: first.verificationId,
        code: await receiveCode(own, first.verificationId),
      });
      assertSame(await accounts.requestContactChange(own, input), first);
      await assert.rejects(accounts.requestContactChange(own, { ...input, email: newEmail() }), IdempotencyMismatch);
      const tomorrow = later(own, { hours: 24 });
      await accounts.forgetExpired(tomorrow);
      await assert.rejects(accounts.requestContactChange(tomorrow, input), NotFound);
    }),
  );

  test(
    'keeps 64 callers with one contact to one open code, and those with one key to one code',
    committed(async (scope) => {
      const open = 'select id from verifications where id = any ($1) and closed_at is null';
      for (const [idempotencyKey, answered, made] of [
        [null, 3, 3],
        [randomUUID(), 64, 1],
      ] as const) {
        const { own } = await newPatient(scope);
        const email = newEmail();
        const results = await Promise.allSettled(
          Array.from({ length: 64 }, () => accounts.requestContactChange(own, { email, idempotencyKey })),
        );
        const ids = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value.verificationId] : []));
        assert.deepEqual([ids.length, new Set(ids).size], [answered, made]);
        assert.equal((await asSuperuser(open, [ids])).length, 1);
      }
    }),
  );

  test(
    'sends nothing for whom has been deleted, erased or found deceased meanwhile',
    sandboxed(async (scope) => {
      const { sent, channels } = outbox();
      const ends: ((id: string) => Promise<unknown>)[] = [
        (id) => care.deletePatient(scope, id),
        (id) => care.erasePatient(as(scope, 'admin'), id),
        (id) => care.updatePatient(scope, id, { status: 'DECEASED' }),
      ];
      for (const end of ends) {
        const { patient, own } = await newPatient(scope);
        const { verificationId } = await accounts.requestContactChange(own, { email: newEmail() });
        await end(patient.id);
        await accounts.deliverVerification(scope, verificationId, channels);
      }
      assert.deepEqual(sent, []);
    }),
  );

  test(
    'wants one contact that can be one',
    sandboxed(async (scope) => {
      const { own } = await newPatient(scope);
      for (const contact of [{}, { email: 'a@home.example', phone: '+12125550100' }, { email: 'a' }, { phone: '12' }]) {
        await assert.rejects(accounts.requestContactChange(own, contact), InvalidInput);
      }
    }),
  );
});
