/** Subscribers without the comfort of a client, whose cost would be measured along: says when all of them follow, and at the end when what came. */
import { once } from 'node:events';
import { WebSocket } from 'ws';
import type { Arrivals, Audience } from './live.ts';

const QUERY = `subscription {
  appointmentEvents { sequence kind at appointment { id status startsAt endsAt patient { id firstName lastName } provider { id name } } }
}`;

const [audience] = (await once(process, 'message')) as [Audience];
const arrivals: [string, number][] = [];
const all = Promise.withResolvers<void>();

async function follow(token: string): Promise<void> {
  const socket = new WebSocket(`${audience.url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws');
  const begun = Promise.withResolvers<void>();
  socket.on('message', (bytes: Buffer) => {
    const at = performance.timeOrigin + performance.now();
    const text = bytes.toString();
    if (text.startsWith('{"type":"connection_ack"')) {
      socket.send(JSON.stringify({ id: 'events', type: 'subscribe', payload: { query: QUERY } }));
      // Is answered once what was asked before has begun.
      socket.send(JSON.stringify({ id: 'begun', type: 'subscribe', payload: { query: '{ __typename }' } }));
    } else if (text.startsWith('{"id":"begun"')) begun.resolve();
    else if (text.startsWith('{"id":"events","type":"next"')) {
      const id = /"appointment":\{"id":"([^"]+)"/.exec(text)?.[1];
      if (id === undefined) throw new Error(text);
      arrivals.push([id, at]);
      if (arrivals.length === audience.events * audience.tokens.length) all.resolve();
    } else if (!text.includes('"type":"p')) throw new Error(text);
  });
  await once(socket, 'open');
  socket.send(JSON.stringify({ type: 'connection_init', payload: { authorization: `Bearer ${token}` } }));
  await begun.promise;
}

for (const token of audience.tokens) await follow(token);
process.send?.('all follow');
await all.promise;
process.send?.(arrivals satisfies Arrivals);
