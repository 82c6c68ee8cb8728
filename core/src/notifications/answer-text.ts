/** What the platform says to a patient's own message. */
import type { Scope } from '#platform/scope';
import { templatesFor } from './template-current.ts';
import { render, valuesOf } from './template-render.ts';
import type { AnswerKind, Language } from './template.ts';

export interface Answer {
  readonly kind: AnswerKind;
  readonly channel: 'SMS' | 'VOICE';
  readonly language: Language;
}

/** In the words of the newest template; names no visit. For the system, inside `transact`. */
export async function answerText(scope: Scope, { kind, channel, language }: Answer): Promise<string> {
  const template = (await templatesFor(scope, [kind])).get(kind, channel, language);
  const style = { timeZone: scope.clinic.timeZone, language, channel };
  return render(template, valuesOf(scope.clinic, { visits: [], ...style })).text;
}
