/** Expected refusals, as data: what mutations may answer instead of their result. */
import {
  Forbidden,
  IdempotencyMismatch,
  type InputIssue,
  InvalidInput,
  NotFound,
  type DomainError,
} from '@careflex/core/platform/errors';
import { builder } from './builder.ts';

export { Forbidden, IdempotencyMismatch, InvalidInput, NotFound };

export const Problem = builder.interfaceRef<DomainError>('Problem').implement({
  description: 'A refusal that a client can be expected to handle. Switch on the code; the message is for people.',
  authScopes: { public: true },
  fields: (t) => ({ code: t.exposeString('code'), message: t.exposeString('message') }),
});

const open = { interfaces: [Problem], authScopes: { public: true } };

export const InputIssueRef = builder.objectRef<InputIssue>('InputIssue').implement({
  authScopes: { public: true },
  fields: (t) => ({
    path: t.stringList({
      description: 'Field names, and indexes as decimal strings.',
      resolve: ({ path }) => [...path],
    }),
    message: t.exposeString('message'),
  }),
});

builder.objectType(InvalidInput, {
  name: 'InvalidInput',
  description: 'Every issue of the input at once, each with its path. The input itself is never repeated.',
  ...open,
  fields: (t) => ({ issues: t.field({ type: [InputIssueRef], resolve: ({ issues }) => [...issues] }) }),
});

builder.objectType(NotFound, {
  name: 'NotFound',
  description: 'There is no such record, or it is not yours to know of.',
  ...open,
});

builder.objectType(IdempotencyMismatch, {
  name: 'IdempotencyMismatch',
  description: 'The idempotency key was used before, with another input.',
  ...open,
});
