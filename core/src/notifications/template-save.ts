/** Templates as admins see and change them: the newest of each, what came before, and a look at what it becomes. */
import { randomUUIDv7 } from 'node:crypto';
import { z } from 'zod';
import * as audit from '#audit';
import * as care from '#care';
import { onViolation } from '#platform/database';
import { DomainError, type InputIssue, InvalidInput, NotFound } from '#platform/errors';
import { emit } from '#platform/events';
import { once } from '#platform/idempotency';
import { isUuid, parse } from '#platform/input';
import { decodeCursor, type Page, PageInput, toPage } from '#platform/page';
import { type Scope, transact } from '#platform/scope';
import * as scheduling from '#scheduling';
import { idempotencyKey } from './consent-input.ts';
import { permitAdmin, permitStaff } from './consent-policy.ts';
import {
  LANGUAGES,
  type Template,
  TEMPLATE_KINDS,
  toTemplate,
  variablesOf,
  type Variable,
  type Wording,
} from './template.ts';
import { issuesOf, TemplatePlace, WordingInput } from './template-check.ts';
import { currentTemplates } from './template-current.ts';
import { render, type Rendered, valuesOf } from './template-render.ts';

declare module '#platform/events' {
  interface Events {
    'template.saved': { templateId: string };
  }
}

const resourceType = 'MessageTemplate';

/** Somebody else has saved a newer version. */
export class StaleTemplate extends DomainError {
  readonly code = 'STALE_VERSION';
  readonly currentVersion: number;
  constructor(currentVersion: number) {
    super('The template was changed by someone else in the meantime');
    this.currentVersion = currentVersion;
  }
}

const NewTemplate = WordingInput.extend({
  /** The newest that the caller has seen. */
  version: z.int('expected a whole number'),
  idempotencyKey,
});
export type NewTemplate = z.input<typeof NewTemplate>;

/**
 * Saves a text as the newest version; what is on its way keeps the text that it has. To go back, save an old text again.
 * Admins only. Throws InvalidInput, {@link StaleTemplate}, IdempotencyMismatch, Forbidden.
 */
export async function saveTemplate(scope: Scope, input: NewTemplate): Promise<Template> {
  const { idempotencyKey: key, version, ...wording } = parse(NewTemplate, input);
  const action = 'template.save';
  await permitAdmin(scope, { action, resourceType });
  const issues = issuesOf(scope.clinic, wording);
  if (issues.length > 0) throw new InvalidInput(issues);

  return transact(scope, async (scope) => {
    const id = await once(scope, { key, operation: action, input: { version, ...wording } }, async () => {
      const current = await currentVersion(scope, wording);
      if (current !== version) throw new StaleTemplate(current);
      const id = randomUUIDv7();
      await scope.db
        .insertInto('message_templates')
        .values({ id, ...wording, version: version + 1, created_by: scope.actor.id, created_at: scope.now.toString() })
        .execute()
        .catch(onViolation('message_templates_version_once', () => new StaleTemplate(version + 1)));
      await audit.record(scope, { action, resourceType, resourceId: id, changedFields: ['subject', 'body'] });
      await emit(scope, 'template.saved', { templateId: id });
      return id;
    });
    const row = await scope.db
      .selectFrom('message_templates')
      .selectAll()
      .where('id', '=', id)
      .executeTakeFirstOrThrow();
    return toTemplate(row);
  });
}

type Place = Pick<Wording, 'kind' | 'channel' | 'language'>;

async function currentVersion(scope: Scope, place: Place): Promise<number> {
  const row = await versionsOf(scope, place).select('version').limit(1).executeTakeFirst();
  return row?.version ?? 0;
}

/** Newest first. */
function versionsOf({ db }: Scope, { kind, channel, language }: Place) {
  return db
    .selectFrom('message_templates')
    .where('kind', '=', kind)
    .where('channel', '=', channel)
    .where('language', '=', language)
    .orderBy('version', 'desc');
}

