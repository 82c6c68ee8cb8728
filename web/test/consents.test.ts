import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as care from '@careflex/core/care';
import * as notifications from '@careflex/core/notifications';
import { asSuperuser } from '@careflex/core/testing';
import { dataOf, type SignedInRole, type Person, useApi } from './support/api.ts';
import { newPatient } from './support/visits.ts';

const api = useApi();
const PHONE = '+14155550142';

const RECORD = `mutation($id: ID!, $input: RecordConsentInput!, $key: String) {
  it: recordConsent(patientId: $id, input: $input, idempotencyKey: $key) { __typename ... on Consent { id contact status source evidence }
    ... on InvalidInput { issues { path } } ... on Problem { code } } }`;
const READ = `query($id: ID!) { patient(id: $id) { consents { contactKind purpose status source evidence recordedByRole }
  optOuts { contact optedOut source } consentHistory { edges { node { status evidence } } } } }`;
const change = (name: string) => `mutation($id: ID!, $key: String) {
  it: ${name}(patientId: $id, input: { contactKind: PHONE }, idempotencyKey: $key) { __typename ... on Problem { code } } }`;

type Who = SignedInRole | Person;
const ask = async (query: string, variables: object, as: Who) =>
  dataOf<Record<string, unknown>>(await api.graphql(query, variables, { as }), query === READ ? 'patient' : 'it');

describe('consents', () => {
  test('are given, withdrawn and read by the patient and by staff, the proof by staff alone', async () => {
    const patient = await api.newPerson('patient');
    const id = patient.patientId as string;
    await care.updatePatient(api.systemScope(), id, { phone: PHONE });
    const given = await ask(RECORD, { id, input: { contactKind: 'PHONE' }, key: 'k' }, patient);
    assert.deepEqual([given['status'], given['source'], given['contact']], ['GIVEN', 'PATIENT', PHONE]);
    assert.equal((await ask(RECORD, { id, input: { contactKind: 'PHONE' }, key: 'k' }, patient))['id'], given['id']);
    const unproven = await ask(RECORD, { id, input: { contactKind: 'PHONE' } }, 'agent');
    assert.deepEqual(unproven['issues'], [{ path: ['evidence'] }]);
    const evidence = 'Form of 12 March, in the cabinet';
    await ask(
      RECORD,
      { id, input: { contactKind: 'EMAIL', source: 'WRITTEN_FORM', wordingVersion: 'F7', evidence } },
      'agent',
    );
    assert.equal((await ask(change('withdrawConsent'), { id }, patient))['__typename'], 'Consent');
    const seen = await ask(READ, { id }, patient);
    assert.deepEqual(
      (seen['consents'] as { contactKind: string; status: string; evidence: null }[])
        .map(({ contactKind, status, evidence }) => [contactKind, status, evidence])
        .toSorted((a, b) => (String(a) < String(b) ? -1 : 1)),
      [
        ['EMAIL', 'GIVEN', null],
        ['PHONE', 'WITHDRAWN', null],
      ],
    );
    assert.ok(JSON.stringify(await ask(READ, { id }, 'agent')).includes(evidence));
    const [entry] = await asSuperuser(
      `select from audit_entries where action = 'consent.read' and user_id = $1 and $2 = any(patient_ids)`,
      [patient.id, id],
    );
    assert.ok(entry);
  });

  test('of many patients take as many statements as of one', async () => {
    for (let i = 0; i < 3; i++) {
      const id = await newPatient(api, { phone: PHONE });
      await notifications.importConsents(api.systemScope(), [id], { wordingVersion: 'x', evidence: 'y' });
    }
    const count = async (first: number) => {
      const before = await entries();
      await api.graphql(
        `{ patients(first: ${first}) { edges { node { consents { id } optOuts { id } } } } }`,
        {},
        { as: 'agent' },
      );
      return (await entries()) - before;
    };
    const entries = async () =>
      (await asSuperuser<{ n: number }>(`select count(*)::int as n from audit_entries`))[0]?.n ?? 0;
    assert.equal(await count(3), await count(1));
  });

  test('have words, in both languages', async () => {
    const answer = await api.graphql(
      '{ consentWordings { version purpose en: text(language: EN) es: text(language: ES) } }',
      {},
      { as: 'patient' },
    );
    const wordings = dataOf<{ purpose: string; en: string; es: string }[]>(answer, 'consentWordings');
    assert.deepEqual(
      wordings.map(({ purpose }) => purpose),
      notifications.PURPOSES,
    );
    for (const { en, es } of wordings) assert.ok(en.includes('STOP') && es.includes('STOP') && en !== es);
  });
});

describe('optOut and optIn', () => {
  test('are of the patient’s own number, and one that the number sent stays', async () => {
    const patient = await api.newPerson('patient');
    const id = patient.patientId as string;
    assert.equal((await ask(change('optOut'), { id }, patient))['code'], 'NOT_FOUND');
    await care.updatePatient(api.systemScope(), id, { phone: '+14155550143' });
    assert.equal((await ask(change('optOut'), { id, key: 'k' }, patient))['__typename'], 'OptOut');
    assert.deepEqual((await ask(READ, { id }, patient))['optOuts'], [
      { contact: '+14155550143', optedOut: true, source: 'PATIENT' },
    ]);
    assert.equal((await ask(change('optIn'), { id }, 'agent'))['__typename'], 'OptOut');
    const said = { contact: '+14155550143', source: 'INBOUND_MESSAGE' } as const;
    await notifications.holderOptsOut(api.systemScope(), said);
    assert.equal((await ask(change('optIn'), { id }, patient))['code'], 'OPTED_OUT_BY_MESSAGE');
  });

  test('tell a patient nothing of another’s number', async () => {
    const foreign = await newPatient(api, { phone: PHONE });
    for (const name of ['optOut', 'optIn', 'withdrawConsent'])
      assert.equal((await ask(change(name), { id: foreign }, 'patient'))['code'], 'NOT_FOUND');
  });
});
