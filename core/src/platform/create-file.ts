import { linkSync, rmSync, writeFileSync } from 'node:fs';

/** Creates a file with all of its content, or leaves one that is there. Of several callers at once one creates it. */
export function createFile(file: string, content: string, mode: number): boolean {
  const draft = `${file}.${process.pid}`;
  writeFileSync(draft, content, { mode });
  try {
    linkSync(draft, file);
    return true;
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code !== 'EEXIST') throw thrown;
    return false;
  } finally {
    rmSync(draft, { force: true });
  }
}
