import type * as care from '@careflex/core/care';
import * as notifications from '@careflex/core/notifications';
import { builder } from './builder.ts';
import { connectionOf, pageCost, toConnection } from './connection.ts';
import { Patient } from './patients.ts';
import { IdempotencyMismatch, InvalidInput, NotFound, Problem } from './problems.ts';
import { ONE_RECORD, WRITE } from './results.ts';
import { UserRole } from './roles.ts';
import { MessageLanguage } from './templates.ts';

const readers = { staff: true, patient: true } as const;

const ContactKind = builder.enumType('ContactKind', {
  description: 'Text messages and calls go to a phone.',
  values: notifications.CONTACT_KINDS,
});
const ConsentPurpose = builder.enumType('ConsentPurpose', { values: notifications.PURPOSES });
const ConsentStatus = builder.enumType('ConsentStatus', { values: notifications.CONSENT_STATUSES });
const ConsentSource = builder.enumType('ConsentSource', { values: notifications.CONSENT_SOURCES });
const OptOutSource = builder.enumType('OptOutSource', { values: notifications.OPT_OUT_SOURCES });

const Consent = builder.objectRef<notifications.Consent>('Consent').implement({
  description:
    'What a patient agreed to, for one number or address and one purpose. It does not follow to another one.',
  authScopes: readers,
  fields: (t) => ({
    id: t.exposeID('id'),
    contactKind: t.expose('contactKind', { type: ContactKind }),
    contact: t.exposeString('contact', {
      nullable: true,
      description: 'The number or address, while it is the one on record; null for a former one.',
    }),
    purpose: t.expose('purpose', { type: ConsentPurpose }),
    status: t.expose('status', { type: ConsentStatus }),
    source: t.expose('source', { type: ConsentSource }),
    wordingVersion: t.exposeString('wordingVersion', { description: 'Which words the patient agreed to.' }),
    evidence: t.exposeString('evidence', {
      nullable: true,
      description: 'What proves it. For staff; null for patients.',
    }),
    recordedByRole: t.expose('recordedRole', { type: UserRole }),
    recordedAt: t.expose('recordedAt', { type: 'DateTime' }),
  }),
});
const ConsentConnection = connectionOf(Consent, 'Consent', readers);

const OptOut = builder.objectRef<notifications.OptOut>('OptOut').implement({
  description: 'What was said last about a number or address. It counts for everybody who shares it, over any consent.',
  authScopes: readers,
  fields: (t) => ({
    id: t.exposeID('id'),
    contactKind: t.expose('contactKind', { type: ContactKind }),
    contact: t.exposeString('contact'),
    optedOut: t.exposeBoolean('optedOut', { description: 'False once it was taken back.' }),
    source: t.expose('source', { type: OptOutSource }),
    recordedAt: t.expose('recordedAt', { type: 'DateTime' }),
  }),
});

const ConsentWording = builder.objectRef<notifications.ConsentWording>('ConsentWording').implement({
  description: 'The words that a patient is asked to agree to.',
  authScopes: { user: true },
  fields: (t) => ({
    version: t.exposeString('version'),
    purpose: t.expose('purpose', { type: ConsentPurpose }),
    text: t.string({
      args: { language: t.arg({ type: MessageLanguage, required: true }) },
      resolve: ({ text }, { language }) => text[language],
    }),
  }),
});

builder.objectType(notifications.OptedOutByMessage, {
  name: 'OptedOutByMessage',
  description: 'Messages were stopped from the number itself. Only START, sent from it, lets them through again.',
  interfaces: [Problem],
  authScopes: readers,
});

builder.objectFields(Patient, (t) => ({
  consents: t.loadableList({
    type: Consent,
    description: 'What counts: of each number, address and purpose the newest.',
    complexity: { field: ONE_RECORD, multiplier: 5 },
    // Not kept: a later mutation of the same operation adds to it.
    loaderOptions: { cache: false },
    load: async (patients: care.Patient[], { scope }) => {
      const consents = await notifications.consentsOf(scope, patients);
      return patients.map(({ id }) => [...(consents.get(id) ?? [])]);
    },
    resolve: (patient) => patient,
  }),
  optOuts: t.loadableList({
    type: OptOut,
    description: 'Of the number and the address on record, where anything was ever said about them.',
    complexity: { field: ONE_RECORD, multiplier: 2 },
    loaderOptions: { cache: false },
    load: async (patients: care.Patient[], { scope }) => {
      const optOuts = await notifications.optOutsOf(scope, patients);
      return patients.map(({ id }) => [...(optOuts.get(id) ?? [])]);
    },
    resolve: (patient) => patient,
  }),
  consentHistory: t.field({
    type: ConsentConnection,
    description: 'Every consent and withdrawal, newest first.',
    complexity: pageCost,
    args: { first: t.arg.int(), after: t.arg.string() },
    resolve: async (patient, args, { scope }) => toConnection(await notifications.consentHistory(scope, patient, args)),
  }),
}));

