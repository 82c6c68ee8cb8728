/** How a test or an integrator steers the directory and looks at what it was asked, over HTTP. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { z } from 'zod';
import { listOf, parse, type Routes, steer } from '../steering.ts';
import { Script } from './behaviour.ts';
import { type Directory, forgetDirectory } from './directory.ts';
import { Practitioner } from './practitioners.ts';

const Settings = z.strictObject({
  outage: z.boolean().optional(),
  delayMs: z.number().int().min(0).max(3_600_000).optional(),
  token: z.string().min(1).nullable().optional(),
  ratePerSecond: z.number().min(1).nullable().optional(),
});

/** Below `/simulator/directory/`. */
const ROUTES: Routes<Directory> = [
  ['GET', /^practitioners$/, ({ practitioners }) => practitioners.all()],
  ['POST', /^practitioners$/, tellPractitioners],
  ['GET', /^requests$/, ({ asked }) => asked.toReversed()],
  ['GET', /^scripts$/, ({ scripts }) => scripts.list()],
  ['POST', /^scripts$/, addScripts],
  ['DELETE', /^scripts$/, forgetScripts],
  ['GET', /^settings$/, settingsOf],
  ['POST', /^settings$/, changeSettings],
  ['POST', /^reset$/, reset],
];

export const DIRECTORY_CONTROL = '/simulator/directory/';

export class DirectoryControl {
  readonly #directory: Directory;

  constructor(directory: Directory) {
    this.#directory = directory;
  }

  answer(request: IncomingMessage, response: ServerResponse, url: URL): Promise<void> {
    return steer(ROUTES, this.#directory, { request, response, url, below: DIRECTORY_CONTROL });
  }
}

function tellPractitioners({ practitioners }: Directory, input: unknown): object {
  for (const practitioner of listOf(Practitioner, input)) practitioners.tell(practitioner);
  return { practitioners: practitioners.all().length };
}

function addScripts({ scripts }: Directory, input: unknown): object {
  for (const script of listOf(Script, input)) scripts.add(script);
  return { scripts: scripts.list().length };
}

function forgetScripts({ scripts }: Directory): object {
  scripts.clear();
  return {};
}

function settingsOf({ settings, rate }: Directory): object {
  return { ...settings, ratePerSecond: rate.perSecond };
}

function changeSettings(directory: Directory, input: unknown): object {
  const { ratePerSecond = directory.rate.perSecond, ...changed } = parse(Settings, input);
  directory.rate.perSecond = ratePerSecond;
  Object.assign(directory.settings, changed);
  return settingsOf(directory);
}

function reset(directory: Directory): object {
  forgetDirectory(directory);
  return {};
}
