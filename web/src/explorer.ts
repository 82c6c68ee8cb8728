/**
 * The explorer: GraphiQL with a sign-in form. Its parts come out of an npm package and are served from here under a
 * strict policy: no inline script, nothing from another host.
 */
import { readFile } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { gzip } from 'node:zlib';
import { promisify } from 'node:util';

interface Asset {
  readonly type: string;
  readonly load: () => Promise<string>;
}

/** The package keeps its parts behind its front door, which only gives them as one inline page. */
const parts = async (): Promise<Record<string, string>> =>
  (await import(new URL('graphiql.js', import.meta.resolve('@graphql-yoga/render-graphiql')).href)) as Record<
    string,
    string
  >;

const JAVASCRIPT = 'text/javascript; charset=utf-8';
const part = (name: string) => async () => (await parts())[name] ?? '';
const file = (name: string) => () => readFile(new URL(`explorer/${name}`, import.meta.url), 'utf8');

const ASSETS: Readonly<Record<string, Asset>> = {
  '/graphiql': { type: 'text/html; charset=utf-8', load: file('index.html') },
  '/graphiql/explorer.js': { type: JAVASCRIPT, load: file('explorer.js') },
  '/graphiql/explorer.css': { type: 'text/css; charset=utf-8', load: file('explorer.css') },
  '/graphiql/graphiql.js': { type: JAVASCRIPT, load: part('js') },
  '/graphiql/graphiql.css': { type: 'text/css; charset=utf-8', load: part('css') },
  '/graphiql/editor-worker.js': { type: JAVASCRIPT, load: part('editorWorkerService') },
  '/graphiql/json-worker.js': { type: JAVASCRIPT, load: part('jsonWorker') },
  '/graphiql/graphql-worker.js': { type: JAVASCRIPT, load: part('graphqlWorker') },
};

// The editor sets its own inline styles and carries its fonts and icons as data.
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "worker-src 'self'",
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data:",
  "font-src 'self' data:",
  "connect-src 'self'",
  "frame-ancestors 'none'",
  "base-uri 'none'",
  "form-action 'none'",
].join('; ');

export const explorerPaths = Object.keys(ASSETS);

interface Body {
  readonly plain: Buffer;
  readonly gzipped: Buffer;
}

const bodies = new Map<string, Promise<Body>>();

async function read({ load }: Asset): Promise<Body> {
  const plain = Buffer.from(await load());
  return { plain, gzipped: await promisify(gzip)(plain) };
}

export async function serveExplorer(path: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const asset = ASSETS[path] as Asset;
  let reading = bodies.get(path);
  if (!reading) bodies.set(path, (reading = read(asset)));
  const { plain, gzipped } = await reading;
  const body = acceptsGzip(request) ? gzipped : plain;
  if (body === gzipped) response.setHeader('Content-Encoding', 'gzip');
  response.setHeader('Content-Security-Policy', POLICY);
  response.writeHead(200, { 'Content-Type': asset.type, 'Content-Length': body.length, Vary: 'Accept-Encoding' });
  response.end(body);
}

const acceptsGzip = ({ headers }: IncomingMessage): boolean =>
  /\bgzip\b(?!\s*;\s*q=0(\.0*)?\s*(,|$))/i.test(headers['accept-encoding'] ?? '');
