/** The demo's patients agree to be reminded, so that its messages are seen going out. */
import * as care from '@careflex/core/care';
import type { Scope } from '@careflex/core/platform/scope';
import * as notifications from '@careflex/core/notifications';

const PAGE = 100;

/** For whoever has a phone or an e-mail address; again it changes nothing. */
export async function recordDemoConsents(scope: Scope): Promise<void> {
  for (let after: string | null = null; ;) {
    const { items, hasNextPage }: Awaited<ReturnType<typeof care.patients>> = await care.patients(scope, {
      first: PAGE,
      after,
    });
    const ids = items.map(({ node }) => node.id);
    await notifications.importConsents(scope, ids, { wordingVersion: 'demo', evidence: 'Invented, as the patient is' });
    after = items.at(-1)?.cursor ?? null;
    if (!hasNextPage) return;
  }
}
