/** One request on its way through the server: who asks from where, and what is logged and counted of it. */
import { randomUUIDv7 } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Actor, Origin } from '@careflex/core/platform/scope';
import { clientAddress } from './address.ts';

export interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly origin: Origin;
  readonly startedAt: number;
  /** The path, of those that exist; never with a query string. */
  readonly route: string;
  /** Filled once known. */
  actor: Actor | null;
  operation: string | undefined;
}

export function originOf(request: IncomingMessage, trustedProxies: number): Origin {
  const purpose = purposeOf(request.headers['x-purpose-of-use']);
  return {
    id: requestIdOf(request.headers['x-request-id']),
    ip: clientAddress(request, trustedProxies),
    userAgent: request.headers['user-agent'] ?? null,
    ...(purpose === undefined ? {} : { purpose }),
  };
}

const SANE_REQUEST_ID = /^[A-Za-z0-9._-]{8,64}$/;

/** The caller's own id where it is one that cannot hurt a log; else a new one. */
function requestIdOf(given: string | string[] | undefined): string {
  return typeof given === 'string' && SANE_REQUEST_ID.test(given) ? given : randomUUIDv7();
}

const PURPOSES = new Set(['treatment', 'payment', 'operations', 'patient-request']);

function purposeOf(given: string | string[] | undefined): string | undefined {
  return typeof given === 'string' && PURPOSES.has(given) ? given : undefined;
}

/** The path alone: what stands behind a question mark may be anything. */
export function pathOf({ url = '/' }: IncomingMessage): string {
  const path = url.split('?', 1)[0] as string;
  return path.length > 1 && path.endsWith('/') ? path.slice(0, -1) : path;
}
