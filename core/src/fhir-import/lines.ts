/** Lines out of a stream of bytes, in bounded memory: a line that is too long is counted and passed over. */

export const MAX_LINE_BYTES = 1024 * 1024;

/** A line's text, or what is wrong with its bytes. Numbers begin at 1; empty lines are counted, not returned. */
export type Line =
  | { readonly number: number; readonly text: string }
  | { readonly number: number; readonly damage: string };

export async function* linesOf(chunks: AsyncIterable<Buffer>): AsyncGenerator<Line> {
  const pending = new PendingLine();
  for await (const chunk of chunks) {
    let start = 0;
    for (;;) {
      const end = chunk.indexOf(NEWLINE, start);
      if (end === -1) break;
      pending.append(chunk.subarray(start, end));
      const line = pending.take();
      if (line) yield line;
      start = end + 1;
    }
    pending.append(chunk.subarray(start));
  }
  const last = pending.take();
  if (last) yield last;
}

const NEWLINE = 10;
// A byte order mark, which every file may begin with, is dropped.
const utf8 = new TextDecoder('utf-8', { fatal: true });

class PendingLine {
  #number = 1;
  #parts: Buffer[] = [];
  #bytes = 0;

  append(part: Buffer): void {
    this.#bytes += part.length;
    if (this.#bytes > MAX_LINE_BYTES) this.#parts = [];
    else this.#parts.push(part);
  }

  take(): Line | null {
    const number = this.#number++;
    const bytes = this.#bytes;
    const content = this.#parts.length === 1 ? this.#parts[0] : Buffer.concat(this.#parts);
    this.#parts = [];
    this.#bytes = 0;
    if (bytes > MAX_LINE_BYTES) return { number, damage: `expected at most ${MAX_LINE_BYTES} bytes` };
    try {
      const text = utf8.decode(content).trim();
      return text === '' ? null : { number, text };
    } catch {
      return { number, damage: 'expected UTF-8' };
    }
  }
}
