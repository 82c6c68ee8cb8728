import * as risk from '#risk';
import type { Work } from '../workers.ts';

/** Learns, and scores every visit to come. What was killed goes on where it was. */
export async function workRiskNight({ scope, signal }: Work<'risk-nightly'>): Promise<undefined> {
  await risk.nightly(scope, { signal });
}

/** Scores every visit to come by a model that has just been chosen. */
export async function scoreAllRisks({ scope, signal }: Work<'risk-scoring'>): Promise<undefined> {
  await risk.scoreAhead(scope, { signal });
}

export async function trainRiskModel({ scope, payload, signal }: Work<'risk-training'>): Promise<undefined> {
  await risk.train(scope, { kind: payload.kind, rows: await risk.readLessons(scope, { signal }), signal });
}

/** Keeps the week's report, and says so where it alarms. */
export async function keepRiskReport({ scope, log }: Work<'risk-report'>): Promise<undefined> {
  const { alarms } = await risk.keepReport(scope);
  for (const reason of alarms) log.error('The no-show forecasts are off', { reason });
}
