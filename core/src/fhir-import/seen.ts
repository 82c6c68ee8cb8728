/**
 * Which ids an import has met. An export may hold millions, so only 64 bits of each id's hash are kept, in a table
 * of 16 to 32 bytes an id; among ten million ids two would be taken for the same with a chance of 1 to 370,000.
 */
import { hash } from 'node:crypto';

const FIRST_SLOTS = 1024;

export class SeenIds {
  // A slot is two halves of a hash; both 0 means free.
  #slots = new Uint32Array(2 * FIRST_SLOTS);
  #count = 0;

  /** True the first time. */
  add(id: string): boolean {
    const digest = hash('sha256', id, 'buffer');
    if (!this.#put(digest.readUInt32LE(0), digest.readUInt32LE(4) || 1)) return false;
    this.#count++;
    if (this.#count * 4 > this.#slots.length) this.#grow();
    return true;
  }

  #put(low: number, high: number): boolean {
    const mask = this.#slots.length - 1;
    let at = (low * 2) & mask;
    while (this.#slots[at + 1] !== 0) {
      if (this.#slots[at] === low && this.#slots[at + 1] === high) return false;
      at = (at + 2) & mask;
    }
    this.#slots[at] = low;
    this.#slots[at + 1] = high;
    return true;
  }

  #grow(): void {
    const old = this.#slots;
    this.#slots = new Uint32Array(2 * old.length);
    for (let at = 0; at < old.length; at += 2) {
      const [low = 0, high = 0] = [old[at], old[at + 1]];
      if (high !== 0) this.#put(low, high);
    }
  }
}
