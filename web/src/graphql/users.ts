import * as accounts from '@careflex/core/accounts';
import { builder } from './builder.ts';
import { connectionOf, pageCost, toConnection } from './connection.ts';
import { IdempotencyMismatch, InvalidInput, NotFound, Problem } from './problems.ts';
import { Done, WRITE } from './results.ts';
import { UserRole } from './roles.ts';

const admin = { admin: true } as const;

const User = builder.objectRef<accounts.User>('User').implement({
  authScopes: admin,
  fields: (t) => ({
    id: t.exposeID('id'),
    role: t.expose('role', { type: UserRole }),
    email: t.exposeString('email'),
    name: t.exposeString('displayName'),
    patientId: t.exposeID('patientId', { nullable: true }),
    mayOverride: t.exposeBoolean('mayOverride', { description: 'May book against the rules on purpose.' }),
    disabledAt: t.expose('disabledAt', { type: 'DateTime', nullable: true }),
    createdAt: t.expose('createdAt', { type: 'DateTime' }),
    updatedAt: t.expose('updatedAt', { type: 'DateTime' }),
  }),
});
const UserConnection = connectionOf(User, 'User', admin);

const ApiKey = builder.objectRef<accounts.ApiKey>('ApiKey').implement({
  description: 'A machine acts as a user, within the actions that its key names, until a date.',
  authScopes: admin,
  fields: (t) => ({
    id: t.exposeID('id'),
    userId: t.exposeID('userId'),
    name: t.exposeString('name'),
    scopes: t.stringList({ resolve: ({ scopes }) => [...scopes] }),
    createdAt: t.expose('createdAt', { type: 'DateTime' }),
    lastSeenAt: t.expose('lastSeenAt', { type: 'DateTime' }),
    expiresAt: t.expose('expiresAt', { type: 'DateTime' }),
    revokedAt: t.expose('revokedAt', { type: 'DateTime', nullable: true }),
  }),
});
const ApiKeyConnection = connectionOf(ApiKey, 'ApiKey', admin);

const CreatedApiKey = builder.objectRef<{ key: string; apiKey: accounts.ApiKey }>('CreatedApiKey').implement({
  authScopes: admin,
  fields: (t) => ({
    key: t.exposeString('key', { description: 'Told this once: only its hash is kept.' }),
    apiKey: t.expose('apiKey', { type: ApiKey }),
  }),
});

builder.objectType(accounts.ApiKeyShown, {
  name: 'ApiKeyShown',
  description: 'The key was made by an earlier call with this idempotency key, and shown that once.',
  interfaces: [Problem],
  authScopes: admin,
  fields: (t) => ({ apiKeyId: t.exposeID('apiKeyId') }),
});
builder.objectType(accounts.IdentityInUse, { name: 'IdentityInUse', interfaces: [Problem], authScopes: admin });

builder.queryFields((t) => ({
  users: t.field({
    type: UserConnection,
    description: 'Every user, the oldest first.',
    authScopes: admin,
    complexity: pageCost,
    args: { role: t.arg({ type: UserRole }), first: t.arg.int(), after: t.arg.string() },
    resolve: async (_root, args, { scope }) => toConnection(await accounts.users(scope, args as accounts.UserFilter)),
  }),
  apiKeys: t.field({
    type: ApiKeyConnection,
    description: 'The newest first, the revoked and expired ones too.',
    authScopes: admin,
    complexity: pageCost,
    args: { first: t.arg.int(), after: t.arg.string() },
    resolve: async (_root, args, { scope }) => toConnection(await accounts.apiKeys(scope, args)),
  }),
}));

const CreateUserInput = builder.inputType('CreateUserInput', {
  fields: (t) => ({
    email: t.string({ required: true }),
    displayName: t.string({ required: true }),
    role: t.field({ type: UserRole, required: true, description: 'Of the staff: patients register themselves.' }),
    password: t.string({ description: 'Without one the user signs in by an issuer only.' }),
    mayOverride: t.boolean(),
  }),
});

const UpdateUserInput = builder.inputType('UpdateUserInput', {
  fields: (t) => ({
    role: t.field({ type: UserRole }),
    mayOverride: t.boolean(),
    disabled: t.boolean(),
  }),
});

