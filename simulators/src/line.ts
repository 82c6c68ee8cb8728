/** The phone line of one call: the keys that the patient presses, and whether somebody has hung up. */
import { pause } from './pause.ts';

export interface KeyWait {
  readonly count: number;
  /** The key that ends the input before; empty for none. */
  readonly finishOn: string;
  readonly waitMs: number;
}

export class Line {
  /** Aborted when the call is over, from whichever side. */
  readonly signal: AbortSignal;
  readonly #hungUp = new AbortController();
  #keys = '';
  #pressed = Promise.withResolvers<void>();

  /** Ends with `era` at the latest. */
  constructor(era: AbortSignal) {
    this.signal = AbortSignal.any([era, this.#hungUp.signal]);
  }

  press(keys: string): void {
    this.#keys += keys;
    this.#pressed.resolve();
    this.#pressed = Promise.withResolvers();
  }

  hangUp(): void {
    this.#hungUp.abort();
  }

  /** What was pressed, which is nothing when nobody presses anything in time. The wait begins anew with each key. */
  async collect({ count, finishOn, waitMs }: KeyWait): Promise<string> {
    for (;;) {
      const end = finishOn === '' ? -1 : this.#keys.indexOf(finishOn);
      if (end >= 0 && end <= count) return this.#take(end, 1);
      if (this.#keys.length >= count) return this.#take(count, 0);
      if (!(await this.#anotherKey(waitMs))) return this.#take(this.#keys.length, 0);
    }
  }

  #take(count: number, skip: number): string {
    const keys = this.#keys.slice(0, count);
    this.#keys = this.#keys.slice(count + skip);
    return keys;
  }

  async #anotherKey(waitMs: number): Promise<boolean> {
    const before = this.#keys.length;
    const pressed = new AbortController();
    const over = AbortSignal.any([this.signal, pressed.signal]);
    await Promise.race([this.#pressed.promise.then(() => pressed.abort()), pause(waitMs, over)]);
    return this.#keys.length > before;
  }
}
