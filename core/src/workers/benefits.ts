import * as benefits from '#benefits';
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
