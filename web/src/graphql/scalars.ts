/**
 * The scalars beyond GraphQL's own. A value that does not fit is refused with what was expected, never with the
 * value itself: it may be PHI.
 */
import { GraphQLError, Kind, type ValueNode, valueFromASTUntyped } from 'graphql';
import { builder } from './builder.ts';
import { instantText } from './instant-text.ts';

// An interface would not do: Pothos wants an index signature.
export type Scalars = {
  DateTime: { Input: Temporal.Instant; Output: Temporal.Instant };
  LocalDateTime: { Input: Temporal.PlainDateTime; Output: Temporal.PlainDateTime };
  Date: { Input: string; Output: string };
  Decimal: { Input: string; Output: string };
  JSON: { Input: unknown; Output: unknown };
};

const INSTANT = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,9})?(Z|[+-]\d{2}:\d{2})$/;
const LOCAL = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?$/;
const DATE = /^\d{4}-\d{2}-\d{2}$/;
const DECIMAL = /^-?\d{1,20}(\.\d{1,10})?$/;

builder.scalarType('DateTime', {
  description: 'An instant by RFC 3339, such as 2026-03-08T14:00:00Z. Answers are in UTC, to the millisecond.',
  ...textual('an instant such as 2026-03-08T14:00:00Z', INSTANT, (text) => Temporal.Instant.from(text)),
  serialize: (instant) => instantText(instant.epochMilliseconds),
});

builder.scalarType('LocalDateTime', {
  description: 'A wall-clock time without offset, such as 2026-03-08T09:00, read in the time zone given beside it.',
  ...textual('a local time such as 2026-03-08T09:00', LOCAL, (text) => Temporal.PlainDateTime.from(text)),
});

builder.scalarType('Date', {
  description: 'A calendar day, such as 2026-03-08.',
  ...textual('a date such as 2026-03-08', DATE, (text) =>
    Temporal.PlainDate.from(text, { overflow: 'reject' }).toString(),
  ),
});

builder.scalarType('Decimal', {
  description: 'An exact decimal number as a string, such as "12.50".',
  ...textual('a decimal number in a string, such as "12.50"', DECIMAL, (text) => text),
});

builder.scalarType('JSON', {
  description: 'Any JSON value.',
  serialize: (value) => value,
  parseValue: (value) => value,
  parseLiteral: (node, variables) => valueFromASTUntyped(node, variables as Record<string, unknown>),
});

/** A scalar that travels as a string of one form. */
function textual<T extends { toString(): string }>(expected: string, form: RegExp, read: (text: string) => T) {
  const parse = (value: unknown): T => {
    if (typeof value === 'string' && form.test(value)) {
      try {
        return read(value);
      } catch {
        // A day that does not exist, such as February 30th.
      }
    }
    throw new GraphQLError(`expected ${expected}`, { extensions: { code: 'BAD_USER_INPUT' } });
  };
  return {
    serialize: (value: T) => value.toString(),
    parseValue: parse,
    parseLiteral: (node: ValueNode) => parse(node.kind === Kind.STRING ? node.value : undefined),
  };
}
