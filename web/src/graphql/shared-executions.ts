/**
 * One execution for all subscribers who ask the same with the same rights: an event that a thousand agents follow is
 * loaded, opened and resolved once.
 *
 * The first subscriber whose session is alive when the event comes executes it, under their own rights. Everybody else
 * is asked about in one query, and the reads are recorded in their names too. A result must therefore not depend
 * on who asks beyond their rights: what is about the viewer is no part of a subscription.
 */
import * as accounts from '@careflex/core/accounts';
import type { App } from '@careflex/core/app';
import type { Entry } from '@careflex/core/audit';
import { Unauthenticated } from '@careflex/core/platform/errors';
import { type Actor, type Origin, SYSTEM } from '@careflex/core/platform/scope';
import type { ExecutionResult } from 'graphql';
import type { DeliveredReads, Reader } from './delivered-reads.ts';
import type { OperationRequest } from './operations.ts';

/** What an execution answered, and the reads that it left in the audit trail. */
export interface Executed {
  readonly result: ExecutionResult;
  readonly reads: readonly Entry[];
}

export interface SharedExecutions {
  /** The result for one of the event's subscribers; `execute` does the work, if it falls to this one. */
  resultOf(event: object, subscriber: Subscriber, execute: () => Promise<Executed>): Promise<ExecutionResult>;
}

export interface Subscriber extends Reader {
  /** The same for those who ask the same with the same rights. */
  readonly sameAs: string;
}

/** What the answer depends on: the operation, and the rights of who asks. */
export function toSubscriber(request: OperationRequest, actor: Actor | null, origin: Origin): Subscriber {
  const { query, operationName, variables } = request;
  const { role, patientId, mayOverride, scopes } = actor ?? {};
  const sameAs = JSON.stringify([query, operationName, variables, role, patientId, mayOverride, scopes]);
  return { actor: actor ?? SYSTEM, origin, sameAs };
}

interface Member {
  readonly subscriber: Subscriber;
  readonly execute: () => Promise<Executed>;
  readonly settle: PromiseWithResolvers<ExecutionResult>;
}

export function createSharedExecutions(app: App, delivered: DeliveredReads): SharedExecutions {
  const rounds = new WeakMap<object, Map<string, Member[]>>();

  async function run(members: readonly Member[]): Promise<void> {
    let able = await whoseSessionLives(app, members);
    while (able.length > 0) {
      const [first, ...others] = able as [Member, ...Member[]];
      const executed = await first.execute();
      if (others.length > 0 && hasEnded(executed.result)) {
        first.settle.resolve(executed.result);
        able = others;
        continue;
      }
      for (const { subscriber } of others) delivered.add(subscriber, executed.reads);
      for (const { settle } of able) settle.resolve(executed.result);
      return;
    }
  }

  return {
    resultOf(event, subscriber, execute) {
      const settle = Promise.withResolvers<ExecutionResult>();
      const member: Member = { subscriber, execute, settle };
      const round = rounds.get(event) ?? new Map<string, Member[]>();
      rounds.set(event, round);
      const members = round.get(subscriber.sameAs);
      if (members !== undefined) {
        members.push(member);
        return settle.promise;
      }
      const begun = [member];
      round.set(subscriber.sameAs, begun);
      // The event has just been handed to everybody who waits for it: they come before the next turn of the loop.
      setImmediate(() => {
        round.delete(subscriber.sameAs);
        run(begun).catch((thrown: unknown) => begun.forEach(({ settle }) => settle.reject(thrown)));
      });
      return settle.promise;
    },
  };
}

/** The rest is told that its session has ended. Of one alone its own transaction finds out. */
async function whoseSessionLives(app: App, members: readonly Member[]): Promise<readonly Member[]> {
  if (members.length === 1) return members;
  const system = app.scope(SYSTEM, { id: 'shared-executions', ip: null, userAgent: null });
  const ids = members.flatMap(({ subscriber }) => subscriber.actor.sessionId ?? []);
  const alive = await accounts.liveSessions(system, ids);
  const able: Member[] = [];
  for (const member of members) {
    const { sessionId } = member.subscriber.actor;
    if (sessionId === null || alive.has(sessionId)) able.push(member);
    else member.settle.reject(new Unauthenticated('The session has ended; sign in again'));
  }
  return able;
}

function hasEnded({ errors = [] }: ExecutionResult): boolean {
  return errors.some(({ extensions }) => extensions['code'] === 'UNAUTHENTICATED');
}
