/** The life of a call: it rings, somebody answers or nobody does, and then what it was told to do is done. */
import { ApiError, MAGIC_NUMBERS, refusedWith } from './api-error.ts';
import { callForm, converse } from './conversation.ts';
import { Line } from './line.ts';
import type { CallStatus, SentCall } from './outbox.ts';
import { pause } from './pause.ts';
import { countIn, moveTo, type Provider, type Reporting } from './provider.ts';
import { isPhoneNumber } from './texts.ts';
import { type Form, isWebUrl } from './webhooks.ts';

export interface NewCall {
  readonly from: string;
  readonly to: string;
  /** What to do, or where to ask for that. */
  readonly instructions: { readonly twiml: string } | { readonly url: string };
  readonly statusCallback: string | null;
  readonly events: ReadonlySet<string>;
  readonly ringSeconds: number;
}

const MAX_TWIML = 4_000;
const RING_SECONDS = 60;

/** What the form asks for. Throws {@link ApiError}. */
export function readNewCall(form: URLSearchParams): NewCall {
  const to = form.get('To') || missing(21201, "A 'To' phone number is required.");
  const from = form.get('From') || missing(21213, "A 'From' phone number is required.");
  const statusCallback = form.get('StatusCallback');
  if (statusCallback !== null && !isWebUrl(statusCallback)) missing(21609, 'The StatusCallback URL is not valid.');
  if (!isPhoneNumber(to)) throw refusedWith(21211);
  const events = form.getAll('StatusCallbackEvent').flatMap((names) => names.split(/[\s,]+/));
  return {
    from,
    to,
    instructions: readInstructions(form),
    statusCallback,
    events: new Set(events.length === 0 ? ['completed'] : events),
    ringSeconds: Number(form.get('Timeout') ?? RING_SECONDS),
  };
}

function readInstructions(form: URLSearchParams): NewCall['instructions'] {
  const url = form.get('Url');
  const twiml = form.get('Twiml');
  if (url !== null) return isWebUrl(url) ? { url } : missing(21205, 'Url is not a valid URL.');
  if (twiml === null) return missing(21205, 'Url parameter is required.');
  return twiml.length <= MAX_TWIML ? { twiml } : missing(21212, 'Twiml has more than 4000 characters.');
}

function missing(code: number, message: string): never {
  throw new ApiError(400, code, message);
}

/** Why this call is refused by its number alone, if it is. */
export function callRefusalOf({ to }: NewCall): ApiError | null {
  const code = MAGIC_NUMBERS.get(to);
  return code === undefined ? null : refusedWith(code);
}

/** Takes it; what follows goes on by itself. */
export function placeCall(provider: Provider, call: NewCall, reporting: Reporting): SentCall {
  const { outbox, counts, newId, now, era, lines } = provider;
  const sent: SentCall = {
    kind: 'call',
    id: `CA${newId()}`,
    at: now(),
    from: call.from,
    to: call.to,
    said: [],
    keys: [],
    status: 'queued',
    startedAt: null,
    endedAt: null,
    waitsForKey: false,
    fault: null,
    reports: [],
  };
  const line = new Line(era.signal);
  outbox.add(sent);
  lines.set(sent.id, line);
  countIn(counts.calls, sent.status);
  setImmediate(() => void new CallLife(provider, sent, { ...call, ...reporting, line }).run());
  return sent;
}

type Plan = NewCall & Reporting & { readonly line: Line };

const PICKS_UP_AFTER_SECONDS = 2;
const ENDS: ReadonlySet<string> = new Set(['completed', 'busy', 'no-answer', 'failed', 'canceled']);
const isEnd = (status: string): status is CallStatus => ENDS.has(status);

class CallLife {
  readonly #provider: Provider;
  readonly #call: SentCall;
  readonly #plan: Plan;
  readonly #era: AbortSignal;
  #reported = 0;
  #reporting: Promise<void> = Promise.resolve();

  constructor(provider: Provider, call: SentCall, plan: Plan) {
    this.#provider = provider;
    this.#call = call;
    this.#plan = plan;
    this.#era = provider.era.signal;
  }

  async run(): Promise<void> {
    const { behaviour, line } = this.#plan;
    const { outcome = 'completed' } = behaviour;
    const end = isEnd(outcome) ? outcome : 'completed';
    await this.#dial(end);
    if (end === 'completed' && !line.signal.aborted) await this.#talk();
    if (this.#era.aborted) return;
    this.#provider.lines.delete(this.#call.id);
    this.#call.endedAt = this.#provider.now();
    this.#step(end, { event: 'completed' });
    await this.#reportScripted();
  }

  async #dial(end: CallStatus): Promise<void> {
    const { behaviour, line, ringSeconds } = this.#plan;
    const { secondMs } = this.#provider.pace;
    this.#report('initiated', 'initiated');
    await pause(behaviour.stepMs, line.signal);
    if (end === 'failed' || line.signal.aborted) return;
    this.#step('ringing', { event: 'ringing' });
    const rings = end === 'no-answer' ? ringSeconds : PICKS_UP_AFTER_SECONDS;
    await pause(behaviour.stepMs + rings * secondMs, line.signal);
  }

  async #talk(): Promise<void> {
    this.#call.startedAt = this.#provider.now();
    this.#step('in-progress', { event: 'answered' });
    const { line, instructions, behaviour } = this.#plan;
    if (behaviour.keys !== undefined) line.press(behaviour.keys);
    await converse(this.#provider, this.#call, { line, instructions });
    this.#call.waitsForKey = false;
  }

  #step(status: CallStatus, { event }: { readonly event: string }): void {
    if (this.#era.aborted) return;
    moveTo(this.#provider.counts, this.#call, status);
    this.#report(status, event);
  }

  /** One after the other, and the call goes on meanwhile. */
  #report(status: string, event: string): void {
    const { events, behaviour } = this.#plan;
    if (behaviour.callbacks !== undefined || !events.has(event)) return;
    this.#reporting = this.#reporting.then(() => this.#post(status));
  }

  async #reportScripted(): Promise<void> {
    await this.#reporting;
    for (const status of this.#plan.behaviour.callbacks ?? []) await this.#post(status);
  }

  async #post(status: string): Promise<void> {
    const { statusCallback, behaviour } = this.#plan;
    if (statusCallback === null) return;
    await pause(behaviour.callbackDelayMs, this.#era);
    if (this.#era.aborted) return;
    const answer = await this.#provider.webhooks.post(statusCallback, {
      ...callForm(this.#provider, this.#call),
      CallStatus: status,
      CallbackSource: 'call-progress-events',
      SequenceNumber: String(this.#reported++),
      Timestamp: new Date(this.#provider.now().epochMilliseconds).toUTCString(),
      ...(isEnd(status) ? durationOf(this.#call) : {}),
    });
    this.#call.reports.push({ status, answered: answer?.status ?? null });
  }
}

function durationOf(call: SentCall): Form {
  const seconds = secondsOf(call) ?? 0;
  return { CallDuration: String(seconds), Duration: String(Math.ceil(seconds / 60)) };
}

/** How long they talked; null before it is over. */
export function secondsOf({ startedAt, endedAt }: SentCall): number | null {
  if (endedAt === null) return null;
  return startedAt === null ? 0 : Math.round((endedAt.epochMilliseconds - startedAt.epochMilliseconds) / 1_000);
}
