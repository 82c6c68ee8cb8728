/** Browser sessions: POST signs in and sets the cookie, DELETE ends the session. The token is never seen by a script. */
import * as accounts from '@careflex/core/accounts';
import { Forbidden, Unauthenticated } from '@careflex/core/platform/errors';
import { SYSTEM } from '@careflex/core/platform/scope';
import { SESSION_COOKIE, sessionCookie } from './authentication.ts';
import { readJson } from './body.ts';
import type { Exchange } from './exchange.ts';
import { type EndpointOptions, isOwnOrigin, refuseForgery } from './graphql-endpoint.ts';
import { answerJson } from './health.ts';
import type { Routes } from './server.ts';

const ATTRIBUTES = 'Path=/; Secure; HttpOnly; SameSite=Strict';

export function createSessionEndpoint({ app, authenticate, limits, bodyTimeoutMs }: EndpointOptions): Routes[string] {
  return {
    async POST(exchange: Exchange) {
      const { request, response, origin } = exchange;
      await limits.address(origin.ip);
      // Signing somebody in to an account that is not theirs is a forgery as well.
      if (!isOwnOrigin(request, app.config.PUBLIC_URL)) throw new Forbidden('sign in from another site');
      await limits.signIn(origin.ip, 1);
      const given = (await readJson(exchange, bodyTimeoutMs)) as accounts.Credentials;
      const { token, expiresAt, viewer } = await accounts.loginBrowser(app.scope(SYSTEM, origin), given);
      const maxAge = Math.floor(app.clock.now().until(expiresAt).total('seconds'));
      response.setHeader('Set-Cookie', `${SESSION_COOKIE}=${token}; Max-Age=${maxAge}; ${ATTRIBUTES}`);
      answerJson(response, 200, {
        expiresAt: expiresAt.toString(),
        viewer: { id: viewer.id, role: viewer.role.toUpperCase() },
      });
    },
    async DELETE(exchange: Exchange) {
      const { request, response, origin } = exchange;
      await limits.address(origin.ip);
      refuseForgery(request);
      response.setHeader('Set-Cookie', `${SESSION_COOKIE}=; Max-Age=0; ${ATTRIBUTES}`);
      if (sessionCookie(request) !== undefined) {
        try {
          exchange.actor = await authenticate(request, origin, undefined);
          if (exchange.actor) await accounts.logout(app.scope(exchange.actor, origin));
        } catch (thrown) {
          // A session that has ended already is what was asked for.
          if (!(thrown instanceof Unauthenticated)) throw thrown;
        }
      }
      answerJson(response, 200, { signedOut: true });
    },
  };
}
