/**
 * Rate limits, in the memory of this process: per address before anything is read, per principal once known, and
 * a strict one per address for what guesses or mails: signing in, registering, asking for a code. What a provider
 * posts comes from few addresses and has a limit of its own; what only seems to, a strict one.
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
  readonly webhooksPerAddress: number;
  readonly forgeriesPerAddress: number;
}

/** Each throws RateLimited when there were too many. */
export interface RateLimits {
  address(address: string | null): Promise<void>;
  principal(actor: Actor): Promise<void>;
  signIn(address: string | null, attempts: number): Promise<void>;
  webhook(address: string | null): Promise<void>;
  forgery(address: string | null): Promise<void>;
}

export function createRateLimits(settings: RateLimitSettings): RateLimits {
  const byAddress = limiter(settings.perAddress);
  const byPrincipal = limiter(settings.perPrincipal);
  const signIns = limiter(settings.signInPerAddress);
  const webhooks = limiter(settings.webhooksPerAddress);
  const forgeries = limiter(settings.forgeriesPerAddress);
  return {
    address: (address) => take(byAddress, network(address), 1),
    principal: (actor) => take(byPrincipal, actor.id, 1),
    signIn: (address, attempts) => take(signIns, network(address), attempts),
    webhook: (address) => take(webhooks, network(address), 1),
    forgery: (address) => take(forgeries, network(address), 1),
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
