/** Signs of life for the agents whose sockets this process holds, and an eye on those of processes that have died. */
import type { App } from '@careflex/core/app';
import { SYSTEM } from '@careflex/core/platform/scope';
import { keepPresence } from '@careflex/core/presence';
import type { LiveConnections } from './live.ts';

const BEAT_MS = 5_000;

/** Returns what ends it. */
export function keepPresences(app: App, live: LiveConnections, beatMs = BEAT_MS): () => void {
  let beating = false;
  const timer = setInterval(() => {
    if (beating) return;
    beating = true;
    keepPresence(app.scope(SYSTEM, { id: 'presence', ip: null, userAgent: null }), live.reachedSessions())
      .catch((error: unknown) => app.log.warn('Presence could not be kept', { error }))
      .finally(() => (beating = false));
  }, beatMs).unref();
  return () => clearInterval(timer);
}
