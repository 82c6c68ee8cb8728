/** The words that patients agree to. A change of the words is a new version: consents name the one they were given to. */
import type { Purpose } from './consent.ts';
import type { Language } from './template.ts';

export interface ConsentWording {
  readonly version: string;
  readonly purpose: Purpose;
  readonly text: Readonly<Record<Language, string>>;
}

const END_EN =
  'This is no condition of my care. Message and data rates may apply. I can withdraw at any time, by replying STOP to a text message or by telling the clinic.';
const END_ES =
  'No es una condición para mi atención. Pueden aplicarse tarifas de mensajes y datos. Puedo retirarlo en cualquier momento, respondiendo STOP a un mensaje de texto o avisando a la clínica.';

/** The newest of a purpose comes first. */
export const CONSENT_WORDINGS: readonly ConsentWording[] = [
  {
    version: 'care-reminder-1',
    purpose: 'CARE_REMINDER',
    text: {
      en: `I agree that the clinic tells and reminds me of my visits by automated text messages, calls or e-mails to this number or address. ${END_EN}`,
      es: `Acepto que la clínica me informe y me recuerde mis citas con mensajes de texto, llamadas o correos automáticos a este número o dirección. ${END_ES}`,
    },
  },
  {
    version: 'benefits-notice-1',
    purpose: 'BENEFITS_NOTICE',
    text: {
      en: `I agree that the clinic tells me about my benefits by automated text messages, calls or e-mails to this number or address. ${END_EN}`,
      es: `Acepto que la clínica me informe de mis beneficios con mensajes de texto, llamadas o correos automáticos a este número o dirección. ${END_ES}`,
    },
  },
  {
    version: 'survey-1',
    purpose: 'SURVEY',
    text: {
      en: `I agree that the clinic asks me about my experience by automated text messages, calls or e-mails to this number or address. ${END_EN}`,
      es: `Acepto que la clínica me pregunte por mi experiencia con mensajes de texto, llamadas o correos automáticos a este número o dirección. ${END_ES}`,
    },
  },
];

export function currentWording(purpose: Purpose): string {
  const wording = CONSENT_WORDINGS.find((wording) => wording.purpose === purpose);
  if (wording === undefined) throw new Error(`No wording for ${purpose}`);
  return wording.version;
}

export const isWordingOf = (purpose: Purpose, version: string): boolean =>
  CONSENT_WORDINGS.some((wording) => wording.purpose === purpose && wording.version === version);
