/** A process that numbers events and scores what they concern without pause: `scoring-worker.ts <database>`. */
import { randomBytes } from 'node:crypto';
import * as risk from '#risk';
import { connect } from '../../src/platform/database.ts';
import { sequenceEvents } from '../../src/platform/events.ts';
import { type Scope, SYSTEM } from '../../src/platform/scope.ts';
import { keyRing, vault } from '../../src/platform/vault.ts';

const [url = ''] = process.argv.slice(2);
const db = connect(url, { max: 1 });
const request = { id: 'process', ip: null, userAgent: null };
// Its keys are its own: it cannot open the patients' records, and scores their visits all the same.
const keys = vault(keyRing([{ id: 1, bytes: randomBytes(32) }]), randomBytes(32));
process.stdout.write('ready\n');
for (;;) {
  const now = Temporal.Instant.from('2026-03-02T15:00:01Z');
  const scope = { db, actor: SYSTEM, request, now, vault: keys } as unknown as Scope;
  await sequenceEvents(scope);
  await risk.followEvents(scope);
}
