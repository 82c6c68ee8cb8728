/** From what was thrown to one sentence for the person at the terminal, and an exit code for a script. */
import path from 'node:path';
import { HeadsApart } from '@careflex/core/audit';
import { DatabaseUnusable } from '@careflex/core/installation';
import { ConfigError, DATA_DIRECTORY, environment } from '@careflex/core/platform/config';
import { DirectoryInUse } from '@careflex/core/platform/directory-lock';
import { EmbeddedPostgresError } from '@careflex/core/platform/embedded-postgres';
import { DomainError, InvalidInput } from '@careflex/core/platform/errors';
import { MigrationError } from '@careflex/core/platform/migrate';
import { KeyMissing, VaultError } from '@careflex/core/platform/vault';
import { Interrupted } from './stop.ts';

/** What every command ends with. A server that is asked to end and does so is a success. */
export const EXIT = { ok: 0, failed: 1, misuse: 2, interrupted: 130, terminated: 143 } as const;

/** One sentence; the command did not do what it was asked to. */
export class Failure extends Error {}

/** One sentence; the command line or the configuration is wrong. */
export class Misuse extends Error {}

const MISUSES = [Misuse, ConfigError, InvalidInput, HeadsApart, KeyMissing];

export function exitCodeOf(thrown: unknown): number {
  if (MISUSES.some((misuse) => thrown instanceof misuse)) return EXIT.misuse;
  if (thrown instanceof Interrupted) return thrown.signal === 'SIGINT' ? EXIT.interrupted : EXIT.terminated;
  return EXIT.failed;
}

const OURS = [
  Failure,
  Misuse,
  ConfigError,
  DatabaseUnusable,
  DirectoryInUse,
  EmbeddedPostgresError,
  HeadsApart,
  MigrationError,
  Interrupted,
];

export function sentenceOf(thrown: unknown): string {
  if (OURS.some((known) => thrown instanceof known)) return (thrown as Error).message;
  if (thrown instanceof KeyMissing)
    return `${thrown.message}, under which data is still sealed; add it to CAREFLEX_KEYS.`;
  if (thrown instanceof VaultError) return `${thrown.message}; are CAREFLEX_KEYS those of this database?`;
  if (thrown instanceof DomainError) return `${thrown.message}.`;
  if (thrown instanceof Error && 'syscall' in thrown) return systemSentence(thrown as NodeJS.ErrnoException);
  // Whatever else it says may be data.
  const name = thrown instanceof Error ? thrown.constructor.name : typeof thrown;
  return `Something unexpected happened (${name}); set LOG_LEVEL=debug to see where.`;
}

function systemSentence(thrown: NodeJS.ErrnoException & { port?: number | undefined }): string {
  if (thrown.code === 'EADDRINUSE') return `Port ${thrown.port} is taken; stop what uses it, or set PORT.`;
  if (thrown.code === 'EACCES' && thrown.port !== undefined) {
    return `Port ${thrown.port} may not be used by this user; set PORT to one above 1023.`;
  }
  if (['EACCES', 'EPERM'].includes(thrown.code ?? '') && thrown.path !== undefined) {
    return `This user may not use ${thrown.path}${isData(thrown.path) ? '; start as the owner of the data directory, or set CAREFLEX_DATA_DIR' : ''}.`;
  }
  return `The operating system refuses: ${thrown.message}.`;
}

function isData(file: string): boolean {
  const directory = path.resolve(environment['CAREFLEX_DATA_DIR'] || DATA_DIRECTORY);
  return `${path.resolve(file)}${path.sep}`.startsWith(`${directory}${path.sep}`);
}
