/**
 * Who asks: the bearer of a token (an access token, an API key, an issuer's token) or of the browser's cookie. What is
 * given but no good is refused; it does not pass for nothing given.
 */
import type { IncomingMessage } from 'node:http';
import * as accounts from '@careflex/core/accounts';
import type { App } from '@careflex/core/app';
import { Unauthenticated } from '@careflex/core/platform/errors';
import { type Actor, type Origin, SYSTEM } from '@careflex/core/platform/scope';

/** Null when nothing is given. Throws Unauthenticated when what is given is no good, or no longer. */
export type Authenticate = (
  request: IncomingMessage,
  origin: Origin,
  authorization: string | undefined,
) => Promise<Actor | null>;

/** The prefix makes browsers refuse a cookie that is not Secure, is of another path, or was set for a domain. */
export const SESSION_COOKIE = '__Host-careflex';

const MAX_TOKEN_LENGTH = 8_192;

export function createAuthenticator(app: App): Authenticate {
  return async (request, origin, authorization) => {
    const scope = () => app.scope(SYSTEM, origin);
    if (authorization !== undefined) {
      const token = /^Bearer ([\w.~+/=-]+)$/i.exec(authorization)?.[1];
      if (token === undefined || token.length > MAX_TOKEN_LENGTH) throw new Unauthenticated('Expected a bearer token');
      return accounts.authenticate(scope(), { bearer: token });
    }
    const cookie = sessionCookie(request);
    return cookie === undefined ? null : accounts.authenticate(scope(), { cookie });
  };
}

export function sessionCookie({ headers }: IncomingMessage): string | undefined {
  for (const part of (headers.cookie ?? '').split(';')) {
    const [name, value] = part.trim().split('=', 2);
    if (name === SESSION_COOKIE && value) return value;
  }
  return undefined;
}
