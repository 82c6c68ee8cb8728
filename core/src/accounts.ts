/**
 * Accounts: users, how they prove who they are, and how long that lasts.
 *
 * A session stands for every sign-in: a browser's cookie, a client's refresh tokens, an issuer's token, an API key.
 * Each transaction asks the database whether the actor's session is alive, so whatever ends one (signing out,
 * revoking, disabling the user, time) ends its access at once. Of tokens only hashes are stored; e-mail address,
 * name and password hash are sealed with the user's own key. Patients become users only by proving who they are.
 */
import './accounts/tables.ts';
import type { Patient } from '#care';
import { NotFound } from '#platform/errors';
import { emit } from '#platform/events';
import { once } from '#platform/idempotency';
import { idOf, parse } from '#platform/input';
import { type Page, PageInput } from '#platform/page';
import type { KeyColumn } from '#platform/rotation';
import { type Actor, asSystem, type Scope, transact } from '#platform/scope';
import { type ApiKey, findApiKeys, insertApiKey, NewApiKey } from './accounts/api-key.ts';
import { actorOf, type Credential } from './accounts/authentication.ts';
import { refreshClient, startClient } from './accounts/client.ts';
import { type ContactProof, proveContactChange, writeContactChange } from './accounts/contact-change.ts';
import { insertDemoUsers } from './accounts/demo.ts';
import { closeUserOf, eraseUser, forget } from './accounts/erasure.ts';
import { ApiKeyShown, IdentityInUse } from './accounts/errors.ts';
import { deleteIdentity, insertIdentity, Subject } from './accounts/identity.ts';
import { hashPassword, refuseWeakPassword } from './accounts/password.ts';
import { changeOwnPassword, PasswordChange } from './accounts/password-change.ts';
import { permit, record } from './accounts/policy.ts';
import { registerPatient, type Registration } from './accounts/registration.ts';
import * as sessionRows from './accounts/session.ts';
import { type Credentials, signIn } from './accounts/sign-in.ts';
import { insertUser, toUser, toViewer, type User, type Viewer } from './accounts/user.ts';
import {
  changeUser,
  findStaff,
  findUsers,
  getUser,
  lockUser,
  NewUser,
  onBehalf,
  onceOfAnybody,
  setPassword,
  UserChanges,
  UserFilter,
} from './accounts/users.ts';
import {
  type CodeChannels,
  type Contact,
  sendVerification,
  type VerificationRequest,
  writeVerification,
} from './accounts/verification.ts';

export type { ApiKey, NewApiKey } from './accounts/api-key.ts';
export type { Credential } from './accounts/authentication.ts';
export type { ContactProof } from './accounts/contact-change.ts';
export { DEMO_PASSWORD, DEMO_USERS } from './accounts/demo.ts';
export {
  AlreadyRegistered,
  ApiKeyShown,
  EmailInUse,
  IdentityInUse,
  VerificationFailed,
  WrongPassword,
} from './accounts/errors.ts';
export { hashPassword, verifyPassword } from './accounts/password.ts';
export type { PasswordChange } from './accounts/password-change.ts';
export type { Registration } from './accounts/registration.ts';
export { type SessionInfo, type SessionKind, SESSIONS_CHANNEL } from './accounts/session.ts';
export type { Credentials } from './accounts/sign-in.ts';
export type { User, UserRole, Viewer } from './accounts/user.ts';
export type { NewUser, UserChanges, UserFilter } from './accounts/users.ts';
export type { CodeChannels, Contact, Sender, VerificationRequest } from './accounts/verification.ts';

declare module '#platform/events' {
  interface Events {
    'user.created': { userId: string };
    'user.updated': { userId: string };
  }
}
declare module '#platform/jobs' {
  interface Queues {
    'verification-code': { verificationId: string };
  }
}

/** Where users' data keys are, for `rotateKeys`. */
export const wrappedKeys: KeyColumn = { table: 'users', column: 'data_key' };

/** Codes that are not sent yet: sealed with the ring itself, for `rotateKeys`. */
export const sealedMessages: KeyColumn = { table: 'verifications', column: 'message' };

