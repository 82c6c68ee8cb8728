import * as accounts from '#accounts';
import * as audit from '#audit';
import { forgetOldKeys } from '#platform/idempotency';
import { pruneAttempts } from '#platform/job-steering';
import { transact } from '#platform/scope';
import type { Work } from '../workers.ts';

/** Removes what is past its time. */
export async function housekeeping({ scope, config }: Work<'housekeeping'>): Promise<undefined> {
  await forgetOldKeys(scope);
  await transact(scope, pruneAttempts);
  await accounts.forgetExpired(scope);
  await audit.prune(scope, { years: config.AUDIT_RETENTION_YEARS });
}
