/** How the payer behaves towards one question: as scripted for the member, else by chance where that is asked for, else well. */
import { z } from 'zod';
import { chanceOf } from '../behaviour.ts';
import { BODIES } from '../fhir.ts';
import { Scripts } from '../scripts.ts';

export const REQUESTS = ['search', 'eligibility', 'read'] as const;
export type RequestKind = (typeof REQUESTS)[number];

/** What an answer says that cannot be, or leaves out. */
export const LIES = [
  'no-amounts',
  'amount-twice',
  'used-above-allowed',
  'no-period',
  'in-force-unsaid',
  'not-in-force',
  'other-plan',
  'plan-left-out',
  'partial',
  'error',
  'queued',
] as const;
export type Lie = (typeof LIES)[number];

export const Behaviour = z.strictObject({
  /** Before the answer. */
  delayMs: z.number().int().min(0).max(3_600_000).default(0),
  /** `drop`: the connection breaks instead of an answer. `never`: no answer ever. A number: that HTTP status. */
  reply: z.union([z.enum(['drop', 'never']), z.number().int().min(400).max(599)]).optional(),
  /** Said with a status. */
  retryAfterSeconds: z.number().int().min(0).max(3_600).optional(),
  /** Instead of what was asked for: JSON that is cut off, a page of HTML, nothing, another resource, or two megabytes. */
  body: z.enum(BODIES).optional(),
  lie: z.enum(LIES).optional(),
  /** Of a search: every page comes twice, or the last one leads back to the first. */
  pages: z.enum(['doubled', 'loop']).optional(),
});
export type Behaviour = z.output<typeof Behaviour>;

export const Script = Behaviour.extend({
  /** For whom; any unless given. */
  member: z.string().min(1).max(200).optional(),
  request: z.enum(REQUESTS).optional(),
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
    malformed: chance,
    lying: chance,
  })
  .refine(
    (faults) => Object.values(faults).reduce((sum, one) => sum + one, 0) <= 1 + Number.EPSILON,
    'expected at most 1 in all',
  );
export type Faults = z.output<typeof Faults>;

const WELL: Behaviour = { delayMs: 0 };
const FAULTY: Readonly<Record<Exclude<keyof Faults, 'lying'>, Partial<Behaviour>>> = {
  drop: { reply: 'drop' },
  never: { reply: 'never' },
  busy: { reply: 429, retryAfterSeconds: 1 },
  broken: { reply: 500 },
  down: { reply: 503 },
  malformed: { body: 'cut' },
};

export class Behaviours {
  readonly #seed: string;
  readonly scripts = new Scripts<Script>(({ member, request }) => ({ to: member, kind: request }));
  #faults: Faults | null = null;
  readonly #had = new Map<string, number>();

  constructor(seed: string) {
    this.#seed = seed;
  }

  setFaults(faults: Faults): void {
    this.#faults = Object.values(faults).some((one) => one > 0) ? faults : null;
    this.#had.clear();
  }

  clear(): void {
    this.scripts.clear();
    this.#faults = null;
    this.#had.clear();
  }

  next(kind: RequestKind, member: string): Behaviour {
    const script = this.scripts.take(member, kind);
    if (script !== undefined) return script;
    return this.#faults === null ? WELL : this.#byChance(this.#faults, member);
  }

  /** From the seed, the member and how many it has had, not from who came first. */
  #byChance(faults: Faults, member: string): Behaviour {
    const had = (this.#had.get(member) ?? 0) + 1;
    this.#had.set(member, had);
    const drawn = chanceOf(`${this.#seed}:${member}:${had}`);
    let left = drawn;
    for (const [name, likely] of Object.entries(faults) as [keyof Faults, number][]) {
      left -= likely;
      if (left < 0) return { ...WELL, ...(name === 'lying' ? { lie: lieOf(drawn) } : FAULTY[name]) };
    }
    return WELL;
  }
}

function lieOf(drawn: number): Lie {
  return LIES[Math.trunc(drawn * 1e6) % LIES.length] ?? 'no-amounts';
}