const TemplateFilter = z.object({
  kind: z.enum(TEMPLATE_KINDS).nullish(),
  channel: z.enum(care.CHANNELS).nullish(),
  language: z.enum(LANGUAGES).nullish(),
});
export type TemplateFilter = z.input<typeof TemplateFilter>;

/** The newest version of each, or of those that the filter names. Staff only. Throws InvalidInput, Forbidden. */
export async function templates(scope: Scope, input: TemplateFilter = {}): Promise<Template[]> {
  const { kind, channel, language } = parse(TemplateFilter, input);
  const action = 'template.list';
  await permitStaff(scope, { action, resourceType });

  return transact(scope, async (scope) => {
    const all = await currentTemplates(scope, kind ? [kind] : TEMPLATE_KINDS);
    await audit.record(scope, { action, resourceType });
    return all.filter(
      (template) =>
        (channel ?? template.channel) === template.channel && (language ?? template.language) === template.language,
    );
  });
}

/** Every version of one template, newest first. Staff only. Throws InvalidInput, Forbidden. */
export async function templateHistory(scope: Scope, place: Place, input: PageInput = {}): Promise<Page<Template>> {
  const { kind, channel, language } = parse(TemplatePlace, place);
  const { first, after } = parse(PageInput, input);
  const [before] = after === null ? [null] : decodeCursor(after, z.tuple([z.int()]));
  const action = 'template.list';
  await permitStaff(scope, { action, resourceType });

  return transact(scope, async (scope) => {
    const rows = await versionsOf(scope, { kind, channel, language })
      .selectAll()
      .$if(before !== null, (rows) => rows.where('version', '<', before as number))
      .limit(first + 1)
      .execute();
    await audit.record(scope, { action, resourceType, resourceIds: rows.slice(0, first).map(({ id }) => id) });
    return toPage(rows, first, { node: toTemplate, key: ({ version }) => [version] });
  });
}

const Preview = WordingInput.extend({ appointmentId: z.string().nullish() });
export type Preview = z.input<typeof Preview>;

export interface TemplatePreview extends Rendered {
  /** Why it could not be saved; of its length with the longest of dates. */
  readonly issues: readonly InputIssue[];
  readonly variables: readonly Variable[];
}

const SAMPLE_HOURS = 7 * 24;

/**
 * What a text becomes: with the time of a visit as its patient would read it, or of a made-up one. Admins only.
 * Throws InvalidInput (of its form; what else is wrong is in the answer), NotFound, Forbidden.
 */
export async function previewTemplate(scope: Scope, input: Preview): Promise<TemplatePreview> {
  const { appointmentId, ...wording } = parse(Preview, input);
  const action = 'template.preview';
  await permitAdmin(scope, { action, resourceType });
  const { startsAt, timeZone } = appointmentId
    ? await visitOf(scope, appointmentId, action)
    : { startsAt: scope.now.add({ hours: SAMPLE_HOURS }), timeZone: scope.clinic.timeZone };
  const { language, channel } = wording;
  const values = valuesOf(scope.clinic, { visits: [{ startsAt }], timeZone, language, channel });
  return { ...render(wording, values), issues: issuesOf(scope.clinic, wording), variables: variablesOf(wording) };
}

async function visitOf(
  scope: Scope,
  id: string,
  action: string,
): Promise<{ startsAt: Temporal.Instant; timeZone: string }> {
  return transact(scope, async (scope) => {
    const visit = isUuid(id) ? (await scheduling.visitsOf(scope, [id])).get(id) : undefined;
    if (visit === undefined) throw new NotFound('Appointment');
    const { timeZone } = await care.holdPatient(scope, visit.patientId);
    const patientIds = [visit.patientId];
    await audit.record(scope, { action, resourceType: 'Appointment', resourceId: id, patientIds });
    return { startsAt: visit.startsAt, timeZone };
  });
}
