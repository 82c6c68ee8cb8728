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

/** The id as it is stored and compared: whoever writes it in upper case means the same one. */
export function idOf(text: string): string {
  return text.toLowerCase();
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** Whether the text can be an id at all. One that cannot is the id of nothing, and no fault of the database. */
export function isUuid(text: string): boolean {
  return UUID.test(text);
}