const CreateApiKeyInput = builder.inputType('CreateApiKeyInput', {
  fields: (t) => ({
    userId: t.id({ required: true, description: 'Whom it acts as: staff, never a patient.' }),
    name: t.string({ required: true }),
    scopes: t.stringList({
      required: true,
      description: '`patient` covers `patient.read` and every other action on patients.',
    }),
    expiresInDays: t.int({ required: true }),
  }),
});

const IdentityInput = builder.inputType('IdentityInput', {
  fields: (t) => ({ issuer: t.string({ required: true }), subject: t.string({ required: true }) }),
});

builder.mutationFields((t) => ({
  createUser: t.field({
    type: User,
    authScopes: admin,
    complexity: WRITE,
    errors: { types: [InvalidInput, accounts.EmailInUse, IdempotencyMismatch] },
    args: { input: t.arg({ type: CreateUserInput, required: true }), idempotencyKey: t.arg.string() },
    resolve: (_root, { input, idempotencyKey }, { scope }) =>
      accounts.createUser(scope, { ...input, idempotencyKey } as accounts.NewUser),
  }),
  updateUser: t.field({
    type: User,
    description: 'Whoever loses a right by it is signed out. Nobody changes themselves.',
    authScopes: admin,
    complexity: WRITE,
    errors: { types: [NotFound, InvalidInput, IdempotencyMismatch] },
    args: {
      id: t.arg.id({ required: true }),
      input: t.arg({ type: UpdateUserInput, required: true }),
      idempotencyKey: t.arg.string(),
    },
    resolve: (_root, { id, input, idempotencyKey }, { scope }) =>
      accounts.updateUser(scope, id, { ...input, idempotencyKey } as accounts.UserChanges),
  }),
  resetPassword: t.field({
    type: Done,
    description: 'Gives somebody else a new password and signs them out.',
    authScopes: admin,
    complexity: WRITE,
    errors: { types: [NotFound, InvalidInput, IdempotencyMismatch] },
    args: {
      userId: t.arg.id({ required: true }),
      newPassword: t.arg.string({ required: true }),
      idempotencyKey: t.arg.string(),
    },
    resolve: async (_root, { userId, ...reset }, { scope }) => {
      await accounts.resetPassword(scope, userId, reset);
      return { id: userId };
    },
  }),
  revokeUserSessions: t.field({
    type: Done,
    description: 'Ends every session of a user, API keys too.',
    authScopes: admin,
    complexity: WRITE,
    errors: { types: [NotFound, IdempotencyMismatch] },
    args: { userId: t.arg.id({ required: true }), idempotencyKey: t.arg.string() },
    resolve: async (_root, { userId, idempotencyKey }, { scope }) => {
      await accounts.revokeUserSessions(scope, userId, { idempotencyKey });
      return { id: userId };
    },
  }),
}));

builder.mutationFields((t) => ({
  createApiKey: t.field({
    type: CreatedApiKey,
    authScopes: admin,
    complexity: WRITE,
    description:
      'The key is shown once: a repeat with the same idempotency key answers ApiKeyShown, and makes nothing.',
    errors: { types: [NotFound, InvalidInput, accounts.ApiKeyShown, IdempotencyMismatch] },
    args: { input: t.arg({ type: CreateApiKeyInput, required: true }), idempotencyKey: t.arg.string() },
    resolve: (_root, { input, idempotencyKey }, { scope }) =>
      accounts.createApiKey(scope, { ...input, idempotencyKey }),
  }),
  revokeApiKey: t.field({
    type: Done,
    authScopes: admin,
    complexity: WRITE,
    errors: { types: [NotFound, IdempotencyMismatch] },
    args: { id: t.arg.id({ required: true }), idempotencyKey: t.arg.string() },
    resolve: async (_root, { id, idempotencyKey }, { scope }) => {
      await accounts.revokeApiKey(scope, id, { idempotencyKey });
      return { id };
    },
  }),
  linkIdentity: t.field({
    type: Done,
    description: 'Says which user an OpenID Connect issuer’s subject is.',
    authScopes: admin,
    complexity: WRITE,
    errors: { types: [NotFound, InvalidInput, accounts.IdentityInUse, IdempotencyMismatch] },
    args: {
      userId: t.arg.id({ required: true }),
      identity: t.arg({ type: IdentityInput, required: true }),
      idempotencyKey: t.arg.string(),
    },
    resolve: async (_root, { userId, identity, idempotencyKey }, { scope }) => {
      await accounts.linkIdentity(scope, userId, { ...identity, idempotencyKey });
      return { id: userId };
    },
  }),
}));
