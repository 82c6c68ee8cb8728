/**
 * What every resolver gets. `scope` acts as the one who signed in and throws for an anonymous request, so that a
 * forgotten permission cannot act as anybody.
 */
import type { App } from '@careflex/core/app';
import { Unauthenticated } from '@careflex/core/platform/errors';
import type { Reading } from '@careflex/core/platform/reading';
import { type Actor, type Origin, type Scope, SYSTEM } from '@careflex/core/platform/scope';
import type { EventFeed } from '../event-feed.ts';
import type { SharedExecutions } from './shared-executions.ts';

/** What lives as long as the API. */
export interface Services {
  readonly app: App;
  readonly feed: EventFeed;
  readonly shared: SharedExecutions;
}

/** An attempt that the schema's permissions refused. */
export interface Denial {
  readonly field: string;
  readonly resourceType: string;
  readonly resourceId: string | null;
}

export interface Context extends Omit<Services, 'shared'> {
  readonly actor: Actor | null;
  readonly origin: Origin;
  /** Throws Unauthenticated when nobody is signed in. */
  readonly scope: Scope;
  /** For what somebody may cause before they are anybody: signing in, registering. */
  readonly systemScope: Scope;
  /** Filled while the operation runs, recorded before it is answered. */
  readonly denials: Denial[];
  /** Of a query: what has been read is answered once this has ended. */
  readonly reads: Reading | undefined;
}

/** Who asks, and who is told what they leave in the audit trail. */
export interface Asking {
  readonly actor: Actor | null;
  readonly origin: Origin;
  readonly onRecord?: (entry: object) => void;
  readonly reads?: Reading;
}

/** The context of one execution. Its scopes see one `now`, taken when they are first asked for. */
export function createContext({ app, feed }: Services, { actor, origin, onRecord, reads }: Asking): Context {
  let scope: Scope | undefined;
  const anybody = () =>
    (scope ??= { ...app.scope(actor ?? SYSTEM, origin), ...(onRecord && { onRecord }), ...(reads && { reads }) });
  return {
    app,
    feed,
    actor,
    origin,
    denials: [],
    reads,
    get scope() {
      if (actor === null) throw new Unauthenticated();
      return anybody();
    },
    get systemScope() {
      return { ...anybody(), actor: SYSTEM };
    },
  };
}
