import * as notifications from '@careflex/core/notifications';
import { builder } from './builder.ts';
import { connectionOf, pageCost, toConnection } from './connection.ts';
import { NotificationChannel } from './patients.ts';
import { IdempotencyMismatch, InputIssueRef, InvalidInput, NotFound, Problem } from './problems.ts';
import { ONE_RECORD, WRITE } from './results.ts';

const admin = { admin: true } as const;
const staff = { staff: true } as const;

export const TemplateKind = builder.enumType('TemplateKind', {
  description: 'Messages about a visit, and answers to what patients send.',
  values: [...notifications.TEMPLATE_KINDS],
});
export const MessageLanguage = builder.enumType('MessageLanguage', {
  values: { EN: { value: 'en' }, ES: { value: 'es' } } as const,
});
const TextEncoding = builder.enumType('TextEncoding', {
  description: 'Of a text message: 160 characters, or 70 once one of them is outside the GSM alphabet.',
  values: { GSM_7: { value: 'GSM-7' }, UCS_2: { value: 'UCS-2' } } as const,
});

const MessageTemplate = builder.objectRef<notifications.Template>('MessageTemplate').implement({
  description: 'What a message says. Every change is a new version; the newest one is sent.',
  authScopes: staff,
  fields: (t) => ({
    id: t.exposeID('id'),
    kind: t.expose('kind', { type: TemplateKind }),
    channel: t.expose('channel', { type: NotificationChannel }),
    language: t.expose('language', { type: MessageLanguage }),
    version: t.exposeInt('version', { description: 'From 1, which the platform came with.' }),
    subject: t.exposeString('subject', { nullable: true, description: 'Of an e-mail.' }),
    body: t.exposeString('body', { description: 'With variables such as {{visits}}.' }),
    createdBy: t.exposeID('createdBy', { nullable: true }),
    createdAt: t.expose('createdAt', { type: 'DateTime' }),
  }),
});
const MessageTemplateConnection = connectionOf(MessageTemplate, 'MessageTemplate', staff);

const TemplatePreview = builder.objectRef<notifications.TemplatePreview>('TemplatePreview').implement({
  authScopes: admin,
  fields: (t) => ({
    subject: t.exposeString('subject', { nullable: true }),
    text: t.exposeString('text'),
    encoding: t.expose('encoding', { type: TextEncoding, nullable: true }),
    units: t.exposeInt('units', { description: 'What it takes of the limit.' }),
    limit: t.exposeInt('limit'),
    issues: t.field({
      type: [InputIssueRef],
      description: 'Why it could not be saved; its length is that with the longest of dates.',
      resolve: ({ issues }) => [...issues],
    }),
    variables: t.stringList({ description: 'What may stand in its body.', resolve: ({ variables }) => [...variables] }),
  }),
});

builder.objectType(notifications.StaleTemplate, {
  name: 'StaleTemplate',
  description: 'The template was changed since the version that was named; read it again.',
  interfaces: [Problem],
  authScopes: staff,
  fields: (t) => ({ currentVersion: t.exposeInt('currentVersion') }),
});

const TemplateInput = builder.inputType('TemplateInput', {
  fields: (t) => ({
    kind: t.field({ type: TemplateKind, required: true }),
    channel: t.field({ type: NotificationChannel, required: true }),
    language: t.field({ type: MessageLanguage, required: true }),
    subject: t.string({ description: 'Of an e-mail.' }),
    body: t.string({ required: true }),
  }),
});

builder.queryFields((t) => ({
  templates: t.field({
    type: [MessageTemplate],
    description: 'The newest version of each template, or of those that are named.',
    authScopes: staff,
    complexity: { field: ONE_RECORD, multiplier: 60 },
    args: {
      kind: t.arg({ type: TemplateKind }),
      channel: t.arg({ type: NotificationChannel }),
      language: t.arg({ type: MessageLanguage }),
    },
    resolve: (_root, args, { scope }) => notifications.templates(scope, args),
  }),
  templateVersions: t.field({
    type: MessageTemplateConnection,
    description: 'Every version of one template, newest first. To go back, save an old one again.',
    authScopes: staff,
    complexity: pageCost,
    args: {
      kind: t.arg({ type: TemplateKind, required: true }),
      channel: t.arg({ type: NotificationChannel, required: true }),
      language: t.arg({ type: MessageLanguage, required: true }),
      first: t.arg.int(),
      after: t.arg.string(),
    },
    resolve: async (_root, { first, after, ...place }, { scope }) =>
      toConnection(await notifications.templateHistory(scope, place, { first, after })),
  }),
  previewTemplate: t.field({
    type: TemplatePreview,
    nullable: true,
    description:
      'What a text becomes, with the time of a visit or of a made-up one; null where there is no such visit.',
    authScopes: admin,
    complexity: ONE_RECORD,
    args: { input: t.arg({ type: TemplateInput, required: true }), appointmentId: t.arg.id() },
    resolve: (_root, { input, appointmentId }, { scope }) =>
      notifications.previewTemplate(scope, { ...input, appointmentId }).catch(nullWhenNotFound),
  }),
}));

function nullWhenNotFound(thrown: unknown): null {
  if (thrown instanceof NotFound) return null;
  throw thrown;
}

builder.mutationFields((t) => ({
  saveTemplate: t.field({
    type: MessageTemplate,
    description: 'Saves a text as the newest version. What is on its way keeps the text that it has.',
    authScopes: admin,
    complexity: WRITE,
    errors: { types: [InvalidInput, notifications.StaleTemplate, IdempotencyMismatch] },
    args: {
      input: t.arg({ type: TemplateInput, required: true }),
      version: t.arg.int({ required: true, description: 'The newest that you have seen.' }),
      idempotencyKey: t.arg.string(),
    },
    resolve: (_root, { input, version, idempotencyKey }, { scope }) =>
      notifications.saveTemplate(scope, { ...input, version, idempotencyKey }),
  }),
}));
