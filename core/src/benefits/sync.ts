/**
 * The sync with the payer: every patient with a benefit there is asked about, a batch at a time. What the payer says is
 * kept and compared with the ledger; it never changes the ledger.
 *
 * Each batch ends in one transaction, with the place that the run has come to. So a process may die at any moment: what
 * it had not written is asked again, and says the same again.
 */
import * as audit from '#audit';
import type { BenefitsApi, PayerAnswer } from '#integrations/benefits-api';
import { type Scope, transact } from '#platform/scope';
import { askAll, type Answers, type Asked, type Outcome, Pace } from './sync-ask.ts';
import { recordAnswers, toAsk } from './sync-record.ts';
import { finishRun, holdRun, moveOn, nextPatients, openRun, type Step } from './sync-run.ts';

export interface SyncOptions {
  readonly api: BenefitsApi;
  /** Calls to the payer, at most. */
  readonly perSecond: number;
  /** Once it is aborted no call begins and nothing is written. */
  readonly signal: AbortSignal;
}

const BATCH = 200;
/** A run goes on in another job after so long: it sees one `now` only. */
const SLICE_MS = 30_000;
/** While the payer is down it is asked again after as long as it has been down, within these. */
const SHORTEST_WAIT_SECONDS = 60;
const LONGEST_WAIT_SECONDS = 900;
/** After so long it is not the payer's fault any more that those who come next get no answer. */
const PATIENCE_HOURS = 2;

/**
 * Goes on with the run that is under way, or begins one. Returns when to call it again, at once or once the payer may be
 * back; null when all patients are done, or no payer is configured. For the system; of several at once one gets on.
 * Throws RunTaken, Forbidden.
 */
export async function syncBenefits(scope: Scope, options: SyncOptions): Promise<Temporal.Instant | null> {
  const entry = { action: 'benefit.sync', resourceType: 'Benefit' };
  await audit.permit(scope, scope.actor.role === 'system', entry);
  if (!options.api.configured) return null;
  const { id: runId, cursor, waiting_since } = await openRun(scope);
  let waitsSince = waiting_since?.toTemporalInstant() ?? null;
  const calls = { ...options, pace: new Pace(options.perSecond) };
  const over = AbortSignal.any([options.signal, AbortSignal.timeout(SLICE_MS)]);
  for (let from = cursor; !over.aborted;) {
    const batch = await transact(scope, (scope) => nextBatch(scope, from));
    if (batch.length === 0) {
      await finishRun(scope, runId);
      return null;
    }
    const answers = await askAll(
      batch.flatMap(({ asked }) => asked ?? []),
      calls,
    );
    if (options.signal.aborted) break;
    const isDown = answers.isDown || (nobodyAnswers(answers) && hasPatience(scope, waitsSince));
    const step = await transact(scope, (scope) =>
      record(scope, { runId, from, batch, answers: { ...answers, isDown } }),
    );
    ({ waitsSince } = step);
    if (waitsSince !== null) return afterWaiting(scope, waitsSince);
    from = step.to;
  }
  return scope.now;
}

/** Too few to open the circuit, and yet all of them. */
function nobodyAnswers({ outcomes }: Answers): boolean {
  const all = [...outcomes.values()].filter((outcome) => !isUnasked(outcome));
  return all.length > 0 && all.every((outcome) => 'failure' in outcome && outcome.failure.code === 'UNAVAILABLE');
}

const isUnasked = (outcome: Outcome): boolean => 'failure' in outcome && outcome.failure.code === 'NO_MEMBER_ID';

function hasPatience({ now }: Scope, since: Temporal.Instant | null): boolean {
  return since === null || now.since(since).total('hours') < PATIENCE_HOURS;
}

interface Next {
  readonly patientId: string;
  /** Null where there is nothing to ask: the patient is deleted. */
  readonly asked: Asked | null;
}

async function nextBatch(scope: Scope, from: string | null): Promise<Next[]> {
  const patientIds = await nextPatients(scope, from, BATCH);
  if (patientIds.length === 0) return [];
  const asked = new Map((await toAsk(scope, patientIds)).map((one) => [one.patientId, one]));
  return patientIds.map((patientId) => ({ patientId, asked: asked.get(patientId) ?? null }));
}

interface Batch {
  readonly runId: string;
  readonly from: string | null;
  readonly batch: readonly Next[];
  readonly answers: Answers;
}

interface Recorded {
  readonly to: string | null;
  readonly waitsSince: Temporal.Instant | null;
}

async function record(scope: Scope, { runId, from, batch, answers }: Batch): Promise<Recorded> {
  await holdRun(scope, { runId, from });
  const done = doneOf(batch, answers);
  const said = new Map<string, PayerAnswer>();
  const failures: Step['failures'][number][] = [];
  for (const { patientId } of done) {
    const outcome = answers.outcomes.get(patientId);
    if (outcome === undefined) continue;
    if ('answer' in outcome) said.set(patientId, outcome.answer);
    else failures.push({ patientId, ...outcome.failure });
  }
  const drifted = await recordAnswers(scope, said);
  const { isDown } = answers;
  const to = done.at(-1)?.patientId ?? from;
  const waitsSince = await moveOn(scope, { runId, from, to, synced: said.size, failures, drifted, isDown });
  return { to, waitsSince };
}

/** Those at the front that are done with: while the payer goes down nobody's failure is their own. */
function doneOf(batch: readonly Next[], { outcomes, isDown }: Answers): readonly Next[] {
  const isOpen = ({ patientId, asked }: Next): boolean => {
    const outcome = outcomes.get(patientId);
    if (outcome === undefined) return asked !== null;
    return isDown && 'failure' in outcome && outcome.failure.code === 'UNAVAILABLE';
  };
  const firstOpen = batch.findIndex(isOpen);
  return firstOpen === -1 ? batch : batch.slice(0, firstOpen);
}

function afterWaiting({ now }: Scope, since: Temporal.Instant): Temporal.Instant {
  const waited = now.since(since).total('seconds');
  const seconds = Math.min(Math.max(Math.ceil(waited), SHORTEST_WAIT_SECONDS), LONGEST_WAIT_SECONDS);
  return now.add({ seconds });
}
