import { Malformed } from '#integrations/fhir';
import { Refused, Unavailable } from '#integrations/guard';
import { type Answer, Cancel } from '#platform/job-consumer';
import * as scheduling from '#scheduling';
import type { Work } from '../workers.ts';

/**
 * Takes over what the outside directory says of providers. What it says wrong of one stands in their record. When it
 * says nothing at all, the next run comes soon enough: no one has to look at a dead letter for each.
 */
export async function syncProviders(work: Work<'provider-sync'>): Promise<Answer> {
  const { scope, payload, integrations, log, signal } = work;
  const providerId = 'providerId' in payload ? payload.providerId : undefined;
  const asked = { directory: integrations.directory, providerId, signal };
  try {
    const { failed } = await scheduling.syncDirectory(scope, asked);
    if (failed > 0) log.warn('The directory has no good word about some providers', { count: failed });
    return undefined;
  } catch (thrown) {
    if (!isItsFault(thrown)) throw thrown;
    return new Cancel(`no directory, ${thrown.code}`);
  }
}

function isItsFault(thrown: unknown): thrown is Unavailable | Refused | Malformed {
  return thrown instanceof Unavailable || thrown instanceof Refused || thrown instanceof Malformed;
}
