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
  exp: z.number(),
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
    .sign(keysOf(scope.vault).signing);
  return { accessToken, expiresAt: Temporal.Instant.fromEpochMilliseconds(expiresAt * 1000) };
}

/** A client shows life by refreshing, so it must have to well before it would count as idle. */
function lifetimeSeconds({ signIn }: Scope): number {
  return Math.min(signIn.accessTokenMinutes * 60, signIn.idleMinutes * 30);
}

/** Whom the token names. Its session is proven by each transaction. Throws {@link Unauthenticated}. */
export async function readAccessToken(scope: Scope, token: string): Promise<Actor> {
  const { verified } = keysOf(scope.vault);
  const fresh = await verify(scope, token);
  if (verified.size >= MAX_REMEMBERED) verified.delete(verified.keys().next().value ?? '');
  verified.set(token, fresh);
  return fresh.actor;
}

/** One that was verified is remembered until its end: reading and verifying it cost as much as a query. */
export function rememberedToken({ vault, now }: Scope, token: string): Actor | undefined {
  const known = keysOf(vault).verified.get(token);
  return known && Temporal.Instant.compare(now, known.expiresAt) < 0 ? known.actor : undefined;
}

interface Verified {
  readonly actor: Actor;
  readonly expiresAt: Temporal.Instant;
}

async function verify(scope: Scope, token: string): Promise<Verified> {
  try {
    const { payload } = await jwtVerify(token, keysOf(scope.vault).signing, {
      algorithms: [ALGORITHM],
      typ: TYPE,
      issuer: ISSUER,
      audience: AUDIENCE,
      currentDate: new Date(scope.now.epochMilliseconds),
    });
    const { sub, sid, role, patientId, mayOverride, exp } = Claims.parse(payload);
    const actor = {
      id: sub,
      role,
      sessionId: sid,
      ...(patientId && { patientId }),
      ...(mayOverride && { mayOverride }),
    };
    return { actor, expiresAt: Temporal.Instant.fromEpochMilliseconds(exp * 1000) };
  } catch (thrown) {
    if (thrown instanceof errors.JWTExpired) throw new Unauthenticated('The access token has expired; refresh it');
    if (thrown instanceof errors.JOSEError || thrown instanceof z.ZodError) throw new Unauthenticated();
    throw thrown;
  }
}

const MAX_REMEMBERED = 10_000;

interface Keys {
  readonly signing: KeyObject;
  readonly verified: Map<string, Verified>;
}

const known = new WeakMap<Vault, Keys>();

function keysOf(vault: Vault): Keys {
  let keys = known.get(vault);
  if (!keys) {
    keys = { signing: createSecretKey(vault.keyFor('access-token')), verified: new Map() };
    known.set(vault, keys);
  }
  return keys;
}
