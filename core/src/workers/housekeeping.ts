import * as accounts from '#accounts';
import { forgetOldKeys } from '#platform/idempotency';
import type { Work } from '../workers.ts';

/** Removes what is past its time. */
export async function housekeeping({ scope }: Work<'housekeeping'>): Promise<undefined> {
  await forgetOldKeys(scope);
  await accounts.forgetExpired(scope);
}
