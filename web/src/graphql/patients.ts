import * as care from '@careflex/core/care';
import type { Event } from '@careflex/core/platform/events';
import { builder } from './builder.ts';
import { connectionOf, pageCost, toConnection } from './connection.ts';
import { IdempotencyMismatch, InvalidInput, NotFound, Problem } from './problems.ts';
import { Done, ONE_RECORD, WRITE } from './results.ts';

const readers = { staff: true, patient: true } as const;
const staff = { staff: true } as const;
/** Also whom the type that leads here lets through: to their own record, in the answer that signs them in. */
const ownToo = { ...readers, $granted: 'own' } as const;

export const NotificationChannel = builder.enumType('NotificationChannel', { values: care.CHANNELS });
export const PatientStatus = builder.enumType('PatientStatus', { values: care.PATIENT_STATUSES });

const QuietHours = builder.objectRef<care.Preferences['quietHours']>('QuietHours').implement({
  description: 'No messages between these wall-clock times in the patient’s zone; may span midnight.',
  authScopes: ownToo,
  fields: (t) => ({ from: t.exposeString('from'), to: t.exposeString('to') }),
});

const CommunicationPreferences = builder.objectRef<care.Preferences>('CommunicationPreferences').implement({
  authScopes: ownToo,
  grantScopes: () => ['own'],
  fields: (t) => ({
    channels: t.field({
      type: [NotificationChannel],
      description: 'In the order in which the patient wants to be reached.',
      resolve: ({ channels }) => [...channels],
    }),
    quietHours: t.expose('quietHours', { type: QuietHours }),
  }),
});

export const Patient = builder.objectRef<care.Patient>('Patient').implement({
  authScopes: ownToo,
  grantScopes: () => ['own'],
  fields: (t) => ({
    id: t.exposeID('id'),
    externalId: t.exposeString('externalId', { nullable: true }),
    firstName: t.exposeString('firstName'),
    lastName: t.exposeString('lastName'),
    email: t.exposeString('email', { nullable: true }),
    phone: t.exposeString('phone', { nullable: true, description: 'E.164, such as +12125550123.' }),
    dateOfBirth: t.field({
      type: 'Date',
      nullable: true,
      resolve: ({ dateOfBirth }) => dateOfBirth?.toString() ?? null,
    }),
    timeZone: t.exposeString('timeZone', { description: 'IANA, such as America/New_York.' }),
    language: t.exposeString('language', { description: 'BCP 47, such as en or es-MX.' }),
    status: t.expose('status', { type: PatientStatus }),
    preferences: t.expose('preferences', { type: CommunicationPreferences }),
    version: t.exposeInt('version', { description: 'Grows by one with every change.' }),
    deletedAt: t.expose('deletedAt', { type: 'DateTime', nullable: true }),
    createdAt: t.expose('createdAt', { type: 'DateTime' }),
    updatedAt: t.expose('updatedAt', { type: 'DateTime' }),
  }),
});
export const PatientConnection = connectionOf(Patient, 'Patient', readers);

builder.objectType(care.EmailTaken, { name: 'EmailTaken', interfaces: [Problem], authScopes: readers });
builder.objectType(care.EmailUnproven, {
  name: 'EmailUnproven',
  description: 'Patients prove a new e-mail address with requestContactChange, or call the clinic.',
  interfaces: [Problem],
  authScopes: readers,
  fields: (t) => ({ phone: t.exposeString('phone', { nullable: true, description: 'Whom to call, E.164.' }) }),
});
builder.objectType(care.PhoneUnproven, {
  name: 'PhoneUnproven',
  description: 'Patients prove a new phone with requestContactChange, or call the clinic.',
  interfaces: [Problem],
  authScopes: readers,
  fields: (t) => ({ phone: t.exposeString('phone', { nullable: true, description: 'Whom to call, E.164.' }) }),
});
builder.objectType(care.ExternalIdTaken, { name: 'ExternalIdTaken', interfaces: [Problem], authScopes: readers });
builder.objectType(care.StalePatient, {
  name: 'StalePatient',
  description: 'The patient was changed since the version that was named; read it again.',
  interfaces: [Problem],
  authScopes: readers,
  fields: (t) => ({ currentVersion: t.exposeInt('currentVersion') }),
});

builder.queryFields((t) => ({
  patient: t.field({
    type: Patient,
    nullable: true,
    authScopes: readers,
    complexity: ONE_RECORD,
    args: { id: t.arg.id({ required: true }) },
    resolve: (_root, { id }, { scope }) => care.findPatient(scope, id),
  }),
  patients: t.field({
    type: PatientConnection,
    description: 'All patients, oldest first.',
    authScopes: staff,
    complexity: pageCost,
    args: { first: t.arg.int(), after: t.arg.string(), status: t.arg({ type: [PatientStatus] }) },
    resolve: async (_root, args, { scope }) => toConnection(await care.patients(scope, args)),
  }),
  searchPatients: t.field({
    type: PatientConnection,
    description:
      'By the first letters of names in any order; a date of birth narrows, as 1980-03-08 or as it is written in the clinic’s country. Accents and case do not count.',
    authScopes: staff,
    complexity: pageCost,
    args: { query: t.arg.string({ required: true }), first: t.arg.int(), after: t.arg.string() },
    resolve: async (_root, args, { scope }) => toConnection(await care.searchPatients(scope, args)),
  }),
  patientsByPhone: t.field({
    type: [Patient],
    description: 'Everybody with this number: families share one.',
    authScopes: staff,
    complexity: { field: ONE_RECORD, multiplier: 10 },
    args: { phone: t.arg.string({ required: true }) },
    resolve: (_root, { phone }, { scope }) => care.patientsByPhone(scope, phone),
  }),
  patientByEmail: t.field({
    type: Patient,
    nullable: true,
    authScopes: staff,
    complexity: ONE_RECORD,
    args: { email: t.arg.string({ required: true }) },
    resolve: (_root, { email }, { scope }) => care.patientByEmail(scope, email),
  }),
}));