/** What an API client gets. */
export interface SignedIn {
  readonly accessToken: string;
  /** Works once; refresh one at a time. */
  readonly refreshToken: string;
  /** When the access token ends, an instant. */
  readonly expiresAt: Temporal.Instant;
  readonly viewer: Viewer;
}

/** What a browser gets. */
export interface BrowserSignedIn {
  /** For the cookie. */
  readonly token: string;
  /** The session's absolute end; without requests it ends sooner. */
  readonly expiresAt: Temporal.Instant;
  readonly viewer: Viewer;
}

/** Signs an API client in. Throws Unauthenticated, one for every reason; RateLimited; InvalidInput. */
export async function login(scope: Scope, input: Credentials): Promise<SignedIn> {
  return signIn(scope, input, startClient);
}

/** Signs a browser in. Throws Unauthenticated, one for every reason; RateLimited; InvalidInput. */
export async function loginBrowser(scope: Scope, input: Credentials): Promise<BrowserSignedIn> {
  return signIn(scope, input, async (scope, user) => {
    const token = sessionRows.newToken();
    const tokenHash = sessionRows.hashToken(token);
    const { id, expiresAt } = await sessionRows.insertSession(scope, { userId: user.id, kind: 'browser', tokenHash });
    return { sessionId: id, token, expiresAt, viewer: toViewer(scope, user) };
  });
}

/** Trades a refresh token for new tokens. One that was used before ends the session. Throws Unauthenticated. */
export async function refreshToken(scope: Scope, token: string): Promise<SignedIn> {
  return refreshClient(scope, token);
}

/**
 * Who presents the credential, in one round trip at most. An access token is read without the database: whether its
 * session is alive shows in the first transaction. Throws Unauthenticated.
 */
export async function authenticate(scope: Scope, credential: Credential): Promise<Actor> {
  return actorOf(scope, credential);
}

/** Those of the session ids that are still alive: a floor under lost messages of {@link SESSIONS_CHANNEL}. */
export async function liveSessions(scope: Scope, ids: readonly string[]): Promise<ReadonlySet<string>> {
  return transact(asSystem(scope), async (scope) => new Set(await sessionRows.findLiveSessions(scope, ids)));
}

/** Whoever is signed in. Throws Unauthenticated, Forbidden for an API key that does not cover `user.me`. */
export async function me(scope: Scope): Promise<Viewer> {
  await permit(scope, 'user.me', { type: 'User', id: scope.actor.id });
  return transact(scope, async (scope) => toViewer(scope, await getUser(scope, scope.actor.id)));
}

/** The caller's live sessions, the oldest first. Throws Forbidden. */
export async function sessions(scope: Scope): Promise<sessionRows.SessionInfo[]> {
  await permit(scope, 'session.list', { type: 'Session' });
  return transact(scope, (scope) => sessionRows.findOwnSessions(scope));
}

/** Ends the caller's own session. Throws Forbidden. */
export async function logout(scope: Scope): Promise<void> {
  const id = scope.actor.sessionId;
  await permit(scope, 'session.logout', { type: 'Session', id, allowed: id !== null });
  await transact(scope, async (scope) => {
    await sessionRows.endSessions(scope, { id: id ?? '' });
    await record(scope, 'session.logout', { type: 'Session', id });
  });
}

export interface Repeatable {
  /** The same key and the same input do nothing again. */
  readonly idempotencyKey?: string | null | undefined;
}

/** Ends one session: of one's own, or for an admin anybody's. Throws NotFound, IdempotencyMismatch, Forbidden. */
export async function revokeSession(
  scope: Scope,
  sessionId: string,
  { idempotencyKey: key }: Repeatable = {},
): Promise<void> {
  const id = idOf(sessionId);
  await permit(scope, 'session.revoke', { type: 'Session', id });
  await onceOfAnybody(scope, { key, operation: 'session.revoke', input: { id } }, async (scope) => {
    const ended = await sessionRows.endSessions(scope, { id });
    if (ended.length === 0) throw new NotFound('The session');
    await record(scope, 'session.revoke', { type: 'Session', id });
    return id;
  });
}

