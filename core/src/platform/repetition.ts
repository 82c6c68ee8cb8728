/** What fails again and again is told when it begins, and then once a minute with how often it came meanwhile. */

const AGAIN_AFTER_MS = 60_000;
/** Different failures of one kind of work. There are as many as places in the code, so it is hardly ever reached. */
const REMEMBERED = 100;

/** Told of every failure; calls `say` with the first one of a kind, and at most once a minute with how many came since. */
export function sayOnce(
  say: (error: unknown, count: number) => void,
  nowMs: () => number = () => performance.now(),
): (error: unknown) => void {
  const known = new Map<string, { saidAt: number; unsaid: number }>();
  return (error) => {
    const kind = kindOf(error);
    const now = nowMs();
    const before = known.get(kind);
    if (before !== undefined && now - before.saidAt < AGAIN_AFTER_MS) {
      before.unsaid += 1;
      return;
    }
    if (known.size >= REMEMBERED) known.clear();
    known.set(kind, { saidAt: now, unsaid: 0 });
    say(error, (before?.unsaid ?? 0) + 1);
  };
}

/** By what a log shows of it: two failures whose lines are the same are of one kind. */
function kindOf(error: unknown): string {
  if (!(error instanceof Error)) return typeof error;
  const { code } = error as { code?: unknown };
  const place = /^\s+at .*$/m.exec(error.stack ?? '')?.[0] ?? '';
  return `${error.constructor.name} ${String(code)} ${place}`;
}
