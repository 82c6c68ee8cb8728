import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as accounts from '@careflex/core/accounts';
import { dataOf, type Person, useApi } from './support/api.ts';

const api = useApi();
const REQUEST = `mutation($contact: ContactInput!) { it: requestContactChange(contact: $contact) {
  ... on VerificationRequest { verificationId } ... on Problem { code } } }`;
const CONFIRM = `mutation($id: ID!, $code: String!, $key: String) {
  it: confirmContactChange(verificationId: $id, code: $code, idempotencyKey: $key) {
    ... on Patient { id email phone } ... on Problem { code message } } }`;

/** The code that comes to the new address or phone of the patient. */
async function codeFor(patient: Person, contact: object): Promise<{ id: string; code: string }> {
  const answer = await api.graphql(REQUEST, { contact }, { as: patient });
  const { verificationId: id } = dataOf<{ verificationId: string }>(answer, 'it');
  const sent = Promise.withResolvers<string>();
  const sender = { send: async (_to: string, text: string) => sent.resolve(text) };
  await accounts.deliverVerification(api.systemScope(), id, { sms: sender, email: sender });
  return { id, code: /\d{6}/.exec(await sent.promise)?.[0] ?? '' };
}

describe('a patient’s new e-mail address or phone', () => {
  test('is proven by a code, through the API alone, and they sign in as before', async () => {
    const patient = await api.newPerson('patient');
    const as = { as: patient };
    const email = `new-${patient.email}`;
    const byEmail = await codeFor(patient, { email });
    const changed = await api.graphql(CONFIRM, { ...byEmail, key: 'k' }, as);
    const seen = { id: patient.patientId, email, phone: null };
    assert.deepEqual(changed.body.data, { it: seen });
    assert.deepEqual((await api.graphql(CONFIRM, { ...byEmail, key: 'k' }, as)).body.data, { it: seen });
    await api.graphql(CONFIRM, await codeFor(patient, { phone: '(212) 555-0142' }), as);
    const { body } = await api.graphql('{ me { email patient { email phone } } }', {}, as);
    assert.deepEqual(body.data, { me: { email: patient.email, patient: { email, phone: '+12125550142' } } });
  });

  test('is refused with a problem: a wrong code, another patient’s code or address', async () => {
    const [patient, other] = [await api.newPerson('patient'), await api.newPerson('patient')];
    const proof = await codeFor(patient, { email: other.email });
    const wrong = String((Number(proof.code) + 1) % 1_000_000).padStart(6, '0');
    const failed = { it: { code: 'VERIFICATION_FAILED', message: 'The code is wrong, or has expired' } };
    assert.deepEqual((await api.graphql(CONFIRM, { ...proof, code: wrong }, { as: patient })).body.data, failed);
    assert.deepEqual((await api.graphql(CONFIRM, proof, { as: other })).body.data, failed);
    const taken = { it: { code: 'EMAIL_TAKEN', message: 'Another patient has this e-mail address' } };
    assert.deepEqual((await api.graphql(CONFIRM, proof, { as: patient })).body.data, taken);
    const none = await api.graphql(REQUEST, { contact: {} }, { as: patient });
    assert.deepEqual(none.body.data, { it: { code: 'INVALID_INPUT' } });
  });
});
