/** How the directory behaves towards one question: as scripted for the practitioner, else well. */
import { z } from 'zod';
import { BODIES } from '../fhir.ts';
import { Scripts } from '../scripts.ts';

export const REQUESTS = ['practitioners', 'schedules', 'slots', 'read'] as const;
export type RequestKind = (typeof REQUESTS)[number];

/** What slots say that cannot be, or leave out. */
export const LIES = ['ends-before-start', 'free-and-busy', 'no-status', 'no-instant', 'left-out'] as const;
export type Lie = (typeof LIES)[number];

const Behaviour = z.strictObject({
  /** Before the answer. */
  delayMs: z.number().int().min(0).max(3_600_000).default(0),
  /** `drop`: the connection breaks instead of an answer. `never`: no answer ever. A number: that HTTP status. */
  reply: z.union([z.enum(['drop', 'never']), z.number().int().min(400).max(599)]).optional(),
  /** Said with a status. */
  retryAfterSeconds: z.number().int().min(0).max(3_600).optional(),
  /** Instead of what was asked for. */
  body: z.enum(BODIES).optional(),
  lie: z.enum(LIES).optional(),
  /** Every page comes twice, or the last one leads back to the first. */
  pages: z.enum(['doubled', 'loop']).optional(),
});
export type Behaviour = z.output<typeof Behaviour>;

export const Script = Behaviour.extend({
  /** About whom, by id; anybody unless given. */
  practitioner: z.string().min(1).max(64).optional(),
  request: z.enum(REQUESTS).optional(),
  /** For how many; null is for all from now on. */
  times: z.number().int().min(1).nullable().default(1),
});
export type Script = z.output<typeof Script>;

const WELL: Behaviour = { delayMs: 0 };

export const newScripts = () =>
  new Scripts<Script>(({ practitioner, request }) => ({ to: practitioner, kind: request }));

export function behaviourFor(scripts: Scripts<Script>, kind: RequestKind, practitioner: string): Behaviour {
  return scripts.take(practitioner, kind) ?? WELL;
}
