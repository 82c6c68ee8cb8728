/** When a visit is, as a message says it: the day and the time themselves, with their zone, and never "tomorrow". */
import type { Channel } from '#care';
import { foldToGsm } from './gsm.ts';
import type { Language } from './template.ts';

export interface TimeStyle {
  /** IANA: the zone of whoever reads it. */
  readonly timeZone: string;
  readonly language: Language;
  readonly channel: Channel;
}

export interface Visit {
  readonly startsAt: Temporal.Instant;
}

/** The visits in the order of time: `Tue, Mar 10, 9:00 AM EDT and Wed, Mar 11, 2:00 PM EDT`. */
export function visitTimes(visits: readonly Visit[], style: TimeStyle): string {
  const times = visits
    .map(({ startsAt }) => startsAt)
    .toSorted((a, b) => Temporal.Instant.compare(a, b))
    .map((startsAt) => visitTime(startsAt, style));
  if (style.channel === 'EMAIL') return times.join('\n');
  return listed(times, AND[style.language]);
}

const AND: Readonly<Record<Language, string>> = { en: 'and', es: 'y' };

/** With semicolons, since there are commas within. */
function listed(items: readonly string[], and: string): string {
  const [last = '', ...others] = items.toReversed();
  return others.length === 0 ? last : `${others.toReversed().join('; ')} ${and} ${last}`;
}

function visitTime(startsAt: Temporal.Instant, style: TimeStyle): string {
  const { date, time, zone } = partsOf(startsAt, style);
  if (style.channel !== 'VOICE') return `${date}, ${time} ${zone}`;
  if (style.language === 'en') return `${date}, at ${time}, ${zone}`;
  return `${date}, a ${time.startsWith('1:') ? 'la' : 'las'} ${time}, ${zone}`;
}

export interface TimeParts {
  readonly date: string;
  readonly time: string;
  readonly zone: string;
}

export function partsOf(startsAt: Temporal.Instant, style: TimeStyle): TimeParts {
  const local = startsAt.toZonedDateTimeISO(style.timeZone);
  return { date: dateOf(local, style), time: timeOf(local, style), zone: zoneOf(startsAt, style) };
}

function dateOf(local: Temporal.ZonedDateTime, { language, channel }: TimeStyle): string {
  const { weekdays, months } = (channel === 'SMS' ? SHORT : LONG)[language];
  const [weekday, month, day] = [weekdays[local.dayOfWeek - 1], months[local.month - 1], local.day];
  if (channel === 'SMS') return language === 'en' ? `${weekday}, ${month} ${day}` : `${weekday} ${day} ${month}`;
  const year = channel === 'EMAIL' ? local.year : null;
  if (language === 'en') return `${weekday}, ${month} ${day}${year === null ? '' : `, ${year}`}`;
  return `${weekday} ${day} de ${month}${year === null ? '' : ` de ${year}`}`;
}

function timeOf({ hour, minute }: Temporal.ZonedDateTime, { language, channel }: TimeStyle): string {
  const minutes = String(minute).padStart(2, '0');
  const onTheDial = `${hour % 12 === 0 ? 12 : hour % 12}:${minutes}`;
  if (language === 'en') return `${onTheDial} ${hour < 12 ? 'AM' : 'PM'}`;
  return channel === 'VOICE' ? `${onTheDial} ${partOfDay(hour)}` : `${hour}:${minutes}`;
}

function partOfDay(hour: number): string {
  if (hour < 12) return 'de la mañana';
  return hour < 19 ? 'de la tarde' : 'de la noche';
}

/** Spoken, its whole name; written, as clocks have it: `EDT`, in Spanish too, whose short forms are offsets. */
function zoneOf(at: Temporal.Instant, { timeZone, language, channel }: TimeStyle): string {
  const locale = channel === 'VOICE' && language === 'es' ? 'es-US' : 'en-US';
  const format = formatFor(locale, timeZone, channel === 'VOICE' ? 'long' : 'short');
  const name = format.formatToParts(at.epochMilliseconds).find(({ type }) => type === 'timeZoneName')?.value;
  return channel === 'SMS' ? foldToGsm(name ?? timeZone) : (name ?? timeZone);
}

/** One takes longer to make than to use; there are as many as zones. */
const formats = new Map<string, Intl.DateTimeFormat>();

function formatFor(locale: string, timeZone: string, timeZoneName: 'short' | 'long'): Intl.DateTimeFormat {
  const key = `${locale} ${timeZone} ${timeZoneName}`;
  let format = formats.get(key);
  if (format === undefined) formats.set(key, (format = new Intl.DateTimeFormat(locale, { timeZone, timeZoneName })));
  return format;
}

interface Names {
  /** From Monday. */
  readonly weekdays: readonly string[];
  readonly months: readonly string[];
}

const words = (text: string): readonly string[] => text.split(' ');

const LONG: Readonly<Record<Language, Names>> = {
  en: {
    weekdays: words('Monday Tuesday Wednesday Thursday Friday Saturday Sunday'),
    months: words('January February March April May June July August September October November December'),
  },
  es: {
    weekdays: words('lunes martes miércoles jueves viernes sábado domingo'),
    months: words('enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre'),
  },
};

/** Without accents: á is not in the alphabet of text messages, and would leave them 70 characters. */
const SHORT: Readonly<Record<Language, Names>> = {
  en: {
    weekdays: words('Mon Tue Wed Thu Fri Sat Sun'),
    months: words('Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec'),
  },
  es: {
    weekdays: words('lun mar mie jue vie sab dom'),
    months: words('ene feb mar abr may jun jul ago sep oct nov dic'),
  },
};
