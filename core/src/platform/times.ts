/**
 * Times as rows give them, each made once and shared: they never change. An object of Temporal costs as much as the rest
 * of its row, since the garbage collector has something native to free with it; and what is read again and again are the
 * same visits, and the same half hours of them.
 */

/** About 3 MB. */
const REMEMBERED = 20_000;

/** Makes each value once; all are forgotten when there are too many, so nobody keeps account of their use. */
export function remembering<K, T>(make: (key: K) => T, most = REMEMBERED): (key: K) => T {
  const known = new Map<K, T>();
  return (key) => {
    let value = known.get(key);
    if (value === undefined) {
      if (known.size >= most) known.clear();
      known.set(key, (value = make(key)));
    }
    return value;
  };
}

/** Of milliseconds since 1970. */
export const instantAt = remembering((ms: number) => Temporal.Instant.fromEpochMilliseconds(ms));

export const instantOf = (column: Date): Temporal.Instant => instantAt(column.getTime());

/** Of `1980-03-08`. */
export const dateOf = remembering((text: string) => Temporal.PlainDate.from(text));
