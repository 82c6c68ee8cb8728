import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import * as care from '#care';
import * as notifications from '#notifications';
import { Forbidden, IdempotencyMismatch, NotFound } from '#platform/errors';
import { asSystem, type Scope, transact } from '#platform/scope';
import { react } from '../src/reactions.ts';
import { auditSoFar } from './support/audit.ts';
import { aPatient, eventsSoFar, issuesOf } from './support/patients.ts';
import { assertSame } from './support/same.ts';
import { actor, as, asSuperuser, committed, sandboxed } from './support/testing.ts';

const PHONE = '+14155550142';
const PROOF = { contactKind: 'PHONE', evidence: 'Said yes on the phone' } as const;

const newPatient = (scope: Scope, more: Partial<care.NewPatient> = {}) =>
  care.createPatient(scope, aPatient({ phone: PHONE, email: `${randomUUID()}@example.com`, ...more }));

const own = (scope: Scope, { id }: care.Patient) => as(scope, actor('patient', { patientId: id }));
const later = (scope: Scope, seconds: number) => ({ ...scope, now: scope.now.add({ seconds }) });

async function stands(scope: Scope, patientId: string, contact = PHONE) {
  return transact(asSystem(scope), async (scope) => {
    const { consented, optedOut } = (await notifications.standing(scope, [{ patientId, contact }])).of(
      patientId,
      contact,
    );
    return { consented, optedOut };
  });
}

describe('recordConsent', () => {
  test(
    'lets patients agree to our words, staff write down what proves it, and nobody else anything',
    sandboxed(async (scope) => {
      const patient = await newPatient(scope);
      const said = await notifications.recordConsent(own(scope, patient), patient.id, { contactKind: 'EMAIL' });
      const { contactKind, contact, purpose, status, source, wordingVersion, evidence, recordedRole } = said;
      assert.deepEqual(
        { contactKind, contact, purpose, status, source, wordingVersion, evidence, recordedRole },
        {
          contactKind: 'EMAIL',
          contact: patient.email,
          purpose: 'CARE_REMINDER',
          status: 'GIVEN',
          source: 'PATIENT',
          wordingVersion: 'care-reminder-1',
          evidence: null,
          recordedRole: 'patient',
        },
      );
      assertSame(said.recordedAt, scope.now);
      const noted = await notifications.recordConsent(scope, patient.id, PROOF);
      assert.deepEqual([noted.source, noted.evidence, noted.contact], ['AGENT', PROOF.evidence, PHONE]);
      const form = { ...PROOF, source: 'WRITTEN_FORM', wordingVersion: 'form 7b' } as const;
      assert.equal((await notifications.recordConsent(scope, patient.id, form)).wordingVersion, 'form 7b');
      const byAuditor = notifications.recordConsent(as(scope, 'auditor'), patient.id, PROOF);
      await assert.rejects(byAuditor, Forbidden);
      const other = as(scope, actor('patient', { patientId: randomUUID() }));
      await assert.rejects(notifications.recordConsent(other, patient.id, { contactKind: 'PHONE' }), NotFound);
      assert.deepEqual(
        (await auditSoFar(scope, 'consent.record')).map(({ outcome }) => outcome),
        ['SUCCESS', 'SUCCESS', 'SUCCESS', 'DENIED', 'DENIED'],
      );
    }),
  );

  test(
    'refuses a source that is not the actor’s, staff without proof, and words that we never said',
    sandboxed(async (scope) => {
      const patient = await newPatient(scope);
      const mine = own(scope, patient);
      const asking = (who: Scope, input: object) =>
        issuesOf(notifications.recordConsent(who, patient.id, { contactKind: 'PHONE', ...input }));
      assert.deepEqual(await asking(mine, { source: 'AGENT' }), { source: 'expected one of PATIENT' });
      assert.deepEqual(await asking(scope, { source: 'PATIENT' }), { source: 'expected one of AGENT, WRITTEN_FORM' });
      assert.deepEqual(await asking(scope, {}), { evidence: 'expected what proves it' });
      assert.deepEqual(Object.keys(await asking(scope, { source: 'WRITTEN_FORM' })), ['wordingVersion', 'evidence']);
      assert.deepEqual(Object.keys(await asking(mine, { wordingVersion: 'survey-1' })), ['wordingVersion']);
      assert.deepEqual(Object.keys(await asking(mine, { evidence: 'I swear' })), ['evidence']);
      assert.deepEqual(Object.keys(await asking(mine, { contact: '+14155550143' })), ['contact']);
    }),
  );

  test(
    'is for the number that was shown and is on record, once per key',
    sandboxed(async (scope) => {
      const patient = await newPatient(scope);
      const input = { ...PROOF, contact: '(415) 555-0142', idempotencyKey: 'k' };
      const first = await notifications.recordConsent(scope, patient.id, input);
      assertSame(await notifications.recordConsent(later(scope, 5), patient.id, input), first);
      const other = notifications.recordConsent(scope, patient.id, { ...input, evidence: 'Another' });
      await assert.rejects(other, IdempotencyMismatch);
      const topics = (await eventsSoFar(scope)).filter(({ topic }) => topic.startsWith('consent.'));
      assert.deepEqual(topics, [{ topic: 'consent.given', payload: { patientId: patient.id, consentId: first.id } }]);
      const bare = await care.createPatient(scope, aPatient());
      await assert.rejects(notifications.recordConsent(scope, bare.id, PROOF), NotFound);
    }),
  );
});

