/**
 * Rate limits, in the memory of this process: per address before anything is read, per principal once known, and
 * a strict one per address for what guesses or mails: signing in, registering, asking for a code.
 */
import { RateLimited } from '@careflex/core/platform/errors';
import type { Actor } from '@careflex/core/platform/scope';
import { RateLimiterMemory, RateLimiterRes } from 'rate-limiter-flexible';
import { network } from './address.ts';

const WINDOW_SECONDS = 60;

export interface RateLimitSettings {
  /** Requests a minute. */
  readonly perAddress: number;
  readonly perPrincipal: number;
  readonly signInPerAddress: number;
}

/** Each throws RateLimited when there were too many. */
export interface RateLimits {
  address(address: string | null): Promise<void>;
  principal(actor: Actor): Promise<void>;
  signIn(address: string | null, attempts: number): Promise<void>;
}

export function createRateLimits(settings: RateLimitSettings): RateLimits {
  const byAddress = limiter(settings.perAddress);
  const byPrincipal = limiter(settings.perPrincipal);
  const signIns = limiter(settings.signInPerAddress);
  return {
    address: (address) => take(byAddress, network(address), 1),
    principal: (actor) => take(byPrincipal, actor.id, 1),
    signIn: (address, attempts) => take(signIns, network(address), attempts),
  };
}

function limiter(points: number): RateLimiterMemory {
  return new RateLimiterMemory({ points, duration: WINDOW_SECONDS });
}

async function take(limiter: RateLimiterMemory, key: string, points: number): Promise<void> {
  try {
    await limiter.consume(key, points);
  } catch (thrown) {
    if (!(thrown instanceof RateLimiterRes)) throw thrown;
    throw new RateLimited(Math.max(1, Math.ceil(thrown.msBeforeNext / 1_000)));
  }
}
