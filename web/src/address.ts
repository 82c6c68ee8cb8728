/**
 * Who is at the other end. Each trusted proxy adds one entry at the right of X-Forwarded-For; what stands further
 * left was sent by the client and proves nothing.
 */
import type { IncomingMessage } from 'node:http';
import { isIP } from 'node:net';

/** The client's address, as told by the outermost of `trustedProxies` proxies; null when the socket is gone. */
export function clientAddress(request: IncomingMessage, trustedProxies: number): string | null {
  const peer = plain(request.socket.remoteAddress ?? '');
  if (trustedProxies === 0) return peer;
  const header = request.headers['x-forwarded-for'];
  const told = (Array.isArray(header) ? header.join() : (header ?? '')).split(',');
  const forwarded = plain(told.at(-trustedProxies)?.trim() ?? '');
  return forwarded ?? peer;
}

/** An IPv4 address inside IPv6 is the same address. */
function plain(address: string): string | null {
  const text = address.startsWith('::ffff:') ? address.slice(7) : address;
  return isIP(text) === 0 ? null : text;
}

/** What a limit counts by: an IPv4 address, or the /64 of an IPv6 one, since one household has all of those. */
export function network(address: string | null): string {
  if (address === null || isIP(address) !== 6) return address ?? 'unknown';
  const [head = '', tail] = address.split('::');
  const left = head === '' ? [] : head.split(':');
  const right = tail === undefined || tail === '' ? [] : tail.split(':');
  const middle = tail === undefined ? [] : Array.from({ length: 8 - left.length - right.length }, () => '0');
  return [...left, ...middle, ...right]
    .slice(0, 4)
    .map((group) => group.replace(/^0+(?=.)/, ''))
    .join(':');
}
