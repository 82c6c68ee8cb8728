/** What was scripted for those who come next: each script for one or for any, so many times, the earliest first. */

interface Scripted {
  readonly times: number | null;
}

/** For whom a script is and for which kind of thing; any unless given. */
export interface Aim {
  readonly to?: string | undefined;
  readonly kind?: string | undefined;
}

interface Entry<S> {
  readonly script: S;
  readonly aim: Aim;
  readonly order: number;
  left: number;
}

export class Scripts<S extends Scripted> {
  readonly #aimOf: (script: S) => Aim;
  /** By whom they are for; those for any under an empty name. */
  readonly #entries = new Map<string, Entry<S>[]>();
  #count = 0;

  constructor(aimOf: (script: S) => Aim) {
    this.#aimOf = aimOf;
  }

  add(script: S): void {
    const aim = this.#aimOf(script);
    const entry = { script, aim, order: ++this.#count, left: script.times ?? Number.POSITIVE_INFINITY };
    const to = aim.to ?? '';
    this.#entries.set(to, [...(this.#entries.get(to) ?? []), entry]);
  }

  /** What is still to come, in the order in which it was asked for. */
  list(): S[] {
    const entries = [...this.#entries.values()].flat().toSorted((a, b) => a.order - b.order);
    return entries.map(({ script, left }) => Object.assign({}, script, { times: Number.isFinite(left) ? left : null }));
  }

  clear(): void {
    this.#entries.clear();
  }

  /** The one for this; it counts down. */
  take(to: string, kind: string): S | undefined {
    const found = this.#find(to, kind);
    if (found !== undefined && --found.left === 0) this.#remove(found);
    return found?.script;
  }

  /** The earliest of those for this one and those for any. */
  #find(to: string, kind: string): Entry<S> | undefined {
    if (this.#entries.size === 0) return undefined;
    const [one, any] = [to, ''].map((key) => this.#entries.get(key)?.find(({ aim }) => (aim.kind ?? kind) === kind));
    if (one === undefined || any === undefined) return one ?? any;
    return one.order < any.order ? one : any;
  }

  #remove(entry: Entry<S>): void {
    const to = entry.aim.to ?? '';
    const rest = (this.#entries.get(to) ?? []).filter((one) => one !== entry);
    if (rest.length === 0) this.#entries.delete(to);
    else this.#entries.set(to, rest);
  }
}