builder.queryFields((t) => ({
  consentWordings: t.field({
    type: [ConsentWording],
    description: 'The newest words of each purpose come first.',
    authScopes: { user: true },
    resolve: () => [...notifications.CONSENT_WORDINGS],
  }),
}));

const CONTACT = 'As you have seen it: when another one is on record by now, nothing is changed.';

const RecordConsentInput = builder.inputType('RecordConsentInput', {
  fields: (t) => ({
    contactKind: t.field({ type: ContactKind, required: true }),
    contact: t.string({ description: CONTACT }),
    purpose: t.field({ type: ConsentPurpose, defaultValue: 'CARE_REMINDER' }),
    source: t.field({ type: ConsentSource, description: 'AGENT or WRITTEN_FORM for staff, PATIENT for patients.' }),
    wordingVersion: t.string({ description: 'The newest of the purpose unless given; of a form its own.' }),
    evidence: t.string({ description: 'Staff say what proves it.' }),
  }),
});
const WithdrawConsentInput = builder.inputType('WithdrawConsentInput', {
  fields: (t) => ({
    contactKind: t.field({ type: ContactKind, required: true }),
    contact: t.string({ description: CONTACT }),
    purpose: t.field({ type: ConsentPurpose, defaultValue: 'CARE_REMINDER' }),
    evidence: t.string(),
  }),
});
const OptOutInput = builder.inputType('OptOutInput', {
  fields: (t) => ({
    contactKind: t.field({ type: ContactKind, required: true }),
    contact: t.string({ description: CONTACT }),
  }),
});

builder.mutationFields((t) => ({
  recordConsent: t.field({
    type: Consent,
    description: 'Patients for themselves, staff with what proves it; for the number or address that is on record now.',
    authScopes: readers,
    complexity: WRITE,
    errors: { types: [NotFound, InvalidInput, IdempotencyMismatch] },
    args: {
      patientId: t.arg.id({ required: true }),
      input: t.arg({ type: RecordConsentInput, required: true }),
      idempotencyKey: t.arg.string(),
    },
    resolve: (_root, { patientId, input, idempotencyKey }, { scope }) =>
      notifications.recordConsent(scope, patientId, { ...input, purpose: input.purpose ?? undefined, idempotencyKey }),
  }),
  withdrawConsent: t.field({
    type: Consent,
    authScopes: readers,
    complexity: WRITE,
    errors: { types: [NotFound, InvalidInput, IdempotencyMismatch] },
    args: {
      patientId: t.arg.id({ required: true }),
      input: t.arg({ type: WithdrawConsentInput, required: true }),
      idempotencyKey: t.arg.string(),
    },
    resolve: (_root, { patientId, input, idempotencyKey }, { scope }) =>
      notifications.withdrawConsent(scope, patientId, {
        ...input,
        purpose: input.purpose ?? undefined,
        idempotencyKey,
      }),
  }),
}));

builder.mutationFields((t) => ({
  optOut: t.field({
    type: OptOut,
    description: 'Nothing more goes to this number or address, nor to others who share it.',
    authScopes: readers,
    complexity: WRITE,
    errors: { types: [NotFound, InvalidInput, IdempotencyMismatch] },
    args: {
      patientId: t.arg.id({ required: true }),
      input: t.arg({ type: OptOutInput, required: true }),
      idempotencyKey: t.arg.string(),
    },
    resolve: (_root, { patientId, input, idempotencyKey }, { scope }) =>
      notifications.optOut(scope, patientId, { ...input, idempotencyKey }),
  }),
  optIn: t.field({
    type: OptOut,
    description: 'Takes an opt-out back. Where consent is given, messages go there again.',
    authScopes: readers,
    complexity: WRITE,
    errors: { types: [NotFound, InvalidInput, notifications.OptedOutByMessage, IdempotencyMismatch] },
    args: {
      patientId: t.arg.id({ required: true }),
      input: t.arg({ type: OptOutInput, required: true }),
      idempotencyKey: t.arg.string(),
    },
    resolve: (_root, { patientId, input, idempotencyKey }, { scope }) =>
      notifications.optIn(scope, patientId, { ...input, idempotencyKey }),
  }),
}));
