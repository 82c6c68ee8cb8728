import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { asSuperuser } from '@careflex/core/testing';
import twilio from 'twilio';
import { type Answer, dataOf, useApi } from './support/api.ts';
import { halfHour, newProvider, SCHEDULE } from './support/visits.ts';

const TOKEN = 'the-token-of-this-test-account';
const PUBLIC_URL = 'https://care.example';
const api = useApi({
  environment: {
    PUBLIC_URL,
    TWILIO_ACCOUNT_SID: `AC${'0'.repeat(32)}`,
    TWILIO_AUTH_TOKEN: TOKEN,
    SMS_FROM: '+12025550100',
  },
});

/** Names and numbers that are found nowhere else in the world. */
const CANARY = {
  firstName: 'Zebulonia',
  lastName: 'Quixworthy',
  email: 'zebulonia.quixworthy@canary.example',
  phone: '+12125550188',
  dateOfBirth: '1931-07-23',
};
const WORDS = /zebulon|quixwor|canary\.example|5550188|555-0188|1931-07-23/i;
const NOBODY = 'Zebulonia Quixworthy';

const asAgent = (query: string, variables: object = {}) => api.graphql(query, variables, { as: 'agent' });
const errorsOf = ({ body }: Answer) => JSON.stringify(body.errors ?? body);

describe('what identifies a patient', () => {
  test('is in no error, log line, metric or header, and not in the database, whatever is asked', async () => {
    const CREATE =
      'mutation($input: CreatePatientInput!) { createPatient(input: $input) { __typename ... on Patient { id } ... on Problem { code message } ... on InvalidInput { issues { path message } } } }';
    const { id } = dataOf<{ id: string }>(await asAgent(CREATE, { input: CANARY }), 'createPatient');

    await asAgent(`query Zebulonia { patient(id: "${id}") { firstName lastName email phone dateOfBirth } }`);
    await asAgent('{ patients { edges { node { firstName email } } } }');
    await asAgent('query($q: String!) { searchPatients(query: $q) { edges { node { lastName } } } }', { q: NOBODY });
    await asAgent('query($q: String!) { patientsByPhone(phone: $q) { lastName } }', { q: CANARY.phone });
    await asAgent('query($q: String!) { patientByEmail(email: $q) { lastName } }', { q: CANARY.email });
    await asAgent(
      'mutation($id: ID!, $in: UpdatePatientInput!) { updatePatient(id: $id, input: $in) { __typename } }',
      { id, in: { lastName: CANARY.lastName, phone: CANARY.phone } },
    );
    await visitsWithWords(id);
    await messagesWithWords(id);
    await api.graphql('mutation($e: String!) { requestVerification(contact: { email: $e }) { __typename } }', {
      e: CANARY.email,
    });
    await api.graphql(
      'mutation($e: String!) { requestContactChange(contact: { email: $e }) { __typename } }',
      { e: CANARY.email },
      { as: 'patient' },
    );

    const refused = [
      await asAgent(CREATE, { input: CANARY }),
      await asAgent(CREATE, { input: { ...CANARY, email: NOBODY, phone: NOBODY, timeZone: NOBODY } }),
      await asAgent(CREATE, { input: { ...CANARY, dateOfBirth: NOBODY } }),
      await asAgent(CREATE, { input: { ...CANARY, firstName: [NOBODY], preferences: { channels: [NOBODY] } } }),
      await asAgent(CREATE, { input: { [NOBODY]: NOBODY, ...CANARY } }),
      await asAgent(CREATE, { input: NOBODY }),
      await asAgent(CREATE, { input: { ...CANARY, lastName: `${NOBODY}\u0000` } }),
      await asAgent('query($q: Int) { patients(first: $q) { edges { cursor } } }', { q: NOBODY }),
      await asAgent('query($q: String) { patients(after: $q) { edges { cursor } } }', { q: NOBODY }),
      await asAgent('query($q: [PatientStatus!]) { patients(status: $q) { edges { cursor } } }', { q: [NOBODY] }),
      await asAgent('query($q: ID!) { patient(id: $q) { id } }', { q: { name: NOBODY } }),
      await asAgent(`{ patients(first: "${NOBODY}") { edges { cursor } } }`),
      await asAgent(`{ patients(status: ["${NOBODY}"]) { edges { cursor } } }`),
      await asAgent(`{ auditLogs(from: "${NOBODY}") { edges { cursor } } }`),
      await asAgent(`mutation { createPatient(input: { firstName: "${NOBODY}" }) { __typename } }`),
      await asAgent(`mutation { createPatient(input: "${NOBODY}") { __typename } }`),
      await asAgent(`{ patientByEmail(email: "${NOBODY}" "${CANARY.email}") { id } }`),
      await asAgent(`{ patientByEmail(email: "${NOBODY}) { id } }`),
      await asAgent(`{ patientByEmail(email: """${NOBODY}) { id } }`),
      await asAgent(`{ patientByEmail(email: "\\u${NOBODY}") { id } }`),
      await asAgent(`${NOBODY} { patients { edges { cursor } } }`),
      await api.graphql('query A { __typename } query B { __typename }', {}, { operationName: NOBODY }),
      await api.graphql('mutation($e: String!) { login(email: $e, password: $e) { __typename } }', { e: CANARY.email }),
      await api.graphql(`{ patientByEmail(email: "${CANARY.email}") { id } }`, {}, { as: 'patient' }),
    ];
    for (const answer of refused) {
      assert.doesNotMatch(errorsOf(answer), WORDS);
      assert.doesNotMatch(JSON.stringify([...answer.headers]), WORDS);
    }
    const malformed = await api.fetch('/graphql', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: `{"query": ${NOBODY}`,
    });
    assert.doesNotMatch(await malformed.text(), WORDS);
    const byUrl = await api.fetch(`/graphql?query={__typename}&variables=${encodeURIComponent(NOBODY)}&${NOBODY}`);
    assert.doesNotMatch(await byUrl.text(), WORDS);

    assert.doesNotMatch(JSON.stringify(api.logs()), WORDS);
    assert.ok(!WORDS.test(await (await api.fetch('/metrics')).text()));
    assert.equal(WORDS.exec(await everythingStored())?.[0], undefined);
  });

  test('would be found, were it there', async () => {
    await asSuperuser('create table leak (t text, b bytea)');
    await asSuperuser('insert into leak values ($1, $2)', [CANARY.email, Buffer.from(CANARY.lastName)]);
    assert.match(await everythingStored(), /quixworthy@canary/);
    await asSuperuser('drop table leak');
  });
});

