/**
 * Every setting, read and checked once. The only file that looks at the environment.
 *
 * All mistakes are reported together, by the name of the variable and never with its value.
 */
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { type Key, KEY_BYTES } from './vault.ts';

const MIN_SECRET_BYTES = 32;

/** `1:base64,2:base64`: ids from 1, each key 32 bytes; the first one is active. */
const keys = z.string().transform((text, context): [Key, ...Key[]] => {
  const parsed = text.split(',').map((part): Key => {
    const [id = '', bytes = ''] = part.split(':');
    return { id: /^\d{1,9}$/.test(id) ? Number(id) : 0, bytes: Buffer.from(bytes, 'base64') };
  });
  const bad = parsed.some((key) => key.id < 1 || key.bytes.length !== KEY_BYTES || isWeak(key.bytes));
  if (bad || new Set(parsed.map((key) => key.id)).size !== parsed.length) {
    context.addIssue({
      code: 'custom',
      message: 'expected id:key pairs such as 1:…, each key 32 random bytes in base64, ids from 1 and distinct',
    });
    return z.NEVER;
  }
  return parsed as [Key, ...Key[]];
});

const secret = z.string().transform((text, context) => {
  const bytes = Buffer.from(text, 'base64');
  if (bytes.length < MIN_SECRET_BYTES || isWeak(bytes)) {
    context.addIssue({
      code: 'custom',
      message: 'expected at least 32 random bytes in base64, as from: openssl rand -base64 32',
    });
    return z.NEVER;
  }
  return bytes;
});

/** A repeated pattern or a typed sentence has few different bytes; 32 random ones have about 30. */
function isWeak(bytes: Buffer): boolean {
  return new Set(bytes).size < Math.min(bytes.length, MIN_SECRET_BYTES) / 2;
}

const timeZone = z.string().refine(isTimeZone, 'expected an IANA time zone such as America/New_York');

export function isTimeZone(id: string): boolean {
  // An offset or an abbreviation such as EST is no zone: it does not know when the clocks change.
  if (!/^(UTC|[A-Za-z_]+(\/[A-Za-z0-9_+-]+)+)$/.test(id)) return false;
  try {
    Temporal.Now.zonedDateTimeISO(id);
    return true;
  } catch {
    return false;
  }
}

/** No clinic writes to patients earlier or later. */
const LAWFUL_HOURS = { from: '08:00', until: '21:00' };

const messageHours = z.string().transform((text, context) => {
  const [, from, until] = /^((?:[01]\d|2[0-3]):[0-5]\d)-((?:[01]\d|2[0-3]):[0-5]\d)$/.exec(text) ?? [];
  if (
    from !== undefined &&
    until !== undefined &&
    LAWFUL_HOURS.from <= from &&
    from < until &&
    until <= LAWFUL_HOURS.until
  )
    return { from, until };
  const { from: earliest, until: latest } = LAWFUL_HOURS;
  context.addIssue({
    code: 'custom',
    message: `expected times such as 09:00-20:00, not before ${earliest} or after ${latest}`,
  });
  return z.NEVER;
});

/** Once its accents are gone. */
function isPlain(name: string): boolean {
  return /^[A-Za-z\d .,'&()+-]+$/.test(name.normalize('NFD').replaceAll(/\p{M}/gu, ''));
}

/** What comes by plain HTTP could be anybody's; on this machine itself nobody stands in between. */
const trustedUrl = z
  .url('expected a URL')
  .regex(/^(https:|http:\/\/(localhost|127\.0\.0\.1|\[::1\])(:\d+)?(\/|$))/, 'expected an https URL');

const oidcIssuer = z.object({
  issuer: trustedUrl,
  audience: z.string().min(1),
});

const json = z.string().transform((text, context): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    context.addIssue({ code: 'custom', message: 'expected JSON' });
    return z.NEVER;
  }
});

const number = (fallback: number, min: number, max: number) =>
  z.coerce
    .number('expected a whole number')
    .int('expected a whole number')
    .min(min, `expected at least ${min}`)
    .max(max, `expected at most ${max}`)
    .default(fallback);

const database = z.url({
  protocol: /^postgres(ql)?$/,
  error: 'expected a URL such as postgres://user:password@host:5432/careflex',
});

/** In the checkout, wherever a command is called from. */
export const DATA_DIRECTORY = fileURLToPath(new URL('../../../.data', import.meta.url));

