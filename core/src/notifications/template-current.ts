/** The newest version of each template, many at once: what the sender and the answers render. */
import { sql } from 'kysely';
import type { Channel } from '#care';
import type { Database } from '#platform/database';
import type { Scope } from '#platform/scope';
import type { Selectable } from 'kysely';
import { type Language, type Template, type TemplateKind, toTemplate } from './template.ts';

export interface Templates {
  /** Throws where there is none: an answer by e-mail. */
  get(kind: TemplateKind, channel: Channel, language: Language): Template;
}

/** The newest of each channel and language: one query, inside `transact`. For staff and the system. */
export async function templatesFor(scope: Scope, kinds: readonly TemplateKind[]): Promise<Templates> {
  const templates = await currentTemplates(scope, kinds);
  const byPlace = new Map(
    templates.map((template) => [placeOf(template.kind, template.channel, template.language), template]),
  );
  return {
    get(kind, channel, language) {
      const template = byPlace.get(placeOf(kind, channel, language));
      if (template === undefined) throw new Error(`There is no template ${kind} for ${channel} in ${language}`);
      return template;
    },
  };
}

const placeOf = (kind: TemplateKind, channel: Channel, language: Language): string => `${kind} ${channel} ${language}`;

export async function currentTemplates({ db }: Scope, kinds: readonly TemplateKind[]): Promise<Template[]> {
  const { rows } = await sql<Selectable<Database['message_templates']>>`
    select distinct on (kind, channel, language) * from message_templates where kind = any(${kinds}::text[])
    order by kind, channel, language, version desc`.execute(db);
  return rows.map(toTemplate);
}
