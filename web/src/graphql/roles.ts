import type { Role } from '@careflex/core/platform/scope';
import { builder } from './builder.ts';

export const UserRole = builder.enumType('UserRole', {
  values: {
    ADMIN: { value: 'admin' },
    AGENT: { value: 'agent' },
    PATIENT: { value: 'patient' },
    AUDITOR: { value: 'auditor' },
    SYSTEM: { value: 'system' },
  } as const satisfies Record<string, { value: Role }>,
});
