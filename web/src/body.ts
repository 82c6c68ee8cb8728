/**
 * Reading a request's body: JSON of at most 128 KiB, or a form of at most 64, that arrives in time. A body that is too
 * large or too slow is not read to its end, so the connection closes after the answer.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';

export const MAX_BODY_BYTES = 128 * 1024;
export const MAX_FORM_BYTES = 64 * 1024;

export class BodyError extends Error {
  readonly status: 400 | 408 | 413 | 415;
  constructor(status: BodyError['status'], message: string) {
    super(message);
    this.status = status;
  }
}

export interface Incoming {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
}

/** The parsed body. Throws {@link BodyError}, whose message never repeats the body. */
export async function readJson(incoming: Incoming, timeoutMs: number): Promise<unknown> {
  const text = await read(incoming, JSON_BODY, timeoutMs);
  try {
    return JSON.parse(text);
  } catch {
    throw new BodyError(400, 'The body is not JSON');
  }
}

/** The fields of a form, each once. Throws {@link BodyError}. */
export async function readForm(incoming: Incoming, timeoutMs: number): Promise<Record<string, string>> {
  return Object.fromEntries(new URLSearchParams(await read(incoming, FORM, timeoutMs)));
}

interface Kind {
  readonly name: string;
  readonly type: RegExp;
  readonly maxBytes: number;
}

const JSON_BODY: Kind = {
  name: 'application/json',
  type: /^application\/json\s*(;\s*charset="?utf-8"?\s*)?$/i,
  maxBytes: MAX_BODY_BYTES,
};
const FORM: Kind = {
  name: 'application/x-www-form-urlencoded',
  type: /^application\/x-www-form-urlencoded\s*(;\s*charset="?utf-8"?\s*)?$/i,
  maxBytes: MAX_FORM_BYTES,
};

function read({ request, response }: Incoming, kind: Kind, timeoutMs: number): Promise<string> {
  return readText(request, kind, timeoutMs).catch((thrown: unknown) => {
    response.shouldKeepAlive = false;
    throw thrown;
  });
}

async function readText(request: IncomingMessage, { name, type, maxBytes }: Kind, timeoutMs: number): Promise<string> {
  if (!type.test(request.headers['content-type'] ?? '')) throw new BodyError(415, `The content type must be ${name}`);
  if (Number(request.headers['content-length'] ?? 0) > maxBytes) throw tooLarge(maxBytes);
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    const timer = setTimeout(() => end(() => reject(new BodyError(408, 'The body did not arrive in time'))), timeoutMs);
    const onData = (chunk: Buffer) => {
      bytes += chunk.length;
      chunks.push(chunk);
      if (bytes > maxBytes) end(() => reject(tooLarge(maxBytes)));
    };
    const onEnd = () => end(() => resolve(Buffer.concat(chunks).toString('utf8')));
    const onGone = () => end(() => reject(new BodyError(400, 'The body ended early')));

    function end(settle: () => void): void {
      clearTimeout(timer);
      request.off('data', onData).off('end', onEnd).off('close', onGone).off('error', onGone);
      request.pause();
      settle();
    }
    request.on('data', onData).on('end', onEnd).on('close', onGone).on('error', onGone);
  });
}

function tooLarge(maxBytes: number): BodyError {
  return new BodyError(413, `The body may have at most ${maxBytes} bytes`);
}
