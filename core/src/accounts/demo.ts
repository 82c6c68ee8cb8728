/** The demo's users, whose password is public. Outside development they cannot be made, nor sign in. */
import * as care from '#care';
import { asSystem, type Scope, transact } from '#platform/scope';
import { EmailInUse } from './errors.ts';
import { hashPassword } from './password.ts';
import { emailIndex, insertUser, type UserRole } from './user.ts';

export const DEMO_PASSWORD = 'careflex-demo';

const PATIENT = {
  externalId: 'demo-patient',
  firstName: 'Demo',
  lastName: 'Patient',
  email: 'patient@demo.careflex.test',
  phone: '+12125550100',
  dateOfBirth: '1980-03-08',
} as const;

export interface DemoUser {
  readonly role: UserRole;
  readonly email: string;
  readonly displayName: string;
}

export const DEMO_USERS: readonly DemoUser[] = [
  { role: 'admin', email: 'admin@demo.careflex.test', displayName: 'Demo Admin' },
  { role: 'agent', email: 'agent@demo.careflex.test', displayName: 'Demo Agent' },
  { role: 'auditor', email: 'auditor@demo.careflex.test', displayName: 'Demo Auditor' },
  { role: 'patient', email: PATIENT.email, displayName: 'Demo Patient' },
];

/** Throws when the rules of signing in know no demo accounts. */
export async function insertDemoUsers(scope: Scope): Promise<void> {
  if (!scope.signIn.demoAccounts) throw new Error('Demo users are for development only');
  for (const user of DEMO_USERS) {
    if (await isThere(scope, user)) continue;
    const passwordHash = await hashPassword(DEMO_PASSWORD);
    const insert = transact(asSystem(scope), async (scope) => {
      const patientId = user.role === 'patient' ? { patientId: await demoPatient(scope) } : {};
      await insertUser(scope, { ...user, ...patientId, passwordHash, emailVerified: false, demo: true });
    });
    // Another process that starts at this moment has made it.
    await insert.catch((thrown: unknown) => {
      if (!(thrown instanceof EmailInUse)) throw thrown;
    });
  }
}

async function isThere(scope: Scope, { email }: DemoUser): Promise<boolean> {
  const found = await transact(asSystem(scope), async (scope) =>
    scope.db.selectFrom('users').select('id').where('email_index', '=', emailIndex(scope, email)).executeTakeFirst(),
  );
  return found !== undefined;
}

/** The one that the demo data brought, or else one of our own. */
async function demoPatient(scope: Scope): Promise<string> {
  const known = await care.patientByEmail(scope, PATIENT.email);
  if (known) return known.id;
  const [outcome] = await care.importPatients(scope, [PATIENT]);
  if (!outcome || outcome.outcome === 'refused') throw new Error('The demo patient was refused');
  return outcome.patientId;
}
