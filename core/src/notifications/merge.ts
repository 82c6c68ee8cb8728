/**
 * Which messages go out as one: of one kind, to one number in one language, when they are due within the hour. The
 * text lists the visits, as many as its limit lets; what does not fit goes out as another one. Pure.
 */
import type { Clinic } from '#platform/scope';
import type { Due, Sendable } from './recheck.ts';
import { type Language, languageFor } from './template.ts';
import type { Templates } from './template-current.ts';
import { fits, render, type Rendered, valuesOf } from './template-render.ts';

/** A message that may go out. */
export interface Ready extends Due {
  readonly to: Sendable;
}

/** What goes out as one message. The first row carries it. */
export interface Merged {
  readonly rows: readonly [Ready, ...Ready[]];
  readonly language: Language;
  readonly templateId: string;
  readonly text: Rendered;
}

/** Those that could not be rendered come back apart. */
export interface Composed {
  readonly messages: readonly Merged[];
  readonly unreadable: readonly Ready[];
}

interface Wording {
  readonly clinic: Clinic;
  readonly templates: Templates;
}

export function compose(ready: readonly Ready[], wording: Wording): Composed {
  const messages: Merged[] = [];
  const unreadable: Ready[] = [];
  for (const rows of Map.groupBy(ready, placeOf).values()) {
    try {
      messages.push(...merged(rows.toSorted(byVisit), wording));
    } catch {
      unreadable.push(...rows);
    }
  }
  return { messages, unreadable };
}

function placeOf({ kind, channel, to: { contact, contactIndex } }: Ready): string {
  return [kind, channel, languageFor(contact.language), contact.timeZone, contactIndex.toString('latin1')].join(' ');
}

const byVisit = (a: Ready, b: Ready): number => Temporal.Instant.compare(a.to.visit.startsAt, b.to.visit.startsAt);

function merged(rows: readonly Ready[], wording: Wording): Merged[] {
  const messages: Merged[] = [];
  let current: Merged | undefined;
  for (const row of rows) {
    const longer = current && composed([...current.rows, row], wording);
    if (longer && fits(longer.text)) {
      current = longer;
      continue;
    }
    if (current) messages.push(current);
    current = composed([row], wording);
  }
  return current ? [...messages, current] : messages;
}

function composed(rows: readonly [Ready, ...Ready[]], { clinic, templates }: Wording): Merged {
  const [{ kind, channel, to }] = rows;
  const language = languageFor(to.contact.language);
  const template = templates.get(kind, channel, language);
  const visits = rows.map((row) => row.to.visit);
  const values = valuesOf(clinic, { visits, timeZone: to.contact.timeZone, language, channel });
  return { rows, language, templateId: template.id, text: render(template, values) };
}
