/**
 * Open sockets and streams by the session they belong to, so that they end when it does: told by a notification
 * within moments, found by asking every second where that got lost.
 */
import type { Log } from '@careflex/core/platform/log';

/** Why a connection is ended: its session is over, or the server is. */
export type Ending = 'session-ended' | 'going-away';

export interface LiveConnection {
  readonly sessionId: string | null;
  readonly end: (ending: Ending) => void;
  /** Is closed when it leaves a ping without an answer: a client that vanished is soon noticed. */
  readonly isPinged: boolean;
}

export interface LiveConnections {
  /** Keeps the connection until the returned function is called. Without a session it only ends with the server. */
  add(connection: LiveConnection): () => void;
  /** Of the clients that answer pings, and so are there. */
  reachedSessions(): string[];
  sessionEnded(sessionId: string): void;
  /** Ends every connection and watches no longer. */
  close(): void;
  readonly size: number;
}

const ASK_EVERY_MS = 1_000;

/** `liveSessions` tells which of the given sessions are still alive. */
export function watchConnections(
  liveSessions: (ids: readonly string[]) => Promise<ReadonlySet<string>>,
  log: Log,
): LiveConnections {
  const connections = new Set<LiveConnection>();
  let asking = false;

  function endWhere(matches: (connection: LiveConnection) => boolean, ending: Ending): void {
    for (const connection of connections) {
      if (!matches(connection)) continue;
      connections.delete(connection);
      connection.end(ending);
    }
  }

  async function ask(): Promise<void> {
    const ids = [...new Set([...connections].flatMap(({ sessionId }) => sessionId ?? []))];
    if (ids.length === 0) return;
    const alive = await liveSessions(ids);
    // Only those that were asked about: a connection may have come meanwhile.
    const ended = new Set(ids.filter((id) => !alive.has(id)));
    endWhere(({ sessionId }) => sessionId !== null && ended.has(sessionId), 'session-ended');
  }

  const timer = setInterval(() => {
    if (asking) return;
    asking = true;
    ask()
      .catch((error: unknown) => log.warn('Asking for live sessions failed', { error }))
      .finally(() => (asking = false));
  }, ASK_EVERY_MS).unref();

  return {
    add(connection) {
      connections.add(connection);
      return () => connections.delete(connection);
    },
    reachedSessions: () => [
      ...new Set([...connections].flatMap(({ isPinged, sessionId }) => (isPinged && sessionId) || [])),
    ],
    sessionEnded: (ended) => endWhere(({ sessionId }) => sessionId === ended, 'session-ended'),
    close() {
      clearInterval(timer);
      endWhere(() => true, 'going-away');
    },
    get size() {
      return connections.size;
    },
  };
}
