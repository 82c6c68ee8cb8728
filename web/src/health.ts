/** Whether the process lives, whether it may be sent requests, and what it measures. */
import { timingSafeEqual, createHash } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';

export function answerJson(response: ServerResponse, status: number, body: unknown): void {
  const text = JSON.stringify(body);
  response.writeHead(status, {
    'Content-Type': 'application/json; charset=utf-8',
    'Content-Length': Buffer.byteLength(text),
  });
  response.end(text);
}

const READY_WITHIN_MS = 3_000;

/** `reasons` says what is missing; none: ready. One that does not answer in time counts as missing. */
export async function answerReadiness(response: ServerResponse, reasons: () => Promise<string[]>): Promise<void> {
  const { promise: late, resolve } = Promise.withResolvers<string[]>();
  const timer = setTimeout(() => resolve(['the database does not answer in time']), READY_WITHIN_MS);
  const missing = await Promise.race([reasons(), late]).catch(() => ['the database cannot be reached']);
  clearTimeout(timer);
  answerJson(response, missing.length === 0 ? 200 : 503, { ready: missing.length === 0, missing });
}

export interface MetricsAccess {
  readonly token: string | undefined;
  readonly production: boolean;
}

/** With a token set, by the token; without one, in production from this machine only. */
export function mayReadMetrics(request: IncomingMessage, { token, production }: MetricsAccess): boolean {
  if (token !== undefined) return sameText(request.headers.authorization ?? '', `Bearer ${token}`);
  return !production || isLoopback(request);
}

function sameText(a: string, b: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(a), digest(b));
}

/** The socket's own peer: behind a proxy on this machine everybody seems local, unless the proxy says for whom. */
function isLoopback({ socket, headers }: IncomingMessage): boolean {
  const peer = socket.remoteAddress ?? '';
  return headers['x-forwarded-for'] === undefined && /^(::ffff:)?127\.|^::1$/.test(peer);
}
