import assert from 'node:assert/strict';
import { createHmac, createPublicKey, randomUUID } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import * as accounts from '#accounts';
import { systemClock } from '#platform/clock';
import { Unauthenticated } from '#platform/errors';
import type { Scope } from '#platform/scope';
import { later, newUser, trail } from './support/accounts.ts';
import { type Algorithm, AUDIENCE, startIssuer, type TestIssuer } from './support/issuer.ts';
import { as, asSuperuser, committed, sandboxed } from './support/testing.ts';

let issuer: TestIssuer;
before(async () => {
  issuer = await startIssuer();
});
after(() => issuer[Symbol.asyncDispose]());

/** The issuer's tokens tell the real time, so these tests do. */
function trusting(scope: Scope): Scope {
  const issuers = [{ issuer: issuer.url, audience: AUDIENCE }];
  return { ...scope, now: systemClock.now(), signIn: { ...scope.signIn, issuers } };
}

async function linkedUser(scope: Scope) {
  const user = await newUser(scope, { password: null });
  const client = { id: `client-${randomUUID()}` };
  await accounts.linkIdentity(as(scope, 'admin'), user.id, { issuer: issuer.url, subject: client.id });
  return { user, client };
}

const refused = (scope: Scope, bearer: string) =>
  assert.rejects(accounts.authenticate(scope, { bearer }), Unauthenticated);

