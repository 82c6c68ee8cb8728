/**
 * Reading a request's body: JSON of at most 128 KiB that arrives in time. A body that is too large or too slow is
 * not read to its end, so the connection closes after the answer.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';

export const MAX_BODY_BYTES = 128 * 1024;

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
export async function readJson({ request, response }: Incoming, timeoutMs: number): Promise<unknown> {
  const text = await readText(request, timeoutMs).catch((thrown: unknown) => {
    response.shouldKeepAlive = false;
    throw thrown;
  });
  try {
    return JSON.parse(text);
  } catch {
    throw new BodyError(400, 'The body is not JSON');
  }
}

function isJson({ headers }: IncomingMessage): boolean {
  return /^application\/json\s*(;\s*charset="?utf-8"?\s*)?$/i.test(headers['content-type'] ?? '');
}

async function readText(request: IncomingMessage, timeoutMs: number): Promise<string> {
  if (!isJson(request)) throw new BodyError(415, 'The content type must be application/json');
  if (Number(request.headers['content-length'] ?? 0) > MAX_BODY_BYTES) throw tooLarge();
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    const timer = setTimeout(() => end(() => reject(new BodyError(408, 'The body did not arrive in time'))), timeoutMs);
    const onData = (chunk: Buffer) => {
      bytes += chunk.length;
      chunks.push(chunk);
      if (bytes > MAX_BODY_BYTES) end(() => reject(tooLarge()));
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

function tooLarge(): BodyError {
  return new BodyError(413, `The body may have at most ${MAX_BODY_BYTES} bytes`);
}
