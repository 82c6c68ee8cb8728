/** The one way from an untrusted value to a typed one. */
import type { z } from 'zod';
import { InvalidInput } from './errors.ts';

/** Parses `input` by `schema`. Throws {@link InvalidInput} with every issue and its path, never with the value. */
export function parse<T extends z.ZodType>(schema: T, input: unknown): z.output<T> {
  const result = schema.safeParse(input);
  if (result.success) return result.data;
  throw new InvalidInput(
    result.error.issues.map((issue) => ({ path: issue.path.map(String), message: issue.message })),
  );
}

// Bidirectional overrides and isolates, the zero width space, tag characters. Joiners stay: Persian and Indic need them.
const UNPRINTABLE = /[\p{Cc}\p{Cs}\u200B\u202A-\u202E\u2066-\u2069\u{E0000}-\u{E007F}]/u;

/** Whether a line of text has nothing in it that cannot be seen, or that shows the rest in another order than it has. */
export function isPrintable(text: string): boolean {
  return !UNPRINTABLE.test(text);
}

export const NOT_PRINTABLE = 'expected no control or invisible characters';

/** The id as it is stored and compared: whoever writes it in upper case means the same one. */
export function idOf(text: string): string {
  return text.toLowerCase();
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** Whether the text can be an id at all. One that cannot is the id of nothing, and no fault of the database. */
export function isUuid(text: string): boolean {
  return UUID.test(text);
}
