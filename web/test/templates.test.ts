import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { dataOf, useApi } from './support/api.ts';

const api = useApi({ environment: { CLINIC_NAME: 'Lakeside Clinic', CLINIC_PHONE: '+12125550100' } });

const SAVE = `mutation($input: TemplateInput!, $version: Int!, $key: String) {
  it: saveTemplate(input: $input, version: $version, idempotencyKey: $key) {
    __typename ... on MessageTemplate { id version body createdBy } ... on StaleTemplate { currentVersion }
    ... on InvalidInput { issues { path message } } ... on Problem { code } } }`;
const INPUT = {
  kind: 'REMINDER_2H',
  channel: 'SMS',
  language: 'EN',
  body: '{{clinicName}}: see you {{visits}}. {{replyCodes}}.',
};
const PREVIEW = `query($input: TemplateInput!, $visit: ID) { previewTemplate(input: $input, appointmentId: $visit) {
  subject text encoding units limit issues { path message } variables } }`;

interface It {
  readonly __typename: string;
  readonly id: string;
  readonly version: number;
  readonly body: string;
}

describe('templates', () => {
  test('are saved as versions, gone back to, and never over an unseen one', async () => {
    const admin = await api.person('admin');
    const save = async (input: object, version: number, key?: string) =>
      dataOf<It>(await api.graphql(SAVE, { input, version, key }, { as: admin }), 'it');
    const saved = await save(INPUT, 1, 'k');
    assert.deepEqual([saved.__typename, saved.version], ['MessageTemplate', 2]);
    assert.equal((await save(INPUT, 1, 'k')).id, saved.id);
    assert.deepEqual(await save(INPUT, 1), { __typename: 'StaleTemplate', currentVersion: 2, code: 'STALE_VERSION' });
    const history = `{ templateVersions(kind: REMINDER_2H, channel: SMS, language: EN) { edges { node { version body createdBy } } } }`;
    const versions = async () =>
      dataOf<{ edges: { node: It }[] }>(await api.graphql(history, {}, { as: 'agent' }), 'templateVersions').edges;
    const [, first] = await versions();
    assert.equal((await save({ ...INPUT, body: first?.node.body }, 2)).version, 3);
    assert.deepEqual(
      (await versions()).map(({ node }) => node.version),
      [3, 2, 1],
    );
  });

  test('are refused with each issue by its path', async () => {
    const input = { ...INPUT, subject: 'Hello', body: 'Dear {{firstName}}, reply CANCEL to cancel.' };
    const answer = await api.graphql(SAVE, { input, version: 1 }, { as: 'admin' });
    const { issues } = dataOf<{ issues: { path: string[] }[] }>(answer, 'it');
    assert.deepEqual(
      issues.map(({ path }) => path[0]),
      ['subject', 'body', 'body', 'body', 'body'],
    );
  });

  test('are listed by what they are for', async () => {
    const list = async (filter: string) =>
      dataOf<object[]>(await api.graphql(`{ templates${filter} { id } }`, {}, { as: 'agent' }), 'templates').length;
    assert.deepEqual(
      [await list(''), await list('(language: ES)'), await list('(kind: HELP, language: ES)')],
      [60, 30, 1],
    );
  });

  test('are previewed with what they would be refused for', async () => {
    const preview = async (input: object, visit?: string) => {
      const answer = await api.graphql(PREVIEW, { input, visit }, { as: 'admin' });
      return dataOf<Record<string, unknown> | null>(answer, 'previewTemplate');
    };
    const good = await preview(INPUT);
    assert.match(String(good?.['text']), /^Lakeside Clinic: see you \w+, \w+ \d+, .* E[DS]T\. Reply 1 to confirm/);
    assert.deepEqual([good?.['encoding'], good?.['limit'], good?.['issues']], ['GSM_7', 160, []]);
    const long = await preview({ ...INPUT, language: 'ES', body: `{{clinicName}} {{visits}} está ${'a'.repeat(60)}` });
    assert.equal(long?.['encoding'], 'UCS_2');
    assert.match(JSON.stringify(long?.['issues']), /at most 70 characters of UCS-2/);
    assert.equal(await preview(INPUT, '019f0000-0000-7000-8000-00000000dead'), null);
  });
});
