/** A template and its values made into a text. Pure: the same text for the same values. */
import { parsePhoneNumberFromString } from 'libphonenumber-js/max';
import type { Channel } from '#care';
import type { Clinic } from '#platform/scope';
import { OPT_OUT_KEY } from './intent.ts';
import { type Encoding, foldToGsm, measureSms, SMS_LIMIT } from './gsm.ts';
import { isAnswer, type Language, type Variable, type Wording } from './template.ts';
import { partsOf, type TimeStyle, type Visit, visitTimes } from './template-times.ts';

export interface Rendered {
  /** Of an e-mail. */
  readonly subject: string | null;
  readonly text: string;
  /** Of a text message. */
  readonly encoding: Encoding | null;
  /** What it takes of the limit: of a text message by its encoding, else characters. */
  readonly units: number;
  readonly limit: number;
}

export type Values = Readonly<Record<Variable, string>>;

const LIMIT: Readonly<Record<Exclude<Channel, 'SMS'>, number>> = { VOICE: 1_000, EMAIL: 10_000 };

const VARIABLE = /\{\{\s*(\w+)\s*\}\}/g;

/** Every call tells it, whatever its template says. */
const HOW_TO_OPT_OUT: Readonly<Record<Language, string>> = {
  en: `To get no more calls or texts from us, press ${OPT_OUT_KEY}.`,
  es: `Si no desea más llamadas ni mensajes, oprima ${OPT_OUT_KEY}.`,
};

/** Whether it is too long is for the caller to see: `units` may be over `limit`. */
export function render({ kind, channel, language, subject, body }: Wording, values: Values): Rendered {
  const said = filled(body, values);
  const text = channel === 'VOICE' && !isAnswer(kind) ? `${said} ${HOW_TO_OPT_OUT[language]}` : said;
  const filledSubject = subject === null ? null : filled(subject, values);
  if (channel !== 'SMS')
    return { subject: filledSubject, text, encoding: null, units: text.length, limit: LIMIT[channel] };
  const { encoding, units } = measureSms(text);
  return { subject: filledSubject, text, encoding, units, limit: SMS_LIMIT[encoding] };
}

export const fits = ({ units, limit }: Rendered): boolean => units <= limit;

function filled(text: string, values: Values): string {
  return text.replaceAll(VARIABLE, (_whole, name: string) => values[name as Variable] ?? '');
}

/** What a message is about: of an answer no visits. */
export interface About extends TimeStyle {
  readonly visits: readonly Visit[];
}

/** What the variables stand for. Date, time and zone are those of the first visit. */
export function valuesOf(clinic: Clinic, { visits, ...style }: About): Values {
  const [first] = visits.toSorted((a, b) => Temporal.Instant.compare(a.startsAt, b.startsAt));
  const { date, time, zone } = first ? partsOf(first.startsAt, style) : { date: '', time: '', zone: '' };
  const values: Values = {
    clinicName: clinic.name,
    clinicPhone: phoneOf(clinic, style.channel),
    visits: visitTimes(visits, style),
    localDate: date,
    localTime: time,
    zone,
    replyCodes: replyCodes(style),
    shortLink: clinic.link ?? '',
  };
  return style.channel === 'SMS' ? { ...values, clinicName: foldToGsm(values.clinicName) } : values;
}

/** The key or digit of each answer. */
export const REPLY_CODES = { CONFIRM: '1', CHANGE: '2', DECLINE: '3' } as const;

function replyCodes({ language, channel }: { language: Language; channel: Channel }): string {
  const { CONFIRM, CHANGE, DECLINE } = REPLY_CODES;
  if (channel === 'VOICE') {
    return language === 'en'
      ? `Press ${CONFIRM} to confirm, ${CHANGE} if you need another time, or ${DECLINE} if you cannot come`
      : `Oprima ${CONFIRM} para confirmar, ${CHANGE} si necesita otra hora, o ${DECLINE} si no puede venir`;
  }
  return language === 'en'
    ? `Reply ${CONFIRM} to confirm, ${CHANGE} to change, ${DECLINE} can't come`
    : `Responda ${CONFIRM} confirmar, ${CHANGE} cambiar, ${DECLINE} no puede ir`;
}

/** As people of the clinic's country write it; spoken, digit by digit. Where there is none, whom to call by name. */
function phoneOf({ name, phone, region }: Clinic, channel: Channel): string {
  if (phone === undefined) return channel === 'SMS' ? foldToGsm(name) : name;
  const number = parsePhoneNumberFromString(phone);
  const written = (number?.country === region ? number.formatNational() : number?.formatInternational()) ?? phone;
  return channel === 'VOICE' ? spoken(written) : written;
}

function spoken(phone: string): string {
  const groups = phone.match(/\d+/g) ?? [];
  return groups.map((digits) => Array.from(digits).join(' ')).join(', ');
}