const QuietHoursInput = builder.inputType('QuietHoursInput', {
  fields: (t) => ({ from: t.string({ required: true }), to: t.string({ required: true }) }),
});
const CommunicationPreferencesInput = builder.inputType('CommunicationPreferencesInput', {
  fields: (t) => ({
    channels: t.field({ type: [NotificationChannel] }),
    quietHours: t.field({ type: QuietHoursInput }),
  }),
});

const CreatePatientInput = builder.inputType('CreatePatientInput', {
  fields: (t) => ({
    externalId: t.string(),
    firstName: t.string({ required: true }),
    lastName: t.string({ required: true }),
    email: t.string(),
    phone: t.string(),
    dateOfBirth: t.field({ type: 'Date' }),
    timeZone: t.string(),
    language: t.string(),
    preferences: t.field({ type: CommunicationPreferencesInput }),
  }),
});
const UpdatePatientInput = builder.inputType('UpdatePatientInput', {
  description: 'What is left out stays as it is; null clears.',
  fields: (t) => ({
    externalId: t.string(),
    firstName: t.string(),
    lastName: t.string(),
    email: t.string(),
    phone: t.string(),
    dateOfBirth: t.field({ type: 'Date' }),
    timeZone: t.string(),
    language: t.string(),
    status: t.field({ type: PatientStatus }),
    preferences: t.field({ type: CommunicationPreferencesInput }),
  }),
});

const CHANGE_PROBLEMS = [
  NotFound,
  InvalidInput,
  care.EmailUnproven,
  care.PhoneUnproven,
  care.EmailTaken,
  care.ExternalIdTaken,
  care.StalePatient,
  IdempotencyMismatch,
];

builder.mutationFields((t) => ({
  createPatient: t.field({
    type: Patient,
    authScopes: staff,
    complexity: WRITE,
    errors: { types: [NotFound, InvalidInput, care.EmailTaken, care.ExternalIdTaken, IdempotencyMismatch] },
    args: { input: t.arg({ type: CreatePatientInput, required: true }), idempotencyKey: t.arg.string() },
    resolve: (_root, { input, idempotencyKey }, { scope }) => care.createPatient(scope, { ...input, idempotencyKey }),
  }),
  updatePatient: t.field({
    type: Patient,
    description:
      'A patient may change their own contact data and preferences; e-mail address and phone they may only clear here, and change with requestContactChange.',
    authScopes: readers,
    complexity: WRITE,
    errors: { types: CHANGE_PROBLEMS },
    args: {
      id: t.arg.id({ required: true }),
      input: t.arg({ type: UpdatePatientInput, required: true }),
      version: t.arg.int({ description: 'The version you have seen; a newer one makes the change fail.' }),
      idempotencyKey: t.arg.string(),
    },
    resolve: (_root, { id, input, version, idempotencyKey }, { scope }) =>
      care.updatePatient(scope, id, { ...input, version, idempotencyKey } as care.PatientChanges),
  }),
  deletePatient: t.field({
    type: Patient,
    description: 'Takes the patient out of every list and look-up. It can be restored until it is erased.',
    authScopes: staff,
    complexity: WRITE,
    errors: { types: [NotFound, IdempotencyMismatch] },
    args: { id: t.arg.id({ required: true }), idempotencyKey: t.arg.string() },
    resolve: (_root, { id, idempotencyKey }, { scope }) => care.deletePatient(scope, id, { idempotencyKey }),
  }),
  restorePatient: t.field({
    type: Patient,
    description:
      'Undoes a deletion. The patient’s account, if there is one, stays closed until an admin opens it again.',
    authScopes: staff,
    complexity: WRITE,
    errors: { types: [NotFound, care.EmailTaken, IdempotencyMismatch] },
    args: { id: t.arg.id({ required: true }), idempotencyKey: t.arg.string() },
    resolve: (_root, { id, idempotencyKey }, { scope }) => care.restorePatient(scope, id, { idempotencyKey }),
  }),
  erasePatient: t.field({
    type: Done,
    description:
      'Destroys the patient’s key, and with it everything that identifies them, and the external id. It cannot be undone; who is brought again is a new patient.',
    authScopes: { admin: true },
    complexity: WRITE,
    errors: { types: [NotFound, IdempotencyMismatch] },
    args: { id: t.arg.id({ required: true }), idempotencyKey: t.arg.string() },
    resolve: async (_root, { id, idempotencyKey }, { scope }) => {
      await care.erasePatient(scope, id, { idempotencyKey });
      return { id };
    },
  }),
}));

builder.subscriptionFields((t) => ({
  patientUpdated: t.field({
    type: Patient,
    nullable: true,
    description: 'The patient after each change, beginning with how they are now; null once deleted.',
    authScopes: readers,
    complexity: ONE_RECORD,
    args: { id: t.arg.id({ required: true }) },
    subscribe: async (_root, { id }, { scope, feed }) => {
      // Somebody else's record is as good as none: nothing is followed.
      const patient = await care.getPatient(scope, id);
      return feed.follow({ matches: (event) => isAbout(event, patient.id), withPresent: true });
    },
    resolve: (_event, { id }, { scope }) => care.findPatient(scope, id),
  }),
}));

function isAbout({ topic, payload }: Event, patientId: string): boolean {
  return topic.startsWith('patient.') && 'patientId' in payload && payload.patientId === patientId;
}
