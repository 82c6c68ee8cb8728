import * as audit from '@careflex/core/audit';
import type { Role } from '@careflex/core/platform/scope';
import { builder } from './builder.ts';
import { connectionOf, pageCost, toConnection } from './connection.ts';
import { UserRole } from './roles.ts';

const readers = { admin: true, auditor: true } as const;

const AuditEntry = builder.objectRef<audit.AuditEntry>('AuditEntry').implement({
  authScopes: readers,
  fields: (t) => ({
    id: t.exposeID('id'),
    sequence: t.exposeInt('sequence', { description: 'The place in the sealed trail; -1 until the entry is sealed.' }),
    at: t.expose('at', { type: 'DateTime' }),
    userId: t.exposeID('userId', { nullable: true }),
    userRole: t.field({ type: UserRole, resolve: ({ userRole }) => userRole as Role }),
    action: t.exposeString('action'),
    resourceType: t.exposeString('resourceType'),
    resourceId: t.exposeID('resourceId', { nullable: true }),
    resourceIds: t.idList({
      description: 'What a list or a search returned.',
      resolve: (entry) => [...entry.resourceIds],
    }),
    changedFields: t.stringList({ resolve: ({ changedFields }) => [...changedFields] }),
    purpose: t.exposeString('purpose', { nullable: true }),
    outcome: t.exposeString('outcome'),
    requestId: t.exposeString('requestId'),
    ipAddress: t.exposeString('ipAddress', { nullable: true }),
    userAgent: t.exposeString('userAgent', { nullable: true }),
  }),
});
const AuditEntryConnection = connectionOf(AuditEntry, 'AuditEntry', readers);

const RecordAccess = builder.objectRef<audit.OwnAccess>('RecordAccess').implement({
  description: 'Something that was done to a patient’s own record. By whom is told as a role.',
  authScopes: { patient: true },
  fields: (t) => ({
    id: t.exposeID('id'),
    at: t.expose('at', { type: 'DateTime' }),
    actorRole: t.field({ type: UserRole, resolve: ({ actorRole }) => actorRole as Role }),
    action: t.exposeString('action'),
    resourceType: t.exposeString('resourceType'),
    outcome: t.exposeString('outcome'),
  }),
});
const RecordAccessConnection = connectionOf(RecordAccess, 'RecordAccess', { patient: true });

builder.queryFields((t) => ({
  auditLogs: t.field({
    type: AuditEntryConnection,
    description: 'The audit trail, newest first. A resource’s id also finds the lists that returned it.',
    authScopes: readers,
    complexity: pageCost,
    args: {
      resourceType: t.arg.string(),
      resourceId: t.arg.id(),
      userId: t.arg.id(),
      action: t.arg.string(),
      from: t.arg({ type: 'DateTime', description: 'Inclusive.' }),
      to: t.arg({ type: 'DateTime', description: 'Exclusive.' }),
      first: t.arg.int(),
      after: t.arg.string(),
    },
    resolve: async (_root, args, { scope }) => toConnection(await audit.list(scope, args)),
  }),
  whoSawMyRecord: t.field({
    type: RecordAccessConnection,
    description: 'What was done to your own record, newest first.',
    authScopes: { patient: true },
    complexity: pageCost,
    args: { first: t.arg.int(), after: t.arg.string() },
    resolve: async (_root, args, { scope }) => toConnection(await audit.whoSawMyRecord(scope, args)),
  }),
}));
