/** Reading requests and writing answers. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { ApiError } from './api-error.ts';

const MAX_BODY = 64 * 1024;

export async function readBody(request: IncomingMessage, most = MAX_BODY): Promise<string> {
  let body = '';
  for await (const chunk of request.setEncoding('utf8')) {
    body += String(chunk);
    if (body.length > most) throw new ApiError(413, 20413, 'Request Entity Too Large');
  }
  return body;
}

export async function readForm(request: IncomingMessage): Promise<URLSearchParams> {
  return new URLSearchParams(await readBody(request));
}

export async function readJson(request: IncomingMessage, most = MAX_BODY): Promise<unknown> {
  const body = await readBody(request, most);
  try {
    return body.trim() === '' ? {} : (JSON.parse(body) as unknown);
  } catch {
    throw new ApiError(400, 20001, 'The body is no JSON.');
  }
}

export function json(response: ServerResponse, status: number, value: object): void {
  response.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(value));
}

export function seeOther(response: ServerResponse, location: string): void {
  response.writeHead(303, { Location: location }).end();
}

export const notFound = (path: string): ApiError =>
  new ApiError(404, 20404, `The requested resource ${path} was not found`);
