/** A process that calls a neighbour whenever it is told to, and says what came of it. */
import { once } from 'node:events';
import { openNeighbours } from '#neighbours';
import { systemClock } from '#platform/clock';
import { connect } from '#platform/database';
import { createLog } from '#platform/log';
import { type Scope, SYSTEM } from '#platform/scope';
import { postgresPubSub } from '../../src/platform/pubsub-postgres.ts';

const url = process.argv[2] ?? '';
const db = connect(url, { max: 2 });
const log = createLog('silent');
const pubsub = postgresPubSub({ url, db, log });
const request = { id: 'process', ip: null, userAgent: null };
const scope = () => ({ db, actor: SYSTEM, request, now: systemClock.now() }) as unknown as Scope;
const neighbours = openNeighbours({ scope, pubsub, clock: systemClock, log, node: `test:${process.pid}` });
const sms = neighbours.guard('sms');

process.on('message', (message) => {
  if (message !== 'call') return;
  const called = sms.send(async () => 'done').catch(({ code }: { code: string }) => code);
  void called.then((outcome) => process.send?.(outcome));
});
process.send?.('ready');
await once(process, 'disconnect');
await neighbours[Symbol.asyncDispose]();
await pubsub[Symbol.asyncDispose]();
await db.destroy();
process.exit();
