import { fileURLToPath } from 'node:url';
import * as accounts from '@careflex/core/accounts';
import type { App } from '@careflex/core/app';
import { importDirectory } from '@careflex/core/fhir-import';
import * as scheduling from '@careflex/core/scheduling';
import { recordDemoConsents } from './demo-consents.ts';
import { addDemoHistory, learnFromDemo } from './demo-history.ts';
import { bookDemoVisits } from './demo-visits.ts';
import { commandScope } from './platform.ts';
import { share, startProgress } from './progress.ts';

const EXPORTS = ['fhir', 'careflex'].map((name) => fileURLToPath(new URL(`../../demo/${name}`, import.meta.url)));

/**
 * Fills a database that nobody uses yet: patients and providers by the same import as anybody's, their consents, visits, then the users.
 * The users come last, so a start that was killed in between does it again, and a later start leaves all as it is.
 */
export async function loadDemo(app: App): Promise<void> {
  const scope = commandScope(app);
  const { items } = await accounts.users(scope, { first: 1 });
  if (items.length > 0) return;
  using progress = startProgress('Loading demo data');
  for (const directory of EXPORTS) {
    await importDirectory(scope, directory, {
      onProgress: ({ bytes, totalBytes }) => progress.update(share(bytes, totalBytes)),
    });
  }
  await recordDemoConsents(scope);
  await addDemoHistory(scope);
  await bookDemoVisits(scope, 'patient@demo.careflex.test');
  await learnFromDemo(scope);
  // Not only at the next quarter of an hour.
  await scheduling.requestSync(scope);
  await accounts.seedDemoUsers(scope);
}