describe('a token of an OpenID Connect issuer', () => {
  for (const algorithm of ['RS256', 'PS256', 'ES256', 'EdDSA'] satisfies Algorithm[]) {
    test(
      `signed by ${algorithm} signs in the user whom its subject is linked to`,
      sandboxed(async (sandbox) => {
        const scope = trusting(sandbox);
        const { user, client } = await linkedUser(scope);
        const actor = await accounts.authenticate(scope, { bearer: await issuer.token(client, { algorithm }) });
        assert.deepEqual({ ...actor, sessionId: null }, { id: user.id, role: 'agent', sessionId: null });
        assert.equal((await accounts.me(as(scope, actor))).email, user.email);
      }),
    );
  }

  test(
    'has one session, with 64 callers at first use too, which can be ended here',
    committed(async (committed) => {
      const scope = trusting(committed);
      const { client } = await linkedUser(scope);
      const bearer = await issuer.token(client);
      const actors = await Promise.all(Array.from({ length: 64 }, () => accounts.authenticate(scope, { bearer })));
      const [sessionId] = new Set(actors.map((actor) => actor.sessionId));
      assert.equal(new Set(actors.map((actor) => actor.sessionId)).size, 1);
      assert.deepEqual(await trail(sessionId ?? ''), ['session.login SUCCESS']);
      await accounts.revokeSession(as(scope, 'admin'), sessionId ?? '');
      await refused(scope, bearer);
      await accounts.authenticate(scope, { bearer: await issuer.token(client) });
    }),
  );

  test(
    'links its subject at first use to the user whose e-mail address both sides have verified',
    sandboxed(async (sandbox) => {
      const scope = trusting(sandbox);
      const user = await newUser(scope, { password: null });
      const client = { id: randomUUID() };
      const saying = (claims: object) => issuer.token({ ...client, claims });
      await refused(scope, await saying({ email: user.email }));
      await refused(scope, await saying({ email: user.email, email_verified: false }));
      await refused(scope, await saying({ email: user.email, email_verified: 'true' }));
      await refused(scope, await saying({ email: 'nobody@staff.example', email_verified: true }));
      const first = await saying({ email: user.email.toUpperCase(), email_verified: true });
      assert.equal((await accounts.authenticate(scope, { bearer: first })).id, user.id);
      const second = await saying({});
      assert.equal((await accounts.authenticate(scope, { bearer: second })).id, user.id);
      // Another account at the issuer that says it has the same address does not get in.
      const impostor = { id: randomUUID(), claims: { email: user.email, email_verified: true } };
      await refused(scope, await issuer.token(impostor));
    }),
  );

  test(
    'never makes a user, and signs in none that is disabled or whose address is not proven',
    committed(async (committed) => {
      const scope = trusting(committed);
      const before = await asSuperuser('select count(*) from users');
      await refused(
        scope,
        await issuer.token({ id: 'x', claims: { email: 'new@staff.example', email_verified: true } }),
      );
      assert.deepEqual(await asSuperuser('select count(*) from users'), before);

      const { user, client } = await linkedUser(scope);
      const bearer = await issuer.token(client);
      await accounts.authenticate(scope, { bearer });
      await accounts.updateUser(as(scope, 'admin'), user.id, { disabled: true });
      await refused(scope, bearer);
      await refused(scope, await issuer.token(client));

      const unproven = await newUser(scope, { password: null });
      await asSuperuser('update users set email_verified = false where id = $1', [unproven.id]);
      const claims = { email: unproven.email, email_verified: true };
      await refused(scope, await issuer.token({ id: randomUUID(), claims }));
    }),
  );

  test(
    'is refused for another audience, by an algorithm that is not on the list, past its end, and from an unknown issuer',
    sandboxed(async (sandbox) => {
      const scope = trusting(sandbox);
      const { client } = await linkedUser(scope);
      await refused(scope, await issuer.token(client, { audience: 'https://other.example' }));
      await refused(scope, await issuer.token(client, { algorithm: 'RS512' }));
      const bearer = await issuer.token(client, { seconds: 60 });
      await refused(sandbox, bearer);
      await accounts.authenticate(scope, { bearer });
      await refused(later(scope, { seconds: 90 }), bearer);
    }),
  );

  test(
    'is refused unsigned, signed by the public key as a secret, or changed',
    sandboxed(async (sandbox) => {
      const scope = trusting(sandbox);
      const { client } = await linkedUser(scope);
      const bearer = await issuer.token(client);
      const [header = '', payload = '', signature = ''] = bearer.split('.');
      const decode = (part: string) => JSON.parse(Buffer.from(part, 'base64url').toString()) as object;
      const encode = (part: object) => Buffer.from(JSON.stringify(part)).toString('base64url');
      const jwk = issuer.publicKey();
      const pem = createPublicKey({ key: jwk, format: 'jwk' }).export({ type: 'spki', format: 'pem' });
      const symmetric = encode({ ...decode(header), alg: 'HS256' });
      const hmac = (key: string | Buffer) =>
        `${symmetric}.${payload}.${createHmac('sha256', key).update(`${symmetric}.${payload}`).digest('base64url')}`;
      for (const forged of [
        `${encode({ alg: 'none' })}.${payload}.`,
        `${encode({ ...decode(header), alg: 'none' })}.${payload}.${signature}`,
        hmac(pem),
        hmac(JSON.stringify(jwk)),
        `${header}.${encode({ ...decode(payload), sub: 'somebody-else' })}.${signature}`,
        `${header}.${encode({ ...decode(payload), exp: 4_102_444_800 })}.${signature}`,
      ]) {
        await refused(scope, forged);
      }
      await accounts.authenticate(scope, { bearer });
    }),
  );

  test(
    'is accepted under a new key at once, and under a withdrawn one no longer',
    sandboxed(async (sandbox) => {
      const scope = trusting(sandbox);
      const { client } = await linkedUser(scope);
      const old = await issuer.token(client);
      await accounts.authenticate(scope, { bearer: old });
      await issuer.rotate();
      await accounts.authenticate(scope, { bearer: await issuer.token(client) });
      await refused(scope, old);
      // Keys are asked for at most once in ten seconds, or forged key ids would become traffic.
      await issuer.rotate();
      const next = await issuer.token(client);
      await refused(later(scope, { seconds: 9 }), next);
      await accounts.authenticate(later(scope, { seconds: 10 }), { bearer: next });
    }),
  );

  test(
    'is no refusal while its issuer cannot be reached, and good when it is back',
    sandboxed(async (sandbox) => {
      const scope = trusting(sandbox);
      const { url, ...first } = await startIssuer();
      await first[Symbol.asyncDispose]();
      const issuers = [{ issuer: url, audience: AUDIENCE }];
      const elsewhere = { ...scope, signIn: { ...scope.signIn, issuers } };
      const user = await newUser(scope, { password: null });
      await accounts.linkIdentity(as(scope, 'admin'), user.id, { issuer: url, subject: 'x' });
      const unsigned = (part: object) => Buffer.from(JSON.stringify(part)).toString('base64url');
      const anything = `${unsigned({ alg: 'RS256', kid: 'x' })}.${unsigned({ iss: url })}.x`;
      await assert.rejects(
        accounts.authenticate(elsewhere, { bearer: anything }),
        (thrown) => !(thrown instanceof Unauthenticated),
      );
      await using again = await startIssuer(Number(new URL(url).port));
      const bearer = await again.token({ id: 'x' });
      again.publishKeys(false);
      await assert.rejects(
        accounts.authenticate(elsewhere, { bearer }),
        (thrown) => !(thrown instanceof Unauthenticated),
      );
      again.publishKeys(true);
      await accounts.authenticate(elsewhere, { bearer });
    }),
  );
});

describe('unlinkIdentity', () => {
  test(
    'ends what the issuer’s tokens began',
    sandboxed(async (sandbox) => {
      const scope = trusting(sandbox);
      const { user, client } = await linkedUser(scope);
      const bearer = await issuer.token(client);
      const actor = await accounts.authenticate(scope, { bearer });
      const subject = { issuer: issuer.url, subject: client.id };
      const other = await newUser(scope, { password: null });
      await assert.rejects(accounts.linkIdentity(as(scope, 'admin'), other.id, subject), accounts.IdentityInUse);
      await accounts.unlinkIdentity(as(scope, 'admin'), subject);
      await assert.rejects(accounts.me(as(scope, actor)), Unauthenticated);
      await refused(scope, bearer);
      await accounts.linkIdentity(as(scope, 'admin'), user.id, subject);
      await accounts.authenticate(scope, { bearer: await issuer.token(client) });
    }),
  );
});
