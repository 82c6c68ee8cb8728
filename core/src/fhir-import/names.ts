/** People's names: which of several, and as they are written. */
import { bestFirst, type Entry, isCurrent, rankIn } from './mapping.ts';
import type { HumanName } from './resource.ts';

const USES = ['official', 'usual', 'other', 'nickname', 'anonymous', 'temp', 'maiden', 'old'];

export interface PersonName {
  readonly given: string;
  readonly family: string;
  /** `Dr. Randy Bergstrom`. */
  readonly full: string;
  readonly index: number;
}

/** The name that counts: the official one before others, one in use before a former one. Null when none is whole. */
export function personName(names: readonly HumanName[], today: string): PersonName | null {
  const ranked = bestFirst(names, (name) => [isCurrent(name, today) ? 0 : 1, rankIn(USES, name.use)]);
  for (const entry of ranked) {
    const name = written(entry);
    if (name.given !== '' && name.family !== '') return name;
  }
  return null;
}

function written({ value: { family, given, prefix, suffix }, index }: Entry<HumanName>): PersonName {
  const names = { family: join([family]), given: join(given) };
  return { ...names, full: join([...(prefix ?? []), names.given, names.family, ...(suffix ?? [])]), index };
}

function join(parts: readonly (string | null | undefined)[] | null | undefined): string {
  return (parts ?? [])
    .map((part) => withoutSyntheaDigits((part ?? '').trim()))
    .filter((part) => part !== '')
    .join(' ');
}

/**
 * Synthea, which invents patients, marks every name with the last three digits of Java's hash of it: Donya787. Only
 * exactly that number is taken away, so that no other name with a digit loses it.
 */
export function withoutSyntheaDigits(name: string): string {
  const [, plain = '', digits] = /^(.*\D)(\d{1,3})$/su.exec(name) ?? [];
  return digits !== undefined && digits === String(Math.abs(javaHash(plain) % 1000)) ? plain : name;
}

function javaHash(text: string): number {
  let hash = 0;
  for (let i = 0; i < text.length; i++) hash = (Math.imul(hash, 31) + text.charCodeAt(i)) | 0;
  return hash;
}
