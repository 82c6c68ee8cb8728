/**
 * How the provider behaves towards one message, call or e-mail: as scripted for it, else by chance where faults are
 * asked for, else well. Chance follows from the seed, the number and how many it has had, not from who came first.
 */
import { createHash } from 'node:crypto';
import { z } from 'zod';
import { CALL_STATUSES, TEXT_STATUSES } from './outbox.ts';
import { Scripts } from './scripts.ts';

const milliseconds = z.number().int().min(0).max(3_600_000);

const Behaviour = z.strictObject({
  /** Before the answer; what was sent is taken before the wait. */
  delayMs: milliseconds.default(0),
  /** `drop`: the connection breaks instead of an answer. `never`: no answer ever. A number: that HTTP or SMTP status. */
  reply: z.union([z.enum(['drop', 'never']), z.number().int().min(400).max(599)]).optional(),
  /** Whether it goes out all the same. By default after `drop` and `never`, and not after a status. */
  taken: z.boolean().optional(),
  /** Twilio's code with which it is refused: 21610, 21211, 21614 and so on. */
  error: z.number().int().min(10_000).max(99_999).optional(),
  /** Where it ends: of a text `sent`, `delivered`, `undelivered` or `failed`; of a call how that ends. */
  outcome: z.enum([...TEXT_STATUSES, ...CALL_STATUSES]).optional(),
  /** Twilio's code of a delivery that failed: 30003, 30005, 30006 and so on. */
  errorCode: z.number().int().min(10_000).max(99_999).optional(),
  /** Before each step of a delivery. */
  stepMs: milliseconds.default(0),
  /** Exactly these statuses are reported, in this order, after the last step: twice, reordered, or none at all. */
  callbacks: z.array(z.string().max(20)).max(20).optional(),
  callbackDelayMs: milliseconds.default(0),
  /** What the patient presses once a call waits for it. */
  keys: z
    .string()
    .regex(/^[0-9*#]{1,20}$/, 'expected keys such as 1')
    .optional(),
});
export type Behaviour = z.output<typeof Behaviour>;

export const Script = Behaviour.extend({
  /** The number or address that it is for; any unless given. */
  to: z.string().max(320).optional(),
  kind: z.enum(['text', 'call', 'email']).optional(),
  /** For how many; null is for all from now on. */
  times: z.number().int().min(1).nullable().default(1),
});
export type Script = z.output<typeof Script>;

const chance = z.number().min(0).max(1).default(0);

/** How likely each fault is, from 0 to 1; together 1 at most. */
export const Faults = z
  .strictObject({
    drop: chance,
    never: chance,
    busy: chance,
    broken: chance,
    down: chance,
    undelivered: chance,
    duplicated: chance,
    reordered: chance,
    late: chance,
  })
  .refine(
    (faults) => Object.values(faults).reduce((sum, one) => sum + one, 0) <= 1 + Number.EPSILON,
    'expected at most 1 in all',
  );
export type Faults = z.output<typeof Faults>;

const WELL: Behaviour = { delayMs: 0, stepMs: 0, callbackDelayMs: 0 };

const FAULTY: Readonly<Record<keyof Faults, Partial<Behaviour>>> = {
  drop: { reply: 'drop' },
  never: { reply: 'never' },
  busy: { reply: 429 },
  broken: { reply: 500 },
  down: { reply: 503 },
  undelivered: { outcome: 'undelivered', errorCode: 30_003 },
  duplicated: { callbacks: ['sent', 'sent', 'delivered', 'delivered'] },
  reordered: { callbacks: ['delivered', 'sent'] },
  late: { callbackDelayMs: 2_000 },
};
/** What can befall a call or an e-mail too. */
const ANY_KIND: ReadonlySet<string> = new Set(['drop', 'never', 'busy', 'broken', 'down', 'late']);

type Kind = 'text' | 'call' | 'email';

export class Behaviours {
  readonly #seed: string;
  readonly #scripts = new Scripts<Script>(({ to, kind }) => ({ to, kind }));
  #faults: Faults | null = null;
  readonly #had = new Map<string, number>();

  constructor(seed: string) {
    this.#seed = seed;
  }

  script(script: Script): void {
    this.#scripts.add(script);
  }

  /** What is still to come, in the order in which it was asked for. */
  scripts(): Script[] {
    return this.#scripts.list();
  }

  forgetScripts(): void {
    this.#scripts.clear();
  }

  setFaults(faults: Faults): void {
    this.#faults = Object.values(faults).some((one) => one > 0) ? faults : null;
    this.#had.clear();
  }

  clear(): void {
    this.forgetScripts();
    this.#faults = null;
    this.#had.clear();
  }

  /** How to behave towards the next one; each script counts down. */
  next(kind: Kind, to: string): Behaviour {
    const script = this.#scripts.take(to, kind);
    if (script !== undefined) return script;
    return this.#faults === null ? WELL : this.#byChance(this.#faults, kind, to);
  }

  #byChance(faults: Faults, kind: Kind, to: string): Behaviour {
    const had = (this.#had.get(to) ?? 0) + 1;
    this.#had.set(to, had);
    let left = chanceOf(`${this.#seed}:${to}:${had}`);
    for (const [name, likely] of Object.entries(faults)) {
      left -= likely;
      if (left < 0) return kind === 'text' || ANY_KIND.has(name) ? { ...WELL, ...FAULTY[name as keyof Faults] } : WELL;
    }
    return WELL;
  }
}

/** From 0 to 1, the same for the same text. */
export function chanceOf(text: string): number {
  return createHash('sha256').update(text).digest().readUIntBE(0, 6) / 2 ** 48;
}

/** Whether it goes out. */
export function isTaken({ reply, taken, error }: Behaviour): boolean {
  return taken ?? (error === undefined && typeof reply !== 'number');
}
