/** From what a request presents to who it is. */
import { sql } from 'kysely';
import * as audit from '#audit';
import { sqlState } from '#platform/database';
import { Unauthenticated } from '#platform/errors';
import { type Actor, asSystem, type Role, type Scope, transact } from '#platform/scope';
import { ISSUER, readAccessToken, rememberedToken } from './access-token.ts';
import { findVouched } from './identity.ts';
import { claimedIssuer, readIssuerToken, type Voucher } from './issuer.ts';
import { hashToken, insertSession, type SessionKind } from './session.ts';
import { isAdmissible, recordSignIn } from './sign-in.ts';
import { toActor } from './user.ts';

/** A browser's cookie, or what stands behind `Authorization: Bearer`. */
export type Credential = { readonly cookie: string } | { readonly bearer: string };

export const API_KEY_PREFIX = 'cfk_';
const MAX_TOKEN = 8_192;

/** Throws {@link Unauthenticated}. */
export async function actorOf(scope: Scope, credential: Credential): Promise<Actor> {
  const token = 'cookie' in credential ? credential.cookie : credential.bearer;
  if (token === '' || token.length > MAX_TOKEN) throw new Unauthenticated();
  if ('cookie' in credential) return bySession(scope, token, 'browser');
  if (token.startsWith(API_KEY_PREFIX)) return bySession(scope, token, 'api_key');
  const remembered = rememberedToken(scope, token);
  if (remembered) return remembered;
  const claimed = claimedIssuer(token);
  if (claimed === ISSUER) return readAccessToken(scope, token);
  const issuer = scope.signIn.issuers.find(({ issuer }) => issuer === claimed);
  if (!issuer) throw new Unauthenticated();
  return byVoucher(scope, token, await readIssuerToken(scope, issuer, token));
}

async function bySession(scope: Scope, token: string, kind: SessionKind): Promise<Actor> {
  const actor = await findBearer(scope, token, kind);
  if (!actor) throw new Unauthenticated('The session has ended; sign in again');
  return actor;
}

interface Bearer {
  id: string;
  user_id: string;
  role: Exclude<Role, 'system'>;
  patient_id: string | null;
  can_override: boolean;
  demo: boolean;
  scopes: string[] | null;
}

/** The one query outside `transact`: a caller has no role yet, and one round trip is all that a request should pay. */
async function findBearer(scope: Scope, token: string, kind: SessionKind): Promise<Actor | null> {
  const { db, now, signIn } = scope;
  const { rows } = await sql<Bearer>`
    select * from session_by_token(${hashToken(token)}, array[${kind}], ${now.toString()}::timestamptz,
      make_interval(mins => ${signIn.idleMinutes}::int))`.execute(db);
  const [bearer] = rows;
  if (!bearer || !isAdmissible(scope, { demo: bearer.demo, disabled_at: null })) return null;
  const actor = toActor({ ...bearer, id: bearer.user_id }, bearer.id);
  return bearer.scopes === null ? actor : { ...actor, scopes: bearer.scopes };
}

const UNIQUE_VIOLATION = '23505';

/** An issuer's token has a session like every other sign-in, made at its first use: so it can be seen and ended here. */
async function byVoucher(scope: Scope, token: string, voucher: Voucher): Promise<Actor> {
  const known = await findBearer(scope, token, 'issuer');
  if (known) return known;
  const actor = await firstUse(scope, token, voucher).catch((thrown: unknown) => {
    if (sqlState(thrown) !== UNIQUE_VIOLATION) throw thrown;
    // The token has a session: another request was quicker, or it has been ended.
    return findBearer(scope, token, 'issuer');
  });
  if (!actor) throw new Unauthenticated('The token is not valid here');
  return actor;
}

async function firstUse(scope: Scope, token: string, voucher: Voucher): Promise<Actor | null> {
  return transact(asSystem(scope), async (scope) => {
    const user = await findVouched(scope, voucher);
    if (!user || !isAdmissible(scope, user)) {
      const resourceId = user?.id ?? null;
      await audit.record(scope, { action: 'session.login', resourceType: 'User', resourceId, outcome: 'DENIED' });
      return null;
    }
    const { expiresAt } = voucher;
    const session = await insertSession(scope, {
      userId: user.id,
      kind: 'issuer',
      tokenHash: hashToken(token),
      expiresAt,
    });
    await recordSignIn(scope, user, session.id);
    return toActor(user, session.id);
  });
}
