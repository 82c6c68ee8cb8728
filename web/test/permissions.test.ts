import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as care from '@careflex/core/care';
import { asSuperuser } from '@careflex/core/testing';
import { dataOf, type SignedInRole, useApi } from './support/api.ts';

const api = useApi();
const NOWHERE = '019f0000-0000-7000-8000-00000000dead';
const KEY = 'idempotencyKey: "k"';
const SERIES = '{ patientId: "ID", providerId: "ID", service: TELEHEALTH, localStart: "2026-03-03T10:00", count: 2 }';
const VISIT = '{ patientId: "ID", providerId: "ID", service: TELEHEALTH, startsAt: "2099-03-10T15:00:00Z" }';

/** Every root field, as an operation on some record, and who may use it. */
const OPERATIONS: Record<string, { ask: string; roles: readonly SignedInRole[] }> = {
  patient: { ask: '{ it: patient(id: "ID") { id } }', roles: ['admin', 'agent', 'patient'] },
  patients: { ask: '{ it: patients { edges { cursor } } }', roles: ['admin', 'agent'] },
  searchPatients: { ask: '{ it: searchPatients(query: "fo") { edges { cursor } } }', roles: ['admin', 'agent'] },
  patientsByPhone: { ask: '{ it: patientsByPhone(phone: "+12125550123") { id } }', roles: ['admin', 'agent'] },
  patientByEmail: { ask: '{ it: patientByEmail(email: "foreign@example.com") { id } }', roles: ['admin', 'agent'] },
  auditLogs: { ask: '{ it: auditLogs(resourceId: "ID") { edges { cursor } } }', roles: ['admin', 'auditor'] },
  whoSawMyRecord: { ask: '{ it: whoSawMyRecord { edges { cursor } } }', roles: ['patient'] },
  users: { ask: '{ it: users { edges { cursor } } }', roles: ['admin'] },
  apiKeys: { ask: '{ it: apiKeys { edges { cursor } } }', roles: ['admin'] },
  providers: { ask: '{ it: providers { edges { cursor } } }', roles: ['admin', 'agent', 'patient'] },
  provider: { ask: '{ it: provider(id: "ID") { id } }', roles: ['admin', 'agent', 'patient'] },
  careServices: { ask: '{ it: careServices { service } }', roles: ['admin', 'agent', 'patient'] },
  availableSlots: {
    ask: `{ it: availableSlots(service: TELEHEALTH, from: "2026-03-02T00:00:00Z", to: "2026-03-03T00:00:00Z",
      patientId: "ID") { startsAt } }`,
    roles: ['admin', 'agent', 'patient'],
  },
  syncProviders: { ask: 'mutation { it: syncProviders { __typename } }', roles: ['admin'] },
  syncProvider: { ask: 'mutation { it: syncProvider(id: "ID") { __typename } }', roles: ['admin'] },
  setWeeklyHours: {
    ask: 'mutation { it: setWeeklyHours(providerId: "ID", hours: []) { __typename } }',
    roles: ['admin'],
  },
  setProviderTimeZone: {
    ask: 'mutation { it: setProviderTimeZone(providerId: "ID", timeZone: null) { __typename } }',
    roles: ['admin'],
  },
  setProviderException: {
    ask: `mutation { it: setProviderException(providerId: "ID", input: { date: "2026-03-06", hours: [] }) {
      __typename } }`,
    roles: ['admin'],
  },
  removeProviderException: {
    ask: 'mutation { it: removeProviderException(providerId: "ID", date: "2026-03-06") { __typename } }',
    roles: ['admin'],
  },
  addTimeOff: {
    ask: `mutation { it: addTimeOff(providerId: "ID",
      input: { startsAt: "2026-03-02T00:00:00Z", endsAt: "2026-03-03T00:00:00Z" }) { __typename } }`,
    roles: ['admin'],
  },
  removeTimeOff: { ask: 'mutation { it: removeTimeOff(id: "ID") { __typename } }', roles: ['admin'] },
  updateCareService: {
    ask: 'mutation { it: updateCareService(service: TELEHEALTH, input: {}) { __typename } }',
    roles: ['admin'],
  },
  appointment: { ask: '{ it: appointment(id: "ID") { id } }', roles: ['admin', 'agent', 'patient'] },
  notification: { ask: '{ it: notification(id: "ID") { id } }', roles: ['admin', 'agent', 'patient'] },
  sendNow: {
    ask: `mutation { it: sendNow(notificationId: "ID", ${KEY}) { __typename } }`,
    roles: ['admin', 'agent'],
  },
  appointments: {
    ask: '{ it: appointments(patientId: "ID") { edges { cursor } } }',
    roles: ['admin', 'agent', 'patient'],
  },
  upcomingAppointments: {
    ask: '{ it: upcomingAppointments(patientId: "ID") { id } }',
    roles: ['admin', 'agent', 'patient'],
  },
  holdSlot: {
    ask: `mutation { it: holdSlot(input: ${VISIT}) { __typename } }`,
    roles: ['admin', 'agent', 'patient'],
  },
  scheduleAppointment: {
    ask: `mutation { it: scheduleAppointment(input: ${VISIT}) { __typename } }`,
    roles: ['admin', 'agent', 'patient'],
  },
  rescheduleAppointment: {
    ask: 'mutation { it: rescheduleAppointment(id: "ID", input: { minutes: 20 }) { __typename } }',
    roles: ['admin', 'agent', 'patient'],
  },
  cancelAppointment: {
    ask: 'mutation { it: cancelAppointment(id: "ID", input: { reason: PATIENT }) { __typename } }',
    roles: ['admin', 'agent', 'patient'],
  },
  updateAppointmentStatus: {
    ask: 'mutation { it: updateAppointmentStatus(id: "ID", status: CONFIRMED) { __typename } }',
    roles: ['admin', 'agent', 'patient'],
  },
  updateAppointment: {
    ask: 'mutation { it: updateAppointment(id: "ID", input: {}) { __typename } }',
    roles: ['admin', 'agent'],
  },
  confirmAppointment: {
    ask: 'mutation { it: confirmAppointment(id: "ID") { __typename } }',
    roles: ['admin', 'agent', 'patient'],
  },
  checkInAppointment: {
    ask: 'mutation { it: checkInAppointment(id: "ID") { __typename } }',
    roles: ['admin', 'agent'],
  },
  startAppointment: { ask: 'mutation { it: startAppointment(id: "ID") { __typename } }', roles: ['admin', 'agent'] },
  completeAppointment: {
    ask: 'mutation { it: completeAppointment(id: "ID") { __typename } }',
    roles: ['admin', 'agent'],
  },
  markNoShow: { ask: 'mutation { it: markNoShow(id: "ID") { __typename } }', roles: ['admin', 'agent'] },
  riskModels: { ask: '{ it: riskModels { edges { cursor } } }', roles: ['admin'] },
  riskReport: { ask: '{ it: riskReport { model } }', roles: ['admin'] },
  activateRiskModel: { ask: 'mutation { it: activateRiskModel(id: "ID") { __typename } }', roles: ['admin'] },
  rollBackRiskModel: { ask: 'mutation { it: rollBackRiskModel { __typename } }', roles: ['admin'] },
  trainRiskModel: { ask: 'mutation { it: trainRiskModel(kind: ADVANCED) { __typename } }', roles: ['admin'] },
  appointmentsByRisk: { ask: '{ it: appointmentsByRisk { edges { cursor } } }', roles: ['admin', 'agent'] },
  latestSequence: { ask: '{ it: latestSequence }', roles: ['admin', 'agent', 'patient'] },
  tasks: { ask: '{ it: tasks { edges { cursor } } }', roles: ['admin', 'agent'] },
  task: { ask: '{ it: task(id: "ID") { id } }', roles: ['admin', 'agent'] },
  taskCounts: { ask: '{ it: taskCounts { open } }', roles: ['admin', 'agent'] },
  claimTask: { ask: 'mutation { it: claimTask(id: "ID") { __typename } }', roles: ['admin', 'agent'] },
  releaseTask: { ask: 'mutation { it: releaseTask(id: "ID") { __typename } }', roles: ['admin', 'agent'] },
  completeTask: {
    ask: 'mutation { it: completeTask(id: "ID", outcome: "x") { __typename } }',
    roles: ['admin', 'agent'],
  },
  onlineAgents: { ask: '{ it: onlineAgents { userId } }', roles: ['admin', 'agent'] },
  trackAgent: {
    ask: 'mutation { it: trackAgent(status: AWAY, patientId: "ID") { userId } }',
    roles: ['admin', 'agent'],
  },
  previewSeries: {
    ask: `{ it: previewSeries(input: ${SERIES}) { startsAt } }`,
    roles: ['admin', 'agent', 'patient'],
  },
  scheduleSeries: {
    ask: `mutation { it: scheduleSeries(input: ${SERIES}) { __typename } }`,
    roles: ['admin', 'agent', 'patient'],
  },
  rescheduleSeries: {
    ask: 'mutation { it: rescheduleSeries(id: "ID", input: { part: ALL, minutes: 20 }) { __typename } }',
    roles: ['admin', 'agent', 'patient'],
  },
  cancelSeries: {
    ask: 'mutation { it: cancelSeries(id: "ID", input: { part: ALL, reason: PATIENT }) { __typename } }',
    roles: ['admin', 'agent', 'patient'],
  },
  templates: { ask: '{ it: templates(kind: HELP) { id } }', roles: ['admin', 'agent'] },
  templateVersions: {
    ask: '{ it: templateVersions(kind: HELP, channel: SMS, language: EN) { edges { cursor } } }',
    roles: ['admin', 'agent'],
  },
  previewTemplate: {
    ask: '{ it: previewTemplate(input: { kind: HELP, channel: SMS, language: EN, body: "x" }, appointmentId: "ID") { text } }',
    roles: ['admin'],
  },
  saveTemplate: {
    ask: `mutation { it: saveTemplate(input: { kind: HELP, channel: SMS, language: EN, body: "" }, version: 1) {
      __typename } }`,
    roles: ['admin'],
  },
  consentWordings: { ask: '{ it: consentWordings { version } }', roles: ['admin', 'agent', 'auditor', 'patient'] },
  recordConsent: {
    ask: 'mutation { it: recordConsent(patientId: "ID", input: { contactKind: PHONE }) { __typename } }',
    roles: ['admin', 'agent', 'patient'],
  },
  withdrawConsent: {
    ask: 'mutation { it: withdrawConsent(patientId: "ID", input: { contactKind: PHONE }) { __typename } }',
    roles: ['admin', 'agent', 'patient'],
  },
  optOut: {
    ask: 'mutation { it: optOut(patientId: "ID", input: { contactKind: PHONE }) { __typename } }',
    roles: ['admin', 'agent', 'patient'],
  },
  optIn: {
    ask: 'mutation { it: optIn(patientId: "ID", input: { contactKind: PHONE }) { __typename } }',
    roles: ['admin', 'agent', 'patient'],
  },
  dayBoard: { ask: '{ it: dayBoard(date: "2026-03-03") { edges { cursor } } }', roles: ['admin', 'agent'] },
  sessions: { ask: '{ it: sessions { id } }', roles: ['admin', 'agent', 'auditor', 'patient'] },
  createPatient: {
    ask: 'mutation { it: createPatient(input: { firstName: "", lastName: "" }) { __typename } }',
    roles: ['admin', 'agent'],
  },
  updatePatient: {
    ask: `mutation { it: updatePatient(id: "ID", input: { language: "en" }) { __typename } }`,
    roles: ['admin', 'agent', 'patient'],
  },
  deletePatient: { ask: `mutation { it: deletePatient(id: "ID", ${KEY}) { __typename } }`, roles: ['admin', 'agent'] },
  restorePatient: {
    ask: `mutation { it: restorePatient(id: "ID", ${KEY}) { __typename } }`,
    roles: ['admin', 'agent'],
  },
  erasePatient: { ask: `mutation { it: erasePatient(id: "ID", ${KEY}) { __typename } }`, roles: ['admin'] },
  createUser: {
    ask: 'mutation { it: createUser(input: { email: "", displayName: "", role: AGENT }) { __typename } }',
    roles: ['admin'],
  },
  updateUser: { ask: 'mutation { it: updateUser(id: "ID", input: {}) { __typename } }', roles: ['admin'] },
  resetPassword: {
    ask: 'mutation { it: resetPassword(userId: "ID", newPassword: "x") { __typename } }',
    roles: ['admin'],
  },
  revokeUserSessions: { ask: 'mutation { it: revokeUserSessions(userId: "ID") { __typename } }', roles: ['admin'] },
  revokeSession: {
    ask: 'mutation { it: revokeSession(id: "ID") { __typename } }',
    roles: ['admin', 'agent', 'auditor', 'patient'],
  },
  createApiKey: {
    ask: 'mutation { it: createApiKey(input: { userId: "ID", name: "", scopes: [], expiresInDays: 1 }) { __typename } }',
    roles: ['admin'],
  },
  revokeApiKey: { ask: 'mutation { it: revokeApiKey(id: "ID") { __typename } }', roles: ['admin'] },
  linkIdentity: {
    ask: 'mutation { it: linkIdentity(userId: "ID", identity: { issuer: "https://i.example", subject: "s" }) { __typename } }',
    roles: ['admin'],
  },
  benefit: { ask: '{ it: benefit(id: "ID") { id } }', roles: ['admin', 'agent', 'patient'] },
  patientBenefits: { ask: '{ it: patientBenefits(patientId: "ID") { id } }', roles: ['admin', 'agent', 'patient'] },
  activeBenefits: { ask: '{ it: activeBenefits(patientId: "ID") { id } }', roles: ['admin', 'agent', 'patient'] },
  checkEligibility: {
    ask: '{ it: checkEligibility(patientId: "ID", benefitType: MEALS, amount: "1") { decision } }',
    roles: ['admin', 'agent', 'patient'],
  },
  unspentBenefits: { ask: '{ it: unspentBenefits { edges { cursor } } }', roles: ['admin', 'agent'] },
  createBenefit: {
    ask: `mutation { it: createBenefit(input: { patientId: "ID", type: MEALS, unit: COUNT, allocated: "0",
      periodStart: "2026-01-01", periodEnd: "2026-12-31" }) { __typename } }`,
    roles: ['admin', 'agent'],
  },
  recordBenefitUsage: {
    ask: 'mutation { it: recordBenefitUsage(benefitId: "ID", input: { amount: "1" }) { __typename } }',
    roles: ['admin', 'agent'],
  },
  reverseBenefitUsage: {
    ask: 'mutation { it: reverseBenefitUsage(entryId: "ID", reason: "r") { __typename } }',
    roles: ['admin', 'agent'],
  },
  adjustBenefit: {
    ask: 'mutation { it: adjustBenefit(benefitId: "ID", input: { amount: "1", direction: ADD, reason: "r" }) { __typename } }',
    roles: ['admin'],
  },
  benefitDrifts: { ask: '{ it: benefitDrifts { edges { cursor } } }', roles: ['admin', 'agent'] },
  benefitSyncRuns: { ask: '{ it: benefitSyncRuns { edges { cursor } } }', roles: ['admin', 'agent'] },
  benefitSyncFailures: {
    ask: '{ it: benefitSyncFailures(runId: "ID") { edges { cursor } } }',
    roles: ['admin', 'agent'],
  },
  syncBenefits: { ask: 'mutation { it: syncBenefits(patientId: "ID") { __typename } }', roles: ['admin', 'agent'] },
  acceptDrift: { ask: `mutation { it: acceptDrift(id: "ID", ${KEY}) { __typename } }`, roles: ['admin', 'agent'] },
  disputeDrift: {
    ask: `mutation { it: disputeDrift(id: "ID", reason: "r", ${KEY}) { __typename } }`,
    roles: ['admin', 'agent'],
  },
  queues: { ask: '{ it: queues { name } }', roles: ['admin'] },
  jobs: { ask: '{ it: jobs { edges { cursor } } }', roles: ['admin'] },
  job: { ask: '{ it: job(id: "ID") { id } }', roles: ['admin'] },
  schedules: { ask: '{ it: schedules { name } }', roles: ['admin'] },
  integrations: { ask: '{ it: integrations { name } }', roles: ['admin'] },
  tripIntegration: {
    ask: 'mutation { it: tripIntegration(name: "ID", reason: "r") { __typename } }',
    roles: ['admin'],
  },
  resetIntegration: { ask: 'mutation { it: resetIntegration(name: "ID") { __typename } }', roles: ['admin'] },
  retryJob: { ask: 'mutation { it: retryJob(id: "ID") { __typename } }', roles: ['admin'] },
  cancelJob: { ask: 'mutation { it: cancelJob(id: "ID") { __typename } }', roles: ['admin'] },
  discardJob: { ask: 'mutation { it: discardJob(id: "ID") { __typename } }', roles: ['admin'] },
  redriveDeadLetters: { ask: 'mutation { it: redriveDeadLetters { __typename } }', roles: ['admin'] },
  pauseQueue: { ask: 'mutation { it: pauseQueue(name: "ID") { __typename } }', roles: ['admin'] },
  resumeQueue: { ask: 'mutation { it: resumeQueue(name: "ID") { __typename } }', roles: ['admin'] },
  runScheduleNow: { ask: 'mutation { it: runScheduleNow(name: "ID") { __typename } }', roles: ['admin'] },
  requestContactChange: {
    ask: 'mutation { it: requestContactChange(contact: {}) { __typename } }',
    roles: ['patient'],
  },
  confirmContactChange: {
    ask: 'mutation { it: confirmContactChange(verificationId: "ID", code: "123456") { __typename } }',
    roles: ['patient'],
  },
};
/** Open to everybody, or about the caller alone. */
const WITHOUT_RECORD = ['me', 'requestVerification', 'register', 'login', 'refreshToken', 'logout', 'changePassword'];

