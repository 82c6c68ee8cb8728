/** Simulators as an application sees them, and the application's webhooks as they see it. */
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import twilio, { type Twilio } from 'twilio';
import { type SimulatorOptions, startSimulators } from '../../src/main.ts';

export const CREDENTIALS = { accountSid: `AC${'0'.repeat(32)}`, authToken: 'a-token-for-simulators' };
export const OURS = '+12025550100';
export const PATIENT = '+12025550123';

/** Seconds of a call pass at once, unless it waits for somebody. */
export const simulate = (more: Partial<SimulatorOptions> = {}) =>
  startSimulators({ credentials: CREDENTIALS, seed: 'test', pace: { secondMs: 0.001 }, ...more });

/** The official client, talking to the simulator. */
export function clientOf(url: string, authToken = CREDENTIALS.authToken): Twilio {
  const client = twilio(CREDENTIALS.accountSid, authToken, { timeout: 60_000 });
  client.api.baseUrl = url;
  return client;
}

/** Steers the simulator over HTTP. */
export async function control(url: string, what: string, body?: object): Promise<unknown> {
  const [method = 'GET', path = ''] = what.split(' ');
  const response = await fetch(`${url}/simulator/${path}`, {
    method,
    ...(body === undefined ? {} : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
  });
  const answer: unknown = await response.json();
  if (!response.ok) throw Object.assign(new Error(`${what}: ${response.status}`), { status: response.status, answer });
  return answer;
}

export interface Posted {
  readonly path: string;
  readonly form: Readonly<Record<string, string>>;
}

export interface Application extends AsyncDisposable {
  readonly url: string;
  /** What was posted, in order; each was checked to be signed as the official client checks it. */
  readonly posted: Posted[];
  /** Resolves when so many have been posted. */
  posts(count: number): Promise<Posted[]>;
}

type Answer = (posted: Posted) => string;

/** A receiver of webhooks that answers with `answer`, which is nothing unless given. */
export async function application(answer: Answer = () => ''): Promise<Application> {
  const posted: Posted[] = [];
  let base = '';
  const server = createServer((request, response) => {
    void Array.fromAsync(request as AsyncIterable<Buffer>).then((chunks) => {
      const form = Object.fromEntries(new URLSearchParams(Buffer.concat(chunks).toString()));
      const signature = String(request.headers['x-twilio-signature']);
      const isSigned = twilio.validateRequest(CREDENTIALS.authToken, signature, base + (request.url ?? ''), form);
      const one = { path: isSigned ? (request.url ?? '') : 'wrong signature', form };
      posted.push(one);
      response.end(answer(one));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    url: base,
    posted,
    posts: (count) => until(() => (posted.length >= count ? posted : undefined)),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** Asks again and again until there is an answer. */
export async function until<T>(ask: () => T | undefined | Promise<T | undefined>): Promise<T> {
  for (let tries = 0; tries < 3_000; tries++) {
    const answer = await ask();
    if (answer !== undefined) return answer;
    await sleep(5);
  }
  return assert.fail('It did not come');
}