/** Changes the caller's password and ends their other sessions. Throws WrongPassword, InvalidInput, RateLimited, Forbidden. */
export async function changePassword(scope: Scope, input: PasswordChange): Promise<void> {
  const change = parse(PasswordChange, input);
  await permit(scope, 'user.changePassword', { type: 'User', id: scope.actor.id });
  await changeOwnPassword(scope, change);
}

/** Makes a user of the staff. Throws InvalidInput, EmailInUse, IdempotencyMismatch, RateLimited, Forbidden. */
export async function createUser(scope: Scope, input: NewUser): Promise<User> {
  const { idempotencyKey, password, mayOverride, ...user } = parse(NewUser, input);
  await permit(scope, 'user.create', { type: 'User' });
  if (password) refuseWeakPassword(password, { ...user, path: 'password' });
  const passwordHash = password ? await hashPassword(password) : null;

  return transact(scope, async (scope) => {
    const of = { key: idempotencyKey, operation: 'user.create', input: { ...user, password, mayOverride } };
    const id = await once(scope, of, async () => {
      const { id } = await insertUser(scope, { ...user, passwordHash, emailVerified: true, canOverride: mayOverride });
      await record(scope, 'user.create', { type: 'User', id });
      await emit(scope, 'user.created', { userId: id });
      return id;
    });
    return toUser(scope, await getUser(scope, id));
  });
}

/** Every user, the oldest first. Throws InvalidInput, Forbidden. */
export async function users(scope: Scope, input: UserFilter = {}): Promise<Page<User>> {
  const filter = parse(UserFilter, input);
  await permit(scope, 'user.list', { type: 'User' });
  return transact(scope, async (scope) => {
    const page = await findUsers(scope, filter);
    await record(scope, 'user.list', { type: 'User', resourceIds: page.items.map(({ node }) => node.id) });
    return page;
  });
}

/**
 * Changes role, grant to override, or whether the user is disabled. Who loses a right by it is signed out. Nobody
 * changes themselves: so one admin is always left. Throws NotFound, InvalidInput, IdempotencyMismatch,
 * Unauthenticated, Forbidden.
 */
export async function updateUser(scope: Scope, userId: string, input: UserChanges): Promise<User> {
  const id = idOf(userId);
  const { idempotencyKey: key, ...changes } = parse(UserChanges, input);
  await permit(scope, 'user.update', { type: 'User', id, allowed: id !== scope.actor.id });
  return transact(scope, async (scope) => {
    await once(scope, { key, operation: 'user.update', input: { id, ...changes } }, async () => {
      const changed = await changeUser(scope, await lockUser(scope, id), changes);
      await record(scope, 'user.update', { type: 'User', id, changedFields: changed });
      if (changed.length > 0) await emit(scope, 'user.updated', { userId: id });
      return id;
    });
    return toUser(scope, await getUser(scope, id));
  });
}

/**
 * Gives somebody else a new password and signs them out. Throws NotFound, InvalidInput, IdempotencyMismatch,
 * RateLimited, Forbidden.
 */
export async function resetPassword(
  scope: Scope,
  userId: string,
  { newPassword, idempotencyKey: key }: { newPassword: string } & Repeatable,
): Promise<void> {
  const id = idOf(userId);
  await permit(scope, 'user.resetPassword', { type: 'User', id, allowed: id !== scope.actor.id });
  const user = await transact(scope, async (scope) => toUser(scope, await getUser(scope, id)));
  refuseWeakPassword(newPassword, { ...user, path: 'newPassword' });
  const passwordHash = await hashPassword(newPassword);
  await transact(scope, (scope) =>
    once(scope, { key, operation: 'user.resetPassword', input: { id, newPassword } }, async () => {
      await setPassword(scope, await getUser(scope, id), { passwordHash });
      await record(scope, 'user.resetPassword', { type: 'User', id, changedFields: ['password'] });
      return id;
    }),
  );
}