describe('each root field', () => {
  test('stands in the matrix below', async () => {
    const answer = await api.graphql('{ __schema { queryType { fields { name } } mutationType { fields { name } } } }');
    const roots = dataOf<Record<string, { fields: { name: string }[] }>>(answer, '__schema');
    const names = Object.values(roots).flatMap(({ fields }) => fields.map(({ name }) => name));
    assert.deepEqual(names.toSorted(), [...Object.keys(OPERATIONS), ...WITHOUT_RECORD].toSorted());
  });

  for (const role of ['admin', 'agent', 'auditor', 'patient'] as const) {
    test(`is open to ${role} as stated, and refused otherwise`, async () => {
      for (const [field, { ask, roles }] of Object.entries(OPERATIONS)) {
        const { body } = await api.graphql(ask.replaceAll('ID', NOWHERE), {}, { as: role });
        const refused = body.errors?.[0]?.extensions['code'] === 'FORBIDDEN';
        assert.equal(refused, !roles.includes(role), `${field}: ${JSON.stringify(body)}`);
      }
    });
  }
});

describe('a refused attempt', () => {
  test('is in the audit trail, with whom, what and which record', async () => {
    const auditor = await api.newPerson('auditor');
    const { body } = await api.graphql(`{ patient(id: "${NOWHERE}") { id } }`, {}, { as: auditor });
    assert.deepEqual(body.data, { patient: null });
    const rows = await asSuperuser(
      'select action, resource_type, resource_id, outcome from audit_entries where user_id = $1 and outcome = $2',
      [auditor.id, 'DENIED'],
    );
    assert.deepEqual(rows, [
      { action: 'api.patient', resource_type: 'Patient', resource_id: NOWHERE, outcome: 'DENIED' },
    ]);
  });

  test('is one entry, however many aliases ask the same', async () => {
    const auditor = await api.newPerson('auditor');
    await api.graphql('{ a: patients { edges { cursor } } b: patients { edges { cursor } } }', {}, { as: auditor });
    const rows = await asSuperuser('select from audit_entries where user_id = $1 and outcome = $2', [
      auditor.id,
      'DENIED',
    ]);
    assert.equal(rows.length, 1);
  });
});

