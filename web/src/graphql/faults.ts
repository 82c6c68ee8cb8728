/**
 * Top-level errors, as a client may see them. A domain error keeps its code and message; an operation that does
 * not fit the schema is told why, never with a value out of it; everything else is a fault: logged under its request
 * id and masked.
 */
import { sqlState } from '@careflex/core/platform/database';
import { DomainError, InvalidInput, RateLimited } from '@careflex/core/platform/errors';
import type { Log } from '@careflex/core/platform/log';
import { GraphQLError } from 'graphql';
import { BodyError } from '../body.ts';

/** Codes of the top level; a domain error that a field does not declare as a problem brings its own. */
type Code = 'UNAUTHENTICATED' | 'FORBIDDEN' | 'RATE_LIMITED' | 'TOO_COMPLEX' | 'BAD_USER_INPUT' | 'INTERNAL';

/** The HTTP side of an error, which yoga reads and leaves out of the answer. */
interface Http {
  readonly status: number;
  /** The answer is still a well-formed GraphQL one: with `application/json` it has status 200. */
  readonly spec?: boolean;
  readonly headers?: Readonly<Record<string, string>>;
}

export function fault(code: Code, message: string, more: { http?: Http; [name: string]: unknown } = {}): GraphQLError {
  return new GraphQLError(message, { extensions: { code, ...more } });
}

/** The errors of one operation, in the form in which they are answered. */
export interface Masking {
  readonly requestId: string;
  readonly log: Log;
  /** Named in the log instead of the document. */
  readonly operation: string;
}

/** What a client may see of something that was thrown while an operation ran. */
export function mask(thrown: unknown, masking: Masking): GraphQLError {
  const original = thrown instanceof GraphQLError ? (thrown.originalError ?? thrown) : thrown;
  const located = thrown instanceof GraphQLError ? thrown : undefined;
  const expected = toExpected(original, masking.requestId);
  if (!expected) masking.log.error('An operation failed', { ...masking, error: original });
  const { message, extensions } =
    expected ??
    fault('INTERNAL', 'Something went wrong; the request id tells us what', { requestId: masking.requestId });
  return new GraphQLError(message, {
    nodes: located?.nodes,
    source: located?.source,
    positions: located?.positions,
    path: located?.path,
    extensions,
  });
}

/** The database's word for U+0000, which it cannot hold. */
const UNSTORABLE = '22021';

function toExpected(original: unknown, requestId: string): GraphQLError | undefined {
  if (original instanceof RateLimited) return rateLimited(original.retryAfterSeconds, requestId);
  if (original instanceof InvalidInput) {
    return fault('BAD_USER_INPUT', original.message, { issues: original.issues, requestId });
  }
  if (original instanceof DomainError) {
    return new GraphQLError(original.message, { extensions: { code: original.code, requestId } });
  }
  if (original instanceof BodyError) {
    return fault('BAD_USER_INPUT', original.message, { requestId, http: { status: original.status } });
  }
  if (sqlState(original) === UNSTORABLE) {
    return fault('BAD_USER_INPUT', 'A text has a character that no text may have', { requestId });
  }
  if (!(original instanceof GraphQLError)) return undefined;
  if (original.extensions['code'] !== undefined) {
    return new GraphQLError(original.message, { extensions: { ...original.extensions, requestId } });
  }
  // An argument that is null where it may not be is only found when its field is executed.
  return original.message.startsWith('Argument "')
    ? fault('BAD_USER_INPUT', withoutValues(original.message), { requestId })
    : undefined;
}

export function rateLimited(retryAfterSeconds: number, requestId: string): GraphQLError {
  return fault('RATE_LIMITED', `Too many requests; try again in ${retryAfterSeconds} s`, {
    retryAfterSeconds,
    requestId,
    http: { status: 429, spec: false, headers: { 'Retry-After': String(retryAfterSeconds) } },
  });
}

/** An operation that does not parse, does not fit the schema, or whose variables do not fit it. */
export function toBadInput({ message, nodes, source, positions, extensions }: GraphQLError): GraphQLError {
  // With a code it is one of ours, which never quotes.
  return new GraphQLError(extensions['code'] === undefined ? withoutValues(message) : message, {
    nodes,
    source,
    positions,
    extensions: { code: 'BAD_USER_INPUT', ...extensions, http: { status: 400, spec: true } },
  });
}

/**
 * graphql-js ends its messages with the value it found, and quotes what it could not read. Either may be PHI. Names
 * of the schema, which it quotes too, stand before and stay.
 */
function withoutValues(message: string): string {
  return message.startsWith('Syntax Error')
    ? message.replace(/( but got)?:?\s*"[\s\S]*$/, '')
    : message
        .replace(/,? [Ff]ound: [\s\S]*$/, '')
        .replace(/ unknown field "[\s\S]*$/, ' unknown fields')
        .replace(/(cannot represent [^:"]*): [\s\S]*$/, '$1')
        .replace(/Value "[\s\S]*" does not exist in "(\w+)" enum/, 'The value does not exist in enum "$1"')
        .replace(/(Unknown operation) named [\s\S]*$/, '$1');
}
