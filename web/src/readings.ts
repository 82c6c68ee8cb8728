/** Numbers that are read when Prometheus asks for them. */
import * as audit from '@careflex/core/audit';
import type { App } from '@careflex/core/app';
import { GUARD_STATES } from '@careflex/core/integrations/guard';
import * as neighbours from '@careflex/core/neighbours';
import { poolCounts } from '@careflex/core/platform/database';
import { LATELY_MINUTES, queueActivity } from '@careflex/core/platform/job-overview';
import { queueCounts } from '@careflex/core/platform/jobs';
import { type Scope, SYSTEM } from '@careflex/core/platform/scope';
import * as risk from '@careflex/core/risk';
import type { LiveConnections } from './live.ts';
import type { Reading } from './metrics.ts';

export function readingsOf(app: App, live: LiveConnections): Reading[] {
  const system = (): Scope => app.scope(SYSTEM, { id: 'metrics', ip: null, userAgent: null });
  return [
    {
      name: 'careflex_database_connections',
      help: 'Connections of this process to the database, and callers waiting for one',
      labels: ['state'],
      async read() {
        const counts = poolCounts(app.db);
        return Object.entries(counts).map(([state, value]) => ({ labels: { state }, value }));
      },
    },
    ...jobReadings(system),
    ...neighbourReadings(system),
    {
      name: 'careflex_audit_seal_lag_seconds',
      help: 'Age of the oldest audit entry that is not sealed yet',
      read: async () => [{ value: await audit.sealLag(system()) }],
    },
    {
      name: 'careflex_audit_overdue_entries',
      help: 'Audit entries of this process that wait for more than 30 seconds to be sealed',
      read: async () => [{ value: audit.overdue(system()) }],
    },
    {
      name: 'careflex_risk_alarms',
      help: 'What the newest weekly report of the no-show forecasts alarms of: 1 where it does',
      labels: ['alarm'],
      async read() {
        const alarms = await risk.newestAlarms(system());
        return risk.RISK_ALARMS.map((alarm) => ({ labels: { alarm }, value: Number(alarms.has(alarm)) }));
      },
    },
    {
      name: 'careflex_live_connections',
      help: 'Open sockets and streams of this process',
      read: async () => [{ value: live.size }],
    },
  ];
}

function jobReadings(system: () => Scope): Reading[] {
  return [
    {
      name: 'careflex_jobs',
      help: 'Unfinished jobs by queue and state',
      labels: ['queue', 'state'],
      async read() {
        const counts = await queueCounts(system());
        return counts.map(({ queue, state, jobs }) => ({ labels: { queue, state }, value: jobs }));
      },
    },
    {
      name: 'careflex_job_attempts',
      help: `Attempts of the last ${LATELY_MINUTES} minutes by queue: started, completed, failed`,
      labels: ['queue', 'what'],
      async read() {
        const activities = await queueActivity(system());
        return activities.flatMap(({ queue, started, completed, failed }) =>
          Object.entries({ started, completed, failed }).map(([what, value]) => ({ labels: { queue, what }, value })),
        );
      },
    },
    {
      name: 'careflex_job_duration_seconds',
      help: `How long the attempts took that ended in the last ${LATELY_MINUTES} minutes`,
      labels: ['queue', 'quantile'],
      async read() {
        const activities = await queueActivity(system());
        return activities.flatMap(({ queue, medianSeconds, p99Seconds }) =>
          Object.entries({ '0.5': medianSeconds, '0.99': p99Seconds }).flatMap(([quantile, value]) =>
            value === null ? [] : [{ labels: { queue, quantile }, value }],
          ),
        );
      },
    },
    {
      name: 'careflex_job_oldest_waiting_seconds',
      help: 'How long the oldest job waits that may start, 0 where none does',
      labels: ['queue'],
      async read() {
        const activities = await queueActivity(system());
        return activities.map(({ queue, oldestWaitingSeconds }) => ({
          labels: { queue },
          value: oldestWaitingSeconds ?? 0,
        }));
      },
    },
  ];
}

function neighbourReadings(system: () => Scope): Reading[] {
  return [
    {
      name: 'careflex_integration_state',
      help: 'The worst state of a system outside over all processes: 1 for the one it has, 0 for the others',
      labels: ['name', 'state'],
      async read() {
        const found = await neighbours.states(system());
        return found.flatMap(({ name, state }) =>
          GUARD_STATES.map((one) => ({ labels: { name, state: one.toLowerCase() }, value: one === state ? 1 : 0 })),
        );
      },
    },
    {
      name: 'careflex_integration_calls_total',
      help: 'Calls of all processes to a system outside by how they ended',
      labels: ['name', 'result'],
      counts: true,
      async read() {
        const found = await neighbours.states(system());
        return found.flatMap(({ name, calls }) =>
          Object.entries(calls).map(([result, value]) => ({ labels: { name, result }, value })),
        );
      },
    },
  ];
}