describe('a consent', () => {
  test(
    'does not follow a changed number, and is there again with the old one',
    sandboxed(async (scope) => {
      const { id } = await newPatient(scope);
      await notifications.recordConsent(scope, id, PROOF);
      await care.updatePatient(scope, id, { phone: '+14155550143' });
      assert.deepEqual(await stands(scope, id, '+14155550143'), { consented: false, optedOut: false });
      const moved = await care.getPatient(scope, id);
      const [former] = (await notifications.consentsOf(scope, [moved])).get(id) ?? [];
      assert.deepEqual([former?.status, former?.contact], ['GIVEN', null]);
      await care.updatePatient(scope, id, { phone: PHONE });
      assert.deepEqual(await stands(scope, id), { consented: true, optedOut: false });
    }),
  );

  test(
    'is one patient’s and one purpose’s',
    sandboxed(async (scope) => {
      const [a, b] = [await newPatient(scope), await newPatient(scope)];
      await notifications.recordConsent(scope, a.id, PROOF);
      await notifications.recordConsent(scope, b.id, { ...PROOF, purpose: 'SURVEY' });
      assert.deepEqual([(await stands(scope, a.id)).consented, (await stands(scope, b.id)).consented], [true, false]);
    }),
  );

  test(
    'is what was said last, by time and then by id, in whatever order it was written',
    sandboxed(async (scope) => {
      const { id } = await newPatient(scope);
      await notifications.withdrawConsent(later(scope, 10), id, { contactKind: 'PHONE' });
      await notifications.recordConsent(scope, id, PROOF);
      assert.equal((await stands(scope, id)).consented, false);
      await notifications.recordConsent(later(scope, 20), id, PROOF);
      assert.equal((await stands(scope, id)).consented, true);
      const same = await notifications.withdrawConsent(later(scope, 20), id, { contactKind: 'PHONE' });
      const patient = await care.getPatient(scope, id);
      const { items } = await notifications.consentHistory(scope, patient, { first: 2 });
      assert.ok((items[0]?.node.id ?? '') > (items[1]?.node.id ?? ''));
      assert.equal((await stands(scope, id)).consented, items[0]?.node.id !== same.id);
    }),
  );

  test(
    'given and withdrawn by many at once is the newest, and all of it is in the history',
    committed(async (scope) => {
      const patient = await newPatient(scope, { phone: '+14155550177' });
      // Fewer than the pool has connections: each waits for the patient's row, none for a connection.
      const changes = Array.from({ length: 15 }, async (_, i) => {
        const at = later(scope, (i * 7) % 15);
        return i % 3 === 0
          ? notifications.withdrawConsent(at, patient.id, { contactKind: 'PHONE' })
          : notifications.recordConsent(at, patient.id, PROOF);
      });
      const done = await Promise.all(changes);
      const newest = done.toSorted((a, b) => Temporal.Instant.compare(b.recordedAt, a.recordedAt))[0];
      const [current] = (await notifications.consentsOf(scope, [patient])).get(patient.id) ?? [];
      assert.equal(current?.id, newest?.id);
      assert.equal((await stands(scope, patient.id, '+14155550177')).consented, newest?.status === 'GIVEN');
      const history = await notifications.consentHistory(scope, patient, { first: 100 });
      assert.equal(history.items.length, 15);
    }),
  );

  test(
    'shows its history page by page, with the proof to staff and without it to the patient',
    sandboxed(async (scope) => {
      const patient = await newPatient(scope);
      for (let i = 0; i < 3; i++) await notifications.recordConsent(later(scope, i), patient.id, PROOF);
      const first = await notifications.consentHistory(scope, patient, { first: 2 });
      const rest = await notifications.consentHistory(scope, patient, { first: 2, after: first.items[1]?.cursor });
      assert.deepEqual(
        [first.items.length, first.hasNextPage, rest.items.length, rest.hasNextPage],
        [2, true, 1, false],
      );
      assert.deepEqual(
        first.items.map(({ node }) => node.evidence),
        [PROOF.evidence, PROOF.evidence],
      );
      const seen = await notifications.consentHistory(own(scope, patient), patient);
      assert.deepEqual(
        seen.items.map(({ node }) => node.evidence),
        [null, null, null],
      );
      const foreign = as(scope, actor('patient', { patientId: randomUUID() }));
      await assert.rejects(notifications.consentHistory(foreign, patient), NotFound);
      await assert.rejects(notifications.consentsOf(foreign, [patient]), Forbidden);
      await assert.rejects(notifications.consentsOf(as(scope, 'auditor'), [patient]), Forbidden);
    }),
  );
});