/** Ends every session of a user, API keys too. Returns how many. Throws NotFound, IdempotencyMismatch, Forbidden. */
export async function revokeUserSessions(
  scope: Scope,
  of: string,
  { idempotencyKey: key }: Repeatable = {},
): Promise<number> {
  const userId = idOf(of);
  await permit(scope, 'session.revokeAll', { type: 'User', id: userId });
  return transact(scope, async (scope) => {
    let ended: readonly string[] = [];
    await once(scope, { key, operation: 'session.revokeAll', input: { userId } }, async () => {
      await getUser(scope, userId);
      ended = await sessionRows.endSessions(scope, { userId });
      await record(scope, 'session.revokeAll', { type: 'User', id: userId, resourceIds: ended });
      return userId;
    });
    return ended.length;
  });
}

/** Display names of users by id, for staff who see each other at work. Throws Forbidden. */
export async function userNames(scope: Scope, ids: readonly string[]): Promise<ReadonlyMap<string, string>> {
  await permit(scope, 'user.names', { type: 'User' });
  return onBehalf(scope, async (scope) => {
    const found = await findStaff(scope, ids);
    return new Map(found.map((row) => [row.id, toViewer(scope, row).displayName]));
  });
}

/**
 * Makes an API key for a user. The key itself is in this answer and nowhere else, so a repeat cannot give it again.
 * Throws NotFound, InvalidInput, {@link ApiKeyShown}, IdempotencyMismatch, Forbidden.
 */
export async function createApiKey(scope: Scope, input: NewApiKey): Promise<{ key: string; apiKey: ApiKey }> {
  const { idempotencyKey: key, ...wanted } = parse(NewApiKey, input);
  await permit(scope, 'apiKey.create', { type: 'ApiKey' });
  return transact(scope, async (scope) => {
    const made: { key: string; apiKey: ApiKey }[] = [];
    const id = await once(scope, { key, operation: 'apiKey.create', input: wanted }, async () => {
      const it = await insertApiKey(scope, wanted);
      await record(scope, 'apiKey.create', { type: 'ApiKey', id: it.apiKey.id });
      made.push(it);
      return it.apiKey.id;
    });
    const [first] = made;
    if (first === undefined) throw new ApiKeyShown(id);
    return first;
  });
}

/** API keys, the newest first, the revoked and expired ones too. Throws InvalidInput, Forbidden. */
export async function apiKeys(scope: Scope, input: PageInput = {}): Promise<Page<ApiKey>> {
  const page = parse(PageInput, input);
  await permit(scope, 'apiKey.list', { type: 'ApiKey' });
  return transact(scope, async (scope) => {
    const keys = await findApiKeys(scope, page);
    await record(scope, 'apiKey.list', { type: 'ApiKey', resourceIds: keys.items.map(({ node }) => node.id) });
    return keys;
  });
}

/** Ends an API key. Throws NotFound, IdempotencyMismatch, Forbidden. */
export async function revokeApiKey(
  scope: Scope,
  keyId: string,
  { idempotencyKey: key }: Repeatable = {},
): Promise<void> {
  const id = idOf(keyId);
  await permit(scope, 'apiKey.revoke', { type: 'ApiKey', id });
  await transact(scope, (scope) =>
    once(scope, { key, operation: 'apiKey.revoke', input: { id } }, async () => {
      const ended = await sessionRows.endSessions(scope, { id, kinds: ['api_key'] });
      if (ended.length === 0) throw new NotFound('The API key');
      await record(scope, 'apiKey.revoke', { type: 'ApiKey', id });
      return id;
    }),
  );
}

/** Says which user an issuer's subject is. Throws NotFound, InvalidInput, IdentityInUse, IdempotencyMismatch, Forbidden. */
export async function linkIdentity(
  scope: Scope,
  of: string,
  { idempotencyKey: key, ...input }: Subject & Repeatable,
): Promise<void> {
  const userId = idOf(of);
  const subject = parse(Subject, input);
  await permit(scope, 'user.link', { type: 'User', id: userId });
  await transact(scope, (scope) =>
    once(scope, { key, operation: 'user.link', input: { userId, ...subject } }, async () => {
      await getUser(scope, userId);
      if (!(await insertIdentity(scope, userId, subject))) throw new IdentityInUse();
      await record(scope, 'user.link', { type: 'User', id: userId });
      return userId;
    }),
  );
}

