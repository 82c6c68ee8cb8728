/**
 * Structured logs on an allow-list: a field that is not named here is not written, whatever is passed.
 *
 * An error's message may quote data (a database error quotes the row), so only its class, code and stack
 * frames are logged.
 */
import pino from 'pino';

const ALLOWED = [
  'requestId',
  'actorId',
  'role',
  'operation',
  'operationType',
  'code',
  'status',
  'method',
  'path',
  'durationMs',
  'queue',
  'jobId',
  'attempt',
  'count',
  'port',
  'pid',
  'signal',
  'event',
  'sequence',
  'version',
  'name',
  'reason',
  'node',
  'url',
] as const;

export type LogFields = { readonly [K in (typeof ALLOWED)[number]]?: string | number | undefined } & {
  readonly error?: unknown;
};

export interface Log {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
}

/** Logs JSON lines to standard output, or wherever `destination` points. Messages are constants: no data in them. */
export function createLog(level: string, destination?: pino.DestinationStream): Log {
  const logger = pino(
    { level, base: null, timestamp: pino.stdTimeFunctions.isoTime },
    destination ?? pino.destination({ sync: false }),
  );
  const at =
    (method: 'debug' | 'info' | 'warn' | 'error') =>
    (message: string, fields: LogFields = {}) =>
      logger[method](allowed(fields), message);
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
}

function allowed(fields: LogFields): object {
  const kept: Record<string, unknown> = {};
  for (const name of ALLOWED) if (fields[name] !== undefined) kept[name] = fields[name];
  if (fields.error !== undefined) kept['error'] = describe(fields.error);
  return kept;
}

const STACK_FRAMES = 12;

function describe(thrown: unknown): object {
  if (!(thrown instanceof Error)) return { class: typeof thrown };
  const { code, constraint, table } = thrown as { code?: unknown; constraint?: unknown; table?: unknown };
  const frames = (thrown.stack ?? '')
    .split('\n')
    .filter((line) => /^\s+at /.test(line))
    .slice(0, STACK_FRAMES);
  return { class: thrown.constructor.name, code, constraint, table, stack: frames.map((line) => line.trim()) };
}
