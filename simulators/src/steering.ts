/** How a simulator is steered over HTTP: a table of requests, JSON in and out, and what an input is not. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { z } from 'zod';
import { json, notFound, readJson } from './http.ts';

type Handler<World> = (world: World, input: unknown, ids: readonly string[]) => object | Promise<object>;

export type Routes<World> = readonly (readonly [method: string, path: RegExp, handle: Handler<World>])[];

interface Steering {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly url: URL;
  /** The path that the routes stand below. */
  readonly below: string;
}

/** What the input is not; the answer is 400 with each of them. */
class BadInput extends Error {
  readonly errors: readonly { readonly path: string; readonly message: string }[];
  constructor(issues: z.ZodError['issues']) {
    super('Bad input');
    this.errors = issues.map(({ path, message }) => ({ path: path.join('.'), message }));
  }
}

/** A list of a hundred thousand has room. */
const MAX_BODY = 64 * 1024 * 1024;

export async function steer<World>(
  routes: Routes<World>,
  world: World,
  { request, response, url, below }: Steering,
): Promise<void> {
  const path = url.pathname.slice(below.length);
  const found = routes.find(([method, pattern]) => method === request.method && pattern.test(path));
  if (found === undefined) throw notFound(url.pathname);
  const [method, pattern, handle] = found;
  try {
    const input = method === 'POST' ? await readJson(request, MAX_BODY) : url.searchParams;
    json(response, 200, await handle(world, input, pattern.exec(path)?.slice(1) ?? []));
  } catch (thrown) {
    if (!(thrown instanceof BadInput)) throw thrown;
    json(response, 400, { errors: thrown.errors });
  }
}

export function parse<T extends z.ZodType>(schema: T, input: unknown): z.output<T> {
  const result = schema.safeParse(input);
  if (result.success) return result.data;
  throw new BadInput(result.error.issues);
}

/** One, or several at once. */
export function listOf<T extends z.ZodType>(schema: T, input: unknown): readonly z.output<T>[] {
  return Array.isArray(input) ? parse(z.array(schema).max(200_000), input) : [parse(schema, input)];
}
