import * as accounts from '@careflex/core/accounts';
import * as care from '@careflex/core/care';
import type { Scope } from '@careflex/core/platform/scope';
import { builder } from './builder.ts';
import type { Context } from './context.ts';
import { Patient } from './patients.ts';
import { IdempotencyMismatch, InvalidInput, NotFound, Problem } from './problems.ts';
import { Done, ONE_RECORD, WRITE } from './results.ts';
import { UserRole } from './roles.ts';

// A viewer is also told to whom just registered and is nobody yet.
const Viewer = builder.objectRef<accounts.Viewer>('Viewer').implement({
  description: 'Whoever is signed in.',
  authScopes: { public: true },
  grantScopes: () => ['own'],
  fields: (t) => ({
    id: t.exposeID('id'),
    role: t.expose('role', { type: UserRole }),
    email: t.exposeString('email', { nullable: true }),
    name: t.exposeString('displayName'),
    mayOverride: t.exposeBoolean('mayOverride', { description: 'May book against the rules on purpose.' }),
    patient: t.field({
      type: Patient,
      nullable: true,
      description: 'A patient’s own record. What hangs on it, such as visits, takes a request signed by the viewer.',
      complexity: ONE_RECORD,
      resolve: async (viewer, _args, context) => {
        if (viewer.patientId === null) return null;
        const found = await care.patientsByIds(scopeOf(viewer, context), [viewer.patientId]);
        return found.get(viewer.patientId) ?? null;
      },
    }),
  }),
});

/** Whoever signed in by this very request is not the one who signed it. */
function scopeOf({ id, role, patientId }: accounts.Viewer, context: Context): Scope {
  if (context.actor?.id === id) return context.scope;
  return { ...context.systemScope, actor: { id, role, sessionId: null, ...(patientId !== null && { patientId }) } };
}

const Session = builder.objectRef<accounts.SignedIn>('Session').implement({
  description: 'What an API client signs its requests with.',
  authScopes: { public: true },
  fields: (t) => ({
    accessToken: t.exposeString('accessToken', { description: 'Sent as `Authorization: Bearer …`.' }),
    refreshToken: t.exposeString('refreshToken', { description: 'Works once; a second use ends the session.' }),
    expiresAt: t.expose('expiresAt', { type: 'DateTime', description: 'The end of the access token.' }),
    viewer: t.expose('viewer', { type: Viewer }),
  }),
});

const SessionKind = builder.enumType('SessionKind', {
  values: {
    BROWSER: { value: 'browser' },
    CLIENT: { value: 'client' },
    ISSUER: { value: 'issuer' },
    API_KEY: { value: 'api_key' },
  } as const,
});

const ActiveSession = builder.objectRef<accounts.SessionInfo>('ActiveSession').implement({
  description: 'A sign-in that is still alive.',
  authScopes: { user: true },
  fields: (t) => ({
    id: t.exposeID('id'),
    kind: t.expose('kind', { type: SessionKind }),
    name: t.exposeString('name', { nullable: true, description: 'An API key’s.' }),
    ipAddress: t.exposeString('ipAddress', { nullable: true }),
    userAgent: t.exposeString('userAgent', { nullable: true }),
    createdAt: t.expose('createdAt', { type: 'DateTime' }),
    lastSeenAt: t.expose('lastSeenAt', { type: 'DateTime' }),
    expiresAt: t.expose('expiresAt', { type: 'DateTime' }),
    current: t.exposeBoolean('current', { description: 'The one that asks.' }),
  }),
});

const VerificationRequest = builder.objectRef<accounts.VerificationRequest>('VerificationRequest').implement({
  authScopes: { public: true },
  fields: (t) => ({
    verificationId: t.exposeID('verificationId'),
    expiresAt: t.expose('expiresAt', { type: 'DateTime' }),
  }),
});

const open = { interfaces: [Problem], authScopes: { public: true } };
builder.objectType(accounts.VerificationFailed, { name: 'VerificationFailed', ...open });
builder.objectType(accounts.EmailInUse, { name: 'EmailInUse', ...open });
builder.objectType(accounts.AlreadyRegistered, { name: 'AlreadyRegistered', ...open });
builder.objectType(accounts.WrongPassword, { name: 'WrongPassword', ...open });

// Two mutations share this one.
const LoginResult = builder.errorUnion('LoginResult', {
  types: [Session, InvalidInput],
  resolveType: () => 'Session',
});

builder.queryFields((t) => ({
  me: t.field({
    type: Viewer,
    nullable: true,
    description: 'Null when nobody is signed in.',
    authScopes: { public: true },
    resolve: (_root, _args, context) => (context.actor === null ? null : accounts.me(context.scope)),
  }),
  sessions: t.field({
    type: [ActiveSession],
    description: 'Your sign-ins that are still alive, the oldest first.',
    authScopes: { user: true },
    resolve: (_root, _args, { scope }) => accounts.sessions(scope),
  }),
}));

