/** Twilio's own client, and what its errors mean. In development and tests its base URL is the simulator's. */
import type { Twilio } from 'twilio';
import type { Config } from '#platform/config';
import { Refused, Unavailable, Unknown } from './guard.ts';

export type TwilioConfig = Pick<Config, 'TWILIO_ACCOUNT_SID' | 'TWILIO_AUTH_TOKEN' | 'TWILIO_BASE_URL'>;

/** Shorter than the guard's: what the guard has given up must not begin afterwards. */
const BEGIN_WITHIN_MS = 8_000;

/** The client is large: a process that sends nothing does not load it. */
export function twilioClient(config: TwilioConfig): () => Promise<Twilio> {
  let client: Promise<Twilio> | undefined;
  return async () => {
    const { TWILIO_ACCOUNT_SID: sid, TWILIO_AUTH_TOKEN: token, TWILIO_BASE_URL: baseUrl } = config;
    if (sid === undefined || token === undefined) throw new Unavailable('NOT_CONFIGURED');
    client ??= load(sid, token, baseUrl);
    return client;
  };
}

async function load(sid: string, token: string, baseUrl: string | undefined): Promise<Twilio> {
  const { default: twilio } = await import('twilio');
  const client = twilio(sid, token, { keepAlive: true, timeout: BEGIN_WITHIN_MS });
  if (baseUrl !== undefined) client.api.baseUrl = baseUrl;
  return client;
}

const BAD_REQUEST = 400;
/** Answers that say that nothing was done. Any other fault of the other side may have come after it was. */
const NOTHING_DONE = new Set([401, 403, 404, 408, 413, 429, 503]);

/** A bad request that is not the message's fault: our own number is wrong, its queue is full, our account is suspended. */
const OUR_FAULT = new Set([14107, 20429, 21212, 21603, 21606, 21611, 21659, 21660, 21661, 30001, 30002]);

/** Twilio's own errors repeat the number, ours keep its code alone. */
export function refuse(thrown: unknown): never {
  const { status, code } = thrown as { status?: number; code?: number | string };
  const name = String(code ?? status ?? 'UNKNOWN');
  if (status === BAD_REQUEST && !OUR_FAULT.has(Number(code))) throw new Refused(name);
  if (status === undefined ? neverConnected(thrown) : status === BAD_REQUEST || NOTHING_DONE.has(status)) {
    throw new Unavailable(name);
  }
  throw new Unknown(name);
}

const NO_CONNECTION = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH']);
const NO_TRUST = /^(CERT_|ERR_TLS_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_)/;

function neverConnected(thrown: unknown): boolean {
  const { code = '', cause } = thrown as { code?: string; cause?: { syscall?: string } };
  return NO_CONNECTION.has(code) || NO_TRUST.test(code) || cause?.syscall === 'connect';
}

/** Twilio's dates have no fractions of a second, and are invalid where there is none. */
export function instantOf(date: Date | null | undefined): Temporal.Instant | null {
  const milliseconds = date?.getTime() ?? Number.NaN;
  return Number.isNaN(milliseconds) ? null : Temporal.Instant.fromEpochMilliseconds(milliseconds);
}

/** Whether it was made at `since` or later, as far as a whole second tells. */
export function isSince(date: Date, since: Temporal.Instant): boolean {
  return date.getTime() >= Math.floor(since.epochMilliseconds / 1_000) * 1_000;
}
