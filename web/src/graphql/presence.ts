import type { Event } from '@careflex/core/platform/events';
import * as presence from '@careflex/core/presence';
import { builder } from './builder.ts';
import { ONE_RECORD, WRITE } from './results.ts';

const staff = { staff: true } as const;

const AgentStatus = builder.enumType('AgentStatus', { values: presence.AGENT_STATUSES });

const AgentPresence = builder.objectRef<presence.AgentPresence>('AgentPresence').implement({
  authScopes: staff,
  fields: (t) => ({
    userId: t.exposeID('userId'),
    name: t.exposeString('name'),
    status: t.expose('status', { type: AgentStatus }),
    patientId: t.exposeID('patientId', { nullable: true, description: 'Whom the agent is busy with.' }),
    since: t.expose('since', { type: 'DateTime', description: 'When this status was told.' }),
  }),
});

builder.queryFields((t) => ({
  onlineAgents: t.field({
    type: [AgentPresence],
    description: 'Every agent who is at work.',
    authScopes: staff,
    complexity: { field: ONE_RECORD, multiplier: 50 },
    resolve: (_root, _args, { scope }) => presence.onlineAgents(scope),
  }),
}));

builder.mutationFields((t) => ({
  trackAgent: t.field({
    type: AgentPresence,
    description:
      'Tells what the caller is doing. It lasts while a socket of the same session is open; without one, tell it again every 10 seconds. OFFLINE leaves at once. Of several sessions the status that was told last counts, and is the answer.',
    authScopes: staff,
    complexity: WRITE,
    args: { status: t.arg({ type: AgentStatus, required: true }), patientId: t.arg.id() },
    resolve: (_root, args, { scope }) => presence.trackAgent(scope, args),
  }),
}));

builder.subscriptionFields((t) => ({
  agentPresenceChanged: t.field({
    type: AgentPresence,
    description: 'Each change of an agent’s status; OFFLINE within 30 seconds of a client that was lost.',
    authScopes: staff,
    complexity: ONE_RECORD,
    subscribe: async (_root, _args, { scope, feed }) => {
      await presence.followAgents(scope);
      return feed.follow({ matches: isPresence });
    },
    resolve: (event, _args, { scope }) =>
      presence.presenceOf(scope, (event as Event<'agent.presence_changed'>).payload),
  }),
}));

function isPresence({ topic }: Event): boolean {
  return topic === 'agent.presence_changed';
}