describe('importConsents', () => {
  const FROM = { wordingVersion: 'other system', evidence: 'Form 12 of the other system' };

  test(
    'records phone and address of each, once, and undoes no withdrawal',
    sandboxed(async (scope) => {
      const system = as(scope, 'system');
      const [a, b, bare] = [
        await newPatient(scope),
        await newPatient(scope),
        await care.createPatient(scope, aPatient()),
      ];
      await notifications.withdrawConsent(scope, b.id, { contactKind: 'PHONE' });
      const ids = [a.id, b.id, bare.id];
      assert.equal(await notifications.importConsents(system, ids, FROM), 3);
      assert.equal(await notifications.importConsents(later(system, 60), ids, FROM), 0);
      assert.deepEqual([(await stands(scope, a.id)).consented, (await stands(scope, b.id)).consented], [true, false]);
      assert.equal((await stands(scope, b.id, b.email ?? '')).consented, true);
      const [given] = (await notifications.consentsOf(scope, [a])).get(a.id) ?? [];
      assert.deepEqual([given?.source, given?.evidence], ['IMPORT', FROM.evidence]);
      const told = (await eventsSoFar(scope)).filter(
        ({ topic, payload }) => topic === 'consent.given' && ids.some((id) => JSON.stringify(payload).includes(id)),
      );
      assert.equal(told.length, 3);
      await assert.rejects(notifications.importConsents(as(scope, 'admin'), ids, FROM), Forbidden);
    }),
  );
});

describe('an opt-out', () => {
  test(
    'is the number’s: it wins over every consent of all who share it, until it is taken back',
    sandboxed(async (scope) => {
      const [a, b] = [await newPatient(scope), await newPatient(scope)];
      for (const { id } of [a, b]) await notifications.recordConsent(scope, id, PROOF);
      const out = await notifications.optOut(own(scope, a), a.id, { contactKind: 'PHONE', idempotencyKey: 'k' });
      assert.deepEqual([out.contact, out.optedOut, out.source], [PHONE, true, 'PATIENT']);
      assert.deepEqual(await stands(scope, b.id), { consented: true, optedOut: true });
      await notifications.recordConsent(later(scope, 9), b.id, PROOF);
      assert.equal((await stands(scope, b.id)).optedOut, true);
      assert.deepEqual(
        (await notifications.optOutsOf(own(scope, a), [a])).get(a.id)?.map(({ optedOut }) => optedOut),
        [true],
      );
      await notifications.optIn(later(own(scope, a), 10), a.id, { contactKind: 'PHONE' });
      assert.deepEqual(await stands(scope, b.id), { consented: true, optedOut: false });
      const repeat = await notifications.optOut({ ...later(scope, 20), actor: { ...scope.actor } }, a.id, {
        contactKind: 'PHONE',
      });
      assert.equal(repeat.source, 'AGENT');
      const topics = (await eventsSoFar(scope))
        .map(({ topic }) => topic)
        .filter((topic) => topic.startsWith('contact.'));
      assert.deepEqual(topics, ['contact.opted_out', 'contact.opted_in', 'contact.opted_out']);
      assert.equal((await auditSoFar(scope, 'optOut.record')).length, 2);
    }),
  );

  test(
    'that came from the number itself is news once, and only the number takes it back',
    sandboxed(async (scope) => {
      const system = as(scope, 'system');
      const patient = await newPatient(scope);
      const said = { contact: PHONE, source: 'INBOUND_MESSAGE' } as const;
      assert.deepEqual(await notifications.holderOptsOut(system, said), { changed: true });
      assert.deepEqual(await notifications.holderOptsOut(later(system, 1), said), { changed: false });
      for (const who of [own(scope, patient), scope, as(scope, 'admin')]) {
        const attempt = notifications.optIn(later(who, 2), patient.id, { contactKind: 'PHONE' });
        await assert.rejects(attempt, notifications.OptedOutByMessage);
      }
      assert.deepEqual(await notifications.holderOptsIn(later(system, 3), said), { changed: true });
      assert.equal((await stands(scope, patient.id)).optedOut, false);
      await assert.rejects(notifications.holderOptsOut(scope, said), Forbidden);
    }),
  );

  test(
    'of another patient’s number is not a patient’s to make or see',
    sandboxed(async (scope) => {
      const patient = await newPatient(scope);
      const stranger = as(scope, actor('patient', { patientId: randomUUID() }));
      await assert.rejects(notifications.optOut(stranger, patient.id, { contactKind: 'PHONE' }), NotFound);
      await assert.rejects(notifications.optIn(stranger, patient.id, { contactKind: 'PHONE' }), NotFound);
      await assert.rejects(notifications.optOutsOf(stranger, [patient]), Forbidden);
      await assert.rejects(notifications.optOut(as(scope, 'auditor'), patient.id, { contactKind: 'PHONE' }), Forbidden);
    }),
  );
});