const Variables = z.object({
  NODE_ENV: z.enum(['development', 'test', 'production']).default('development'),
  LOG_LEVEL: z.enum(['debug', 'info', 'warn', 'error', 'silent']).default('info'),
  HOST: z.string().default('127.0.0.1'),
  PORT: number(4000, 0, 65_535),
  PUBLIC_URL: z.url().optional(),
  /** How many proxies in front set X-Forwarded-For. 0: the socket's address counts. */
  TRUSTED_PROXIES: number(0, 0, 10),
  DATABASE_URL: database.optional(),
  DATABASE_ADMIN_URL: database.optional(),
  DATABASE_POOL: number(4, 2, 64),
  /** Carries the messages between processes instead of PostgreSQL. */
  REDIS_URL: z.url({ protocol: /^rediss?$/, error: 'expected a URL such as redis://host:6379' }).optional(),
  CAREFLEX_DATA_DIR: z.string().min(1).default(DATA_DIRECTORY),
  CAREFLEX_KEYS: keys,
  CAREFLEX_SECRET: secret,
  OIDC_ISSUERS: json.pipe(z.array(oidcIssuer)).default([]),
  CLINIC_TIME_ZONE: timeZone.default('America/New_York'),
  /** By which messages name it. Short, and of letters that text messages have: 160 characters are soon full. */
  CLINIC_NAME: z
    .string()
    .max(30, 'expected at most 30 characters')
    .refine(isPlain, 'expected letters, digits and spaces that text messages have')
    .default('CareFlex Clinic'),
  /** Whom patients call, in E.164. */
  CLINIC_PHONE: z
    .string()
    .regex(/^\+[1-9]\d{6,14}$/, 'expected a number such as +12125550100')
    .optional(),
  /** Between which times of their day messages go out to patients, whatever they prefer. The law's unless narrowed. */
  MESSAGE_HOURS: messageHours.prefault('08:00-21:00'),
  /** Reminders that one number gets, at most: on a day, and on seven days. */
  REMINDERS_PER_DAY: number(1, 1, 100),
  REMINDERS_PER_WEEK: number(3, 1, 700),
  DEFAULT_REGION: z
    .string()
    .regex(/^[A-Z]{2}$/)
    .default('US'),
  SESSION_IDLE_MINUTES: number(30, 1, 1_440),
  SESSION_ABSOLUTE_HOURS: number(12, 1, 720),
  ACCESS_TOKEN_MINUTES: number(5, 1, 60),
  AUDIT_RETENTION_YEARS: number(6, 1, 100),
  /** Where the sealer leaves the newest signed tree head, outside the database. */
  AUDIT_HEAD_FILE: z.string().min(1).optional(),
  METRICS_TOKEN: z.string().min(16).optional(),
  /** Requests a minute that each process takes: from one address, from one principal, and to sign in from one address. */
  RATE_LIMIT_PER_ADDRESS: number(12_000, 1, 10_000_000),
  RATE_LIMIT_PER_PRINCIPAL: number(6_000, 1, 10_000_000),
  RATE_LIMIT_SIGN_IN: number(30, 1, 10_000_000),
  /** What the message provider may post a minute: it has few addresses, and three reports for every message. */
  RATE_LIMIT_WEBHOOKS: number(600_000, 1, 100_000_000),
  /** Open sockets that each process keeps for one address. A clinic is often one. */
  SOCKETS_PER_ADDRESS: number(2_000, 1, 10_000_000),
  /** Patients a second about whom the nightly sync asks the payer, at most. */
  BENEFITS_SYNC_PER_SECOND: number(50, 1, 10_000),
  TWILIO_ACCOUNT_SID: z.string().regex(/^AC/).optional(),
  TWILIO_AUTH_TOKEN: z.string().min(16).optional(),
  /** Twilio's own unless given; the simulator's in development. */
  TWILIO_BASE_URL: z.url().optional(),
  /** The number, in E.164, or messaging service that text messages come from. */
  SMS_FROM: z.string().min(1).optional(),
  /** The number, in E.164, that calls come from. That of the text messages unless given. */
  VOICE_FROM: z
    .string()
    .regex(/^\+[1-9]\d{6,14}$/, 'expected a number such as +12125550100')
    .optional(),
  /** The payer's FHIR R4 base URL. Without one, eligibility is what is on record here. */
  BENEFITS_API_URL: trustedUrl.optional(),
  BENEFITS_API_TOKEN: z.string().min(1).optional(),
  /** The payer's codes of benefits, `code` or `system|code`, beside the platform's own names. */
  BENEFITS_API_CODES: json
    .pipe(z.record(z.string(), z.enum(['TRANSPORTATION', 'MEALS', 'FITNESS', 'OTC_ITEMS', 'UTILITIES'])))
    .default({}),
  /** A directory of providers that speaks FHIR R4: the base of its resources, and a bearer token. */
  PROVIDER_API_URL: trustedUrl.optional(),
  PROVIDER_API_TOKEN: z.string().min(1).optional(),
  SMTP_URL: z.url({ protocol: /^smtps?$/, error: 'expected a URL such as smtp://host:587' }).optional(),
  EMAIL_FROM: z.string().includes('@').default('CareFlex <no-reply@careflex.test>'),
});

export type Config = z.output<typeof Variables>;

/** One clear sentence for the person who starts the program. */
export class ConfigError extends Error {}

export type Environment = Readonly<Record<string, string | undefined>>;

/** As the process got it, for whoever completes it first. */
export const environment: Environment = process.env;

/** Reads the configuration. Throws {@link ConfigError} that lists every mistake. */
export function readConfig(given: Environment = environment): Config {
  // An empty variable counts as absent: that is what a shell's NAME= and a compose file's empty value mean.
  const set = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== ''));
  const result = Variables.safeParse(set);
  if (result.success) return result.data;
  const mistakes = result.error.issues.map(({ path, message, code }) => {
    const name = path.join('.');
    return code === 'invalid_type' && set[name] === undefined ? `${name} is missing` : `${name}: ${message}`;
  });
  throw new ConfigError(`The configuration is not usable. ${mistakes.join('; ')}.`);
}
