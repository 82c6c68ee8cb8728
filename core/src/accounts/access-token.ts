/** Access tokens of API clients: JWTs (RFC 9068) that only this platform makes and reads. */
import { createSecretKey, type KeyObject } from 'node:crypto';
import { errors, jwtVerify, SignJWT } from 'jose';
import { z } from 'zod';
import { Unauthenticated } from '#platform/errors';
import type { Actor, Scope } from '#platform/scope';
import type { Vault } from '#platform/vault';

export const ISSUER = 'careflex';
const AUDIENCE = 'careflex-api';
const ALGORITHM = 'HS256';
const TYPE = 'at+jwt';

const Claims = z.object({
  sub: z.uuid(),
  sid: z.uuid(),
  role: z.enum(['admin', 'agent', 'patient', 'auditor']),
  patientId: z.uuid().optional(),
  mayOverride: z.literal(true).optional(),
});

export interface AccessToken {
  readonly accessToken: string;
  readonly expiresAt: Temporal.Instant;
}

export async function issueAccessToken(scope: Scope, actor: Actor): Promise<AccessToken> {
  const { id, role, sessionId, patientId, mayOverride } = actor;
  const issuedAt = Math.floor(scope.now.epochMilliseconds / 1000);
  const expiresAt = issuedAt + lifetimeSeconds(scope);
  const accessToken = await new SignJWT({ sid: sessionId, role, patientId, mayOverride })
    .setProtectedHeader({ alg: ALGORITHM, typ: TYPE })
    .setIssuer(ISSUER)
    .setAudience(AUDIENCE)
    .setSubject(id)
    .setIssuedAt(issuedAt)
    .setExpirationTime(expiresAt)
    .sign(keyOf(scope.vault));
  return { accessToken, expiresAt: Temporal.Instant.fromEpochMilliseconds(expiresAt * 1000) };
}

/** A client shows life by refreshing, so it must have to well before it would count as idle. */
function lifetimeSeconds({ signIn }: Scope): number {
  return Math.min(signIn.accessTokenMinutes * 60, signIn.idleMinutes * 30);
}

/** Whom the token names. Its session is proven by each transaction. Throws {@link Unauthenticated}. */
export async function readAccessToken(scope: Scope, token: string): Promise<Actor> {
  try {
    const { payload } = await jwtVerify(token, keyOf(scope.vault), {
      algorithms: [ALGORITHM],
      typ: TYPE,
      issuer: ISSUER,
      audience: AUDIENCE,
      requiredClaims: ['exp'],
      currentDate: new Date(scope.now.epochMilliseconds),
    });
    const { sub, sid, role, patientId, mayOverride } = Claims.parse(payload);
    return { id: sub, role, sessionId: sid, ...(patientId && { patientId }), ...(mayOverride && { mayOverride }) };
  } catch (thrown) {
    if (thrown instanceof errors.JWTExpired) throw new Unauthenticated('The access token has expired; refresh it');
    if (thrown instanceof errors.JOSEError || thrown instanceof z.ZodError) throw new Unauthenticated();
    throw thrown;
  }
}

const keys = new WeakMap<Vault, KeyObject>();

function keyOf(vault: Vault): KeyObject {
  let key = keys.get(vault);
  if (!key) keys.set(vault, (key = createSecretKey(vault.keyFor('access-token'))));
  return key;
}
