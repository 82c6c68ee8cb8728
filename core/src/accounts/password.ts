/** Passwords: argon2id (RFC 9106) in PHC string form, and which ones are good enough. */
import { argon2, type Argon2Parameters, randomBytes, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';
import { dictionary } from '@zxcvbn-ts/language-common';
import { bulkhead, BulkheadRejectedError } from 'cockatiel';
import { InvalidInput, RateLimited } from '#platform/errors';
import type { UserRole } from './user.ts';

/** OWASP's password storage cheat sheet: 19 MiB, two passes, one lane. */
const COST = { memory: 19_456, passes: 2, parallelism: 1 } as const;
const SALT_BYTES = 16;
const TAG_BYTES = 32;
const TODAY = `$argon2id$v=19$m=${COST.memory},t=${COST.passes},p=${COST.parallelism}$`;

/** The argon2id hash of the password in PHC form, under a fresh salt. Throws RateLimited when too many wait. */
export async function hashPassword(password: string): Promise<string> {
  const nonce = randomBytes(SALT_BYTES);
  const tag = await derive(password, { ...COST, nonce, tagLength: TAG_BYTES });
  return `${TODAY}${base64(nonce)}$${base64(tag)}`;
}

const PHC = /^\$argon2id\$v=19\$m=(\d+),t=(\d+),p=(\d+)\$([A-Za-z0-9+/]{11,86})\$([A-Za-z0-9+/]{16,86})$/;
const NOBODYS = `${TODAY}${'A'.repeat(22)}$${'A'.repeat(43)}`;

/**
 * Whether the password has this hash. Without a hash the answer is no, after the same work, so that the time does
 * not tell who is a user. Throws RateLimited when too many wait.
 */
export async function verifyPassword(hash: string | null, password: string): Promise<boolean> {
  const [, memory, passes, parallelism, salt = '', tag = ''] = PHC.exec(hash ?? NOBODYS) ?? [];
  if (memory === undefined) throw new Error('Not an argon2id hash in PHC form');
  const expected = Buffer.from(tag, 'base64');
  const cost = { memory: Number(memory), passes: Number(passes), parallelism: Number(parallelism) };
  const actual = await derive(password, { ...cost, nonce: Buffer.from(salt, 'base64'), tagLength: expected.length });
  return timingSafeEqual(actual, expected) && hash !== null;
}

/** Made at another cost than today's: to be made anew when the password is at hand. */
export function isOutdated(hash: string): boolean {
  return !hash.startsWith(TODAY);
}

/** Two at a time: each takes 19 MiB and a thread of the four that all of the process's cryptography shares. */
const turns = bulkhead(2, 200);
const derivation = promisify(argon2);

async function derive(password: string, parameters: Omit<Argon2Parameters, 'message'>): Promise<Buffer> {
  try {
    const message = Buffer.from(password.normalize('NFKC'), 'utf8');
    return await turns.execute(() => derivation('argon2id', { message, ...parameters }));
  } catch (thrown) {
    if (thrown instanceof BulkheadRejectedError) throw new RateLimited(1);
    throw thrown;
  }
}

function base64(bytes: Buffer): string {
  return bytes.toString('base64').replaceAll('=', '');
}

export const MAX_PASSWORD = 128;
const MIN_LENGTH: Record<UserRole, number> = { admin: 12, agent: 12, auditor: 12, patient: 8 };
const SERVICE = 'careflex';

const common = new Set(dictionary['passwords-common']);

/**
 * NIST SP 800-63B: length counts, composition does not; what is common, repetitive, or made of the service's or the
 * user's name is refused. `path` is where the password stands in the caller's input. Throws InvalidInput.
 */
export function refuseWeakPassword(
  password: string,
  { role, email, path }: { role: UserRole; email: string; path: string },
): void {
  const message = weakness(password.normalize('NFKC'), { role, email });
  if (message !== null) throw new InvalidInput([{ path: [path], message }]);
}

function weakness(password: string, { role, email }: { role: UserRole; email: string }): string | null {
  const length = Array.from(password).length;
  const lower = password.toLowerCase();
  const [local = ''] = email.split('@');
  if (length < MIN_LENGTH[role]) return `expected at least ${MIN_LENGTH[role]} characters`;
  if (length > MAX_PASSWORD) return `expected at most ${MAX_PASSWORD} characters`;
  if (lower.includes(SERVICE)) return 'expected a password without the name of this service';
  if (lower === email || (local.length >= 4 && lower.includes(local))) {
    return 'expected a password without your e-mail address';
  }
  if (common.has(lower) || isPattern(lower)) return 'expected a password that is harder to guess: this one is common';
  return null;
}

/** One to four characters over and over, or a run such as 123456789 and hgfedcba. */
function isPattern(text: string): boolean {
  if (/^(.{1,4}?)\1+.{0,3}$/su.test(text)) return true;
  const codes = Array.from(text, (character) => character.codePointAt(0) ?? 0);
  const steps = new Set(codes.slice(1).map((code, i) => code - (codes[i] ?? 0)));
  return steps.size === 1 && Math.abs([...steps][0] ?? 0) <= 1;
}
