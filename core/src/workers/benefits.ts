import * as benefits from '#benefits';
import { type Answer, Snooze } from '#platform/job-consumer';
import type { Work } from '../workers.ts';

/** Writes off what is left of periods that are over. */
export async function expireBenefits({ scope }: Work<'benefit-expiry'>): Promise<undefined> {
  await benefits.expireEnded(scope);
}

/** Somebody reached into the database. It fails, for a person to look at; only a person may repair it. */
export class LedgerDisagrees extends Error {}

/** Proves that every benefit's amounts are the sums of its ledger. */
export async function proveBenefits({ scope }: Work<'benefit-proof'>): Promise<undefined> {
  const found = await benefits.ledgerDisagreements(scope);
  if (found.length > 0) throw new LedgerDisagrees(`${found.length} benefits are not the sums of their ledgers`);
}

/** Asks the payer about every patient. It goes on later by itself: for others' turns, and while the payer is down. */
export async function syncBenefits({ scope, config, integrations, signal }: Work<'benefits-sync'>): Promise<Answer> {
  const { BENEFITS_SYNC_PER_SECOND: perSecond } = config;
  const again = await benefits.syncBenefits(scope, { api: integrations.payer, perSecond, signal });
  return again === null ? undefined : new Snooze(again);
}