/** Notes and reasons in every place that takes some, and in some that do not. */
async function visitsWithWords(patientId: string): Promise<void> {
  const visit = { patientId, providerId: await newProvider(api), service: 'TELEHEALTH', startsAt: halfHour(0) };
  const input = { ...visit, notes: NOBODY };
  const { id } = dataOf<{ id: string }>(await asAgent(SCHEDULE, { input, key: NOBODY }), 'it');
  const ask = (mutation: string, variables: object = {}) =>
    asAgent(`mutation($t: String!) { it: ${mutation} { __typename ... on Problem { message } } }`, {
      t: NOBODY,
      ...variables,
    });
  const answers = [
    await asAgent(SCHEDULE, { input: { ...input, override: { rules: ['TOO_SOON'], reason: NOBODY } } }),
    await asAgent(SCHEDULE, { input: { ...input, timeZone: NOBODY, holdId: NOBODY } }),
    await asAgent(SCHEDULE, { input: { ...input, startsAt: NOBODY } }),
    await asAgent(SCHEDULE, { input: { ...input, notes: `${NOBODY}\u0000` } }),
    await ask(`updateAppointmentStatus(id: "${id}", status: CANCELLED, reason: $t)`),
    await ask(`updateAppointment(id: "${id}", input: { notes: $t })`),
    await ask(`rescheduleAppointment(id: "${id}", input: { minutes: 20, reason: $t })`),
    await ask(`confirmAppointment(id: "${id}", reason: $t)`),
    await ask(`cancelAppointment(id: "${id}", input: { reason: PATIENT, note: $t })`),
    await ask(
      `updateAppointmentStatus(id: "${id}", status: SCHEDULED, reason: $t, override: { rules: [TOO_SOON], reason: $t })`,
    ),
  ];
  for (const answer of answers) assert.doesNotMatch(JSON.stringify(answer.body), WORDS);
  const shown = await asAgent(`{ appointment(id: "${id}") { notes history { reason } } }`);
  assert.match(JSON.stringify(shown.body), WORDS);
}

/** Consents with what proves them, what a patient writes, and what was done about it. */
async function messagesWithWords(id: string): Promise<void> {
  const consent = `mutation($id: ID!, $t: String!) { it: recordConsent(patientId: $id,
    input: { contactKind: PHONE, source: AGENT, evidence: $t }, idempotencyKey: $t) { __typename ... on Problem { message } } }`;
  assert.equal(dataOf<{ __typename: string }>(await asAgent(consent, { id, t: NOBODY }), 'it').__typename, 'Consent');
  const form = { MessageSid: `SM${'1'.repeat(32)}`, From: CANARY.phone, To: '+12025550100', Body: NOBODY };
  for (const signed of [true, false]) assert.equal(await written(form, signed), signed ? 200 : 403);
  const TASKS = '{ tasks { edges { node { id message patient { lastName } } } } }';
  const { edges } = dataOf<{ edges: { node: { id: string } }[] }>(await asAgent(TASKS), 'tasks');
  assert.match(JSON.stringify(edges), WORDS);
  const done = 'mutation($id: ID!, $t: String!) { it: completeTask(id: $id, outcome: $t) { __typename } }';
  const { __typename } = dataOf<{ __typename: string }>(
    await asAgent(done, { id: edges[0]?.node.id, t: NOBODY }),
    'it',
  );
  assert.equal(__typename, 'Task');
}

async function written(form: Record<string, string>, signed: boolean): Promise<number> {
  const path = '/webhooks/twilio/inbound';
  const signature = signed ? twilio.getExpectedTwilioSignature(TOKEN, PUBLIC_URL + path, form) : NOBODY;
  const answer = await api.fetch(path, {
    method: 'POST',
    headers: { 'x-twilio-signature': signature },
    body: new URLSearchParams(form),
  });
  assert.doesNotMatch(await answer.text(), WORDS);
  return answer.status;
}

/** Every row of every table as text, bytes also as the characters they may be. */
async function everythingStored(): Promise<string> {
  const tables = await asSuperuser<{ name: string }>(
    "select format('%I.%I', schemaname, tablename) as name from pg_tables where schemaname not in ('pg_catalog', 'information_schema')",
  );
  let text = '';
  for (const { name } of tables) {
    for (const { row } of await asSuperuser<{ row: string }>(`select to_jsonb(t)::text as row from ${name} t`)) {
      text +=
        row + row.replaceAll(/\\\\x([0-9a-f]+)/g, (_bytes, hex: string) => Buffer.from(hex, 'hex').toString('latin1'));
    }
  }
  return text;
}