const RegisterInput = builder.inputType('RegisterInput', {
  fields: (t) => ({
    verificationId: t.id({ required: true, description: 'Of requestVerification.' }),
    code: t.string({ required: true, description: 'The six digits that came by e-mail or phone.' }),
    dateOfBirth: t.field({ type: 'Date', required: true }),
    email: t.string({ required: true }),
    password: t.string({ required: true }),
  }),
});

const ContactInput = builder.inputType('ContactInput', {
  description: 'One of the two.',
  fields: (t) => ({ email: t.string(), phone: t.string() }),
});

builder.mutationFields((t) => ({
  requestVerification: t.field({
    type: VerificationRequest,
    description:
      'Sends a code to a patient’s e-mail address or phone. The answer is the same whether one has it or not.',
    authScopes: { public: true },
    complexity: WRITE,
    errors: { types: [InvalidInput] },
    args: { contact: t.arg({ type: ContactInput, required: true }) },
    resolve: (_root, { contact }, { systemScope }) => accounts.requestVerification(systemScope, contact),
  }),
  register: t.field({
    type: Viewer,
    description: 'Makes the patient who holds the code, and was born on that day, a user. Sign in next.',
    authScopes: { public: true },
    complexity: WRITE,
    errors: {
      types: [InvalidInput, accounts.VerificationFailed, accounts.EmailInUse, accounts.AlreadyRegistered],
    },
    args: { input: t.arg({ type: RegisterInput, required: true }) },
    resolve: (_root, { input }, { systemScope }) => accounts.register(systemScope, input),
  }),
  login: t.field({
    type: LoginResult,
    authScopes: { public: true },
    complexity: WRITE,
    args: { email: t.arg.string({ required: true }), password: t.arg.string({ required: true }) },
    resolve: (_root, credentials, { systemScope }) => accounts.login(systemScope, credentials),
  }),
  refreshToken: t.field({
    type: LoginResult,
    authScopes: { public: true },
    complexity: WRITE,
    args: { refreshToken: t.arg.string({ required: true }) },
    resolve: (_root, { refreshToken }, { systemScope }) => accounts.refreshToken(systemScope, refreshToken),
  }),
}));

builder.mutationFields((t) => ({
  requestContactChange: t.field({
    type: VerificationRequest,
    description:
      'Sends a code to a new e-mail address or phone of your own record. The answer is the same whether another patient has the address or not.',
    authScopes: { patient: true },
    complexity: WRITE,
    errors: { types: [InvalidInput, IdempotencyMismatch, NotFound] },
    args: { contact: t.arg({ type: ContactInput, required: true }), idempotencyKey: t.arg.string() },
    resolve: (_root, { contact, idempotencyKey }, { scope }) =>
      accounts.requestContactChange(scope, { ...contact, idempotencyKey }),
  }),
  confirmContactChange: t.field({
    type: Patient,
    description: 'Writes the address or phone that the code was sent to into your own record. You sign in as before.',
    authScopes: { patient: true },
    complexity: WRITE,
    errors: { types: [InvalidInput, accounts.VerificationFailed, care.EmailTaken, IdempotencyMismatch, NotFound] },
    args: {
      verificationId: t.arg.id({ required: true, description: 'Of requestContactChange.' }),
      code: t.arg.string({ required: true, description: 'The six digits that came to the new address or phone.' }),
      idempotencyKey: t.arg.string(),
    },
    resolve: (_root, proof, { scope }) => accounts.confirmContactChange(scope, proof),
  }),
}));

builder.mutationFields((t) => ({
  logout: t.boolean({
    description: 'Ends your own session, and with it its tokens, sockets and streams.',
    authScopes: { user: true },
    complexity: WRITE,
    resolve: async (_root, _args, { scope }) => {
      await accounts.logout(scope);
      return true;
    },
  }),
  changePassword: t.field({
    type: Done,
    description: 'Ends your other sessions.',
    authScopes: { user: true },
    complexity: WRITE,
    errors: { types: [InvalidInput, accounts.WrongPassword] },
    args: { currentPassword: t.arg.string({ required: true }), newPassword: t.arg.string({ required: true }) },
    resolve: async (_root, change, { scope }) => {
      await accounts.changePassword(scope, change);
      return { id: scope.actor.id };
    },
  }),
  revokeSession: t.field({
    type: Done,
    description: 'Ends one of your sessions; for an admin, anybody’s.',
    authScopes: { user: true },
    complexity: WRITE,
    errors: { types: [NotFound, IdempotencyMismatch] },
    args: { id: t.arg.id({ required: true }), idempotencyKey: t.arg.string() },
    resolve: async (_root, { id, idempotencyKey }, { scope }) => {
      await accounts.revokeSession(scope, id, { idempotencyKey });
      return { id };
    },
  }),
}));