/** Undoes that, and ends what the issuer's tokens began. Throws NotFound, InvalidInput, Forbidden. */
export async function unlinkIdentity(scope: Scope, input: Subject): Promise<void> {
  const subject = parse(Subject, input);
  await permit(scope, 'user.unlink', { type: 'User' });
  await transact(scope, async (scope) => {
    const userId = await deleteIdentity(scope, subject);
    if (userId === null) throw new NotFound('The link');
    await sessionRows.endSessions(scope, { userId, kinds: ['issuer'] });
    await record(scope, 'user.unlink', { type: 'User', id: userId });
  });
}

/**
 * The first step of registration: asks for a code to an e-mail address or a phone. The answer is the same whether a
 * patient has it or not. Throws InvalidInput, RateLimited.
 */
export async function requestVerification(scope: Scope, input: Contact): Promise<VerificationRequest> {
  return writeVerification(scope, input);
}

/**
 * The second: makes the patient who holds the code, and was born on that day, a user.
 * Throws InvalidInput, VerificationFailed, EmailInUse, AlreadyRegistered, RateLimited.
 */
export async function register(scope: Scope, input: Registration): Promise<Viewer> {
  return registerPatient(scope, input);
}

/**
 * Asks for a code to a new e-mail address or first phone of the caller's own record. The answer is the same whether
 * another patient has the address or not. Patients only. Throws InvalidInput, RateLimited, IdempotencyMismatch,
 * NotFound (a repeat, once the code is forgotten), Forbidden.
 */
export async function requestContactChange(scope: Scope, input: Contact & Repeatable): Promise<VerificationRequest> {
  await permitOwn(scope, 'contact.request');
  return writeContactChange(scope, input);
}

/**
 * Writes the new address or phone into the caller's record, by the code that was sent there. What the user signs in
 * with stays. Patients only. Throws InvalidInput, VerificationFailed, EmailTaken, IdempotencyMismatch, NotFound, Forbidden.
 */
export async function confirmContactChange(scope: Scope, input: ContactProof): Promise<Patient> {
  await permitOwn(scope, 'contact.confirm');
  return proveContactChange(scope, input);
}

const permitOwn = (scope: Scope, action: 'contact.request' | 'contact.confirm') =>
  permit(scope, action, { type: 'Verification', allowed: scope.actor.patientId !== undefined });

/** The work of job `verification-code`: sends the code once, or nothing where no patient is meant. Throws what a channel throws. */
export async function deliverVerification(scope: Scope, id: string, channels: CodeChannels): Promise<void> {
  await sendVerification(scope, id, channels);
}

/** Shuts out the user of a patient who was deleted. System only. Throws Forbidden. */
export async function closePatientAccount(scope: Scope, patientId: string): Promise<void> {
  await permit(scope, 'user.close', { type: 'User' });
  await transact(scope, async (scope) => {
    const id = await closeUserOf(scope, patientId);
    if (id !== null) await record(scope, 'user.close', { type: 'User', id });
  });
}

/** Destroys what identifies the user of a patient who was erased. System only. Throws Forbidden. */
export async function erasePatientAccount(scope: Scope, patientId: string): Promise<void> {
  await permit(scope, 'user.erase', { type: 'User' });
  await transact(scope, async (scope) => {
    const id = await closeUserOf(scope, patientId);
    if (id === null) return;
    await eraseUser(scope, id);
    await record(scope, 'user.erase', { type: 'User', id });
  });
}

/** Removes what is past its time: counters, codes, and sessions a month after their end. Returns how many rows. */
export async function forgetExpired(scope: Scope): Promise<number> {
  return transact(asSystem(scope), (scope) => forget(scope));
}

/** Makes the demo's users and the demo patient; those that exist are left as they are. Throws outside development. */
export async function seedDemoUsers(scope: Scope): Promise<void> {
  await insertDemoUsers(scope);
}