describe('a patient', () => {
  test('gets for another’s record the answer that one gets for a record that is not there', async () => {
    const foreign = await care.createPatient(api.systemScope(), {
      firstName: 'Foreign',
      lastName: 'Record',
      email: 'foreign@example.com',
      phone: '+12125550123',
    });
    const other = await api.newPerson('agent');
    for (const [field, { ask }] of Object.entries(OPERATIONS)) {
      const answers = [];
      for (const id of [foreign.id, NOWHERE, other.id, other.sessionId]) {
        const { status, body } = await api.graphql(ask.replaceAll('ID', id), {}, { as: 'patient' });
        answers.push({
          status,
          data: body.data,
          errors: body.errors?.map(({ message, extensions }) => [message, extensions['code']]),
        });
      }
      for (const answer of answers) assert.deepEqual(answer, answers[1], field);
    }
    const still = await care.getPatient(api.systemScope(), foreign.id);
    assert.equal(still.version, foreign.version);
    assert.equal((await api.graphql('{ me { id } }', {}, { as: other })).status, 200);
  });

  test('reads and changes their own record', async () => {
    const patient = await api.person('patient');
    const { body } = await api.graphql('{ me { patient { id } } }', {}, { as: patient });
    assert.deepEqual(body.data, { me: { patient: { id: patient.patientId } } });
    const update =
      'mutation($id: ID!, $in: UpdatePatientInput!) { updatePatient(id: $id, input: $in) { ... on Patient { language } ... on Problem { code } } }';
    const allowed = await api.graphql(update, { id: patient.patientId, in: { language: 'es' } }, { as: patient });
    assert.deepEqual(allowed.body.data, { updatePatient: { language: 'es' } });
    const refused = await api.graphql(update, { id: patient.patientId, in: { lastName: 'Other' } }, { as: patient });
    assert.equal(refused.body.errors?.[0]?.extensions['code'], 'FORBIDDEN');
    for (const [contact, code] of [
      [{ email: 'new@example.com' }, 'EMAIL_UNPROVEN'],
      [{ phone: '+12125550142' }, 'PHONE_UNPROVEN'],
    ]) {
      const unproven = await api.graphql(update, { id: patient.patientId, in: contact }, { as: patient });
      assert.deepEqual(unproven.body.data, { updatePatient: { code } });
    }
  });

  test('sees who saw their record', async () => {
    const patient = await api.newPerson('patient');
    await api.graphql(`{ patient(id: "${patient.patientId}") { firstName } }`, {}, { as: 'agent' });
    const answer = await api.graphql(
      '{ whoSawMyRecord(first: 5) { edges { node { action actorRole } } } }',
      {},
      { as: patient },
    );
    const { edges } = dataOf<{ edges: { node: object }[] }>(answer, 'whoSawMyRecord');
    assert.ok(
      edges.some(({ node }) => JSON.stringify(node) === '{"action":"patient.read","actorRole":"AGENT"}'),
      JSON.stringify(edges),
    );
  });
});