describe('routesTo', () => {
  const channels = fc.uniqueArray(fc.constantFrom(...care.CHANNELS));
  const standing = fc.record({ consented: fc.boolean(), optedOut: fc.boolean() });
  const contact = (text: string) => fc.option(fc.constant(text));

  test('has channels that are preferred, consented and not opted out, in the patient’s order, and no other', () => {
    const patients = fc.record({
      channels,
      phone: contact(PHONE),
      email: contact('a@example.com'),
      p: standing,
      e: standing,
    });
    fc.assert(
      fc.property(patients, ({ channels, phone, email, p, e }) => {
        const preferences = { channels, quietHours: { from: '20:00', to: '09:00' } };
        const standings = {
          of: (_id: string, to: string) => ({ contactIndex: Buffer.from(to), ...(to === PHONE ? p : e) }),
        };
        const patient = { patientId: 'p', phone, email, preferences };
        const { routes, reason } = notifications.routesTo(patient, standings);
        const open = (channel: care.Channel) => {
          const [to, { consented, optedOut }] = channel === 'EMAIL' ? [email, e] : [phone, p];
          return to !== null && consented && !optedOut;
        };
        assert.deepEqual(
          routes.map(({ channel }) => channel),
          channels.filter(open),
        );
        assert.equal(reason === null, routes.length > 0);
      }),
    );
  });

  test('says why there is none', () => {
    const patient = { patientId: 'p', phone: PHONE, email: null };
    const why = (channels: care.Channel[], consented: boolean, optedOut: boolean) =>
      notifications.routesTo(
        { ...patient, preferences: { channels, quietHours: { from: '20:00', to: '09:00' } } },
        { of: () => ({ contactIndex: Buffer.alloc(0), consented, optedOut }) },
      ).reason;
    assert.deepEqual(
      [why(['EMAIL'], true, false), why([], true, false), why(['SMS'], false, false), why(['VOICE'], true, true)],
      ['NO_CHANNEL', 'NO_CHANNEL', 'NO_CONSENT', 'OPTED_OUT'],
    );
  });
});

describe('a copy of the database', () => {
  const stored = async () =>
    (
      await asSuperuser<{ row: string }>(
        'select t::text as row from consents t union all select t::text from opt_outs t union all select t::text from events t union all select t::text from idempotency_keys t',
      )
    )
      .map(({ row }) => row)
      .join('\n')
      .toLowerCase();

  test(
    'shows no number, no address and no proof, and after an erasure nothing that leads to them',
    committed(async (scope) => {
      const reacting = { ...scope, react: react as NonNullable<Scope['react']> };
      const patient = await newPatient(scope, { phone: '+14155550199', email: 'quixworthy@example.com' });
      const evidence = 'Zebulonia agreed on line 4155550199';
      await notifications.recordConsent(scope, patient.id, {
        contactKind: 'PHONE',
        evidence,
        idempotencyKey: '4155550199',
      });
      await notifications.recordConsent(scope, patient.id, { contactKind: 'EMAIL', evidence });
      await notifications.optOut(scope, patient.id, { contactKind: 'PHONE', contact: '+14155550199' });
      const text = await stored();
      assert.ok(text.includes(patient.id));
      for (const word of ['4155550199', 'quixworthy', 'zebulonia']) {
        assert.ok(!text.includes(word), word);
        assert.ok(!text.includes(Buffer.from(word).toString('hex')), `${word} in hex`);
      }
      await care.erasePatient({ ...reacting, actor: actor('admin') }, patient.id);
      const rows = await asSuperuser<{ contact_index: Buffer | null; evidence: Buffer | null; status: string }>(
        'select contact_index, evidence, status from consents where patient_id = $1',
        [patient.id],
      );
      const empty = { contact_index: null, evidence: null, status: 'GIVEN' };
      assert.deepEqual(rows, [empty, empty]);
      const history = await notifications.consentHistory(scope, patient);
      assert.deepEqual(
        history.items.map(({ node }) => [node.contact, node.evidence]),
        [
          [null, null],
          [null, null],
        ],
      );
      assert.equal((await stands(scope, patient.id, '+14155550199')).consented, false);
    }),
  );
});
