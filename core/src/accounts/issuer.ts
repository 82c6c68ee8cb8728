/**
 * Tokens of OpenID Connect issuers. What they vouch for is a user that exists here already; none is ever made.
 *
 * Keys are found by discovery, kept, and looked up anew when a token names one that is not known, at most once in
 * ten seconds, so that forged key ids cannot be turned into traffic.
 */
import { createRemoteJWKSet, decodeJwt, errors, type JWTPayload, jwtVerify, type RemoteJWKSet } from 'jose';
import { z } from 'zod';
import { normaliseEmail } from '#care';
import { Unauthenticated } from '#platform/errors';
import type { Scope, SignInRules } from '#platform/scope';

const ALGORITHMS = ['RS256', 'PS256', 'ES256', 'EdDSA'];
const TIMEOUT_MS = 5_000;
const RELOAD_SECONDS = 10;

export type Issuer = SignInRules['issuers'][number];

export interface Voucher {
  readonly issuer: string;
  readonly subject: string;
  /** Normalised; null unless the issuer says that it is verified. */
  readonly email: string | null;
  readonly expiresAt: Temporal.Instant;
}

/** The issuer that a token claims, or null when it is no token. Nothing is proven by it. */
export function claimedIssuer(token: string): string | null {
  try {
    return decodeJwt(token).iss ?? null;
  } catch {
    return null;
  }
}

const Claims = z.object({
  sub: z.string().min(1).max(500),
  exp: z.number(),
  email: z.string().max(254).optional(),
  email_verified: z.unknown().optional(),
});

/** What the issuer's token vouches for. Throws {@link Unauthenticated}; an issuer that cannot be reached is an outage. */
export async function readIssuerToken(scope: Scope, { issuer, audience }: Issuer, token: string): Promise<Voucher> {
  const keys = await keysOf(issuer);
  const options = {
    algorithms: ALGORITHMS,
    issuer,
    audience,
    requiredClaims: ['exp', 'sub'],
    currentDate: new Date(scope.now.epochMilliseconds),
  };
  const verify = () => jwtVerify(token, keys.set, options);
  const { payload } = await verify()
    .catch(async (thrown: unknown) => {
      if (!(thrown instanceof errors.JWKSNoMatchingKey) || !mayReload(keys, scope.now)) throw thrown;
      await keys.set.reload();
      return verify();
    })
    .catch((thrown: unknown) => {
      throw isRefusal(thrown) ? new Unauthenticated('The token is not valid here') : thrown;
    });
  return toVoucher(issuer, payload);
}

function toVoucher(issuer: string, payload: JWTPayload): Voucher {
  const claims = Claims.safeParse(payload);
  if (!claims.success) throw new Unauthenticated('The token is not valid here');
  const { sub, exp, email, email_verified } = claims.data;
  return {
    issuer,
    subject: sub,
    email: email !== undefined && email_verified === true ? normaliseEmail(email) : null,
    expiresAt: Temporal.Instant.fromEpochMilliseconds(Math.floor(exp) * 1000),
  };
}

const OUTAGES = new Set(['ERR_JOSE_GENERIC', 'ERR_JWKS_TIMEOUT', 'ERR_JWKS_INVALID']);

function isRefusal(thrown: unknown): boolean {
  return thrown instanceof errors.JOSEError && !OUTAGES.has(thrown.code);
}

interface Keys {
  readonly set: RemoteJWKSet;
  reloadedAt: Temporal.Instant | null;
}

function mayReload(keys: Keys, now: Temporal.Instant): boolean {
  if (keys.reloadedAt && now.since(keys.reloadedAt).total('seconds') < RELOAD_SECONDS) return false;
  keys.reloadedAt = now;
  return true;
}

const known = new Map<string, Promise<Keys>>();

async function keysOf(issuer: string): Promise<Keys> {
  let keys = known.get(issuer);
  if (!keys) {
    known.set(issuer, (keys = discover(issuer)));
    // A failure is not kept: the next token asks again.
    keys.catch(() => known.delete(issuer));
  }
  return keys;
}

const Discovery = z.object({ issuer: z.string(), jwks_uri: z.url() });

/** OpenID Connect Discovery 1.0, section 4. Throws when the issuer does not answer, or answers for another. */
async function discover(issuer: string): Promise<Keys> {
  const url = `${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`;
  const response = await fetch(url, { redirect: 'error', signal: AbortSignal.timeout(TIMEOUT_MS) });
  if (!response.ok) throw new Error('An OpenID Connect issuer has no configuration to be discovered');
  const found = Discovery.parse(await response.json());
  if (found.issuer !== issuer) throw new Error('An OpenID Connect issuer answers for another one');
  const jwks = new URL(found.jwks_uri);
  if (jwks.protocol !== new URL(issuer).protocol)
    throw new Error('The keys of an issuer must not come by a lesser way');
  const set = createRemoteJWKSet(jwks, { timeoutDuration: TIMEOUT_MS, cooldownDuration: Infinity });
  return { set, reloadedAt: null };
}
