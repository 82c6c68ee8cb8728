/** How far long work has come, on standard error: a line that renews itself on a terminal, a line now and then elsewhere. */

export interface Progress extends Disposable {
  update(text: string): void;
  /** Makes room for another line. */
  clear(): void;
}

const TERMINAL_MS = 100;
const LINES_MS = 5_000;

export function startProgress(label: string, stream = process.stderr): Progress {
  const everyMs = stream.isTTY ? TERMINAL_MS : LINES_MS;
  let last = performance.now() - (stream.isTTY ? everyMs : 0);
  let shown = false;
  const clear = () => {
    if (shown && stream.isTTY) stream.write('\r\u001B[2K');
    shown = false;
  };
  return {
    update(text) {
      const now = performance.now();
      if (now - last < everyMs) return;
      last = now;
      shown = true;
      stream.write(stream.isTTY ? `\r\u001B[2K${label}: ${text}` : `${label}: ${text}\n`);
    },
    clear,
    [Symbol.dispose]: clear,
  };
}

/** `1,200 of 5,000 (24 %)` */
export function share(done: number, total: number): string {
  const percent = total === 0 ? 100 : Math.floor((done / total) * 100);
  return `${done.toLocaleString('en')} of ${total.toLocaleString('en')} (${percent} %)`;
}
