/** Names as a search sees them: their words, the keywords they are found under, and whether a query fits them. */
import { doubleMetaphone } from 'double-metaphone';

export interface Name {
  readonly firstName: string;
  readonly lastName: string;
  /** ISO. */
  readonly dateOfBirth: string | null;
}

/** What a word of the query asks of a word of the name. */
export type Test = { readonly prefix: string } | { readonly sound: string };

// Letters that Unicode does not decompose into a base letter and a mark.
const PLAIN: Readonly<Record<string, string>> = {
  ß: 'ss',
  æ: 'ae',
  œ: 'oe',
  ø: 'o',
  đ: 'd',
  ð: 'd',
  ł: 'l',
  þ: 'th',
  ı: 'i',
  ς: 'σ',
};

/** Lower case without accents; apostrophes are dropped, whatever else is neither letter nor digit separates words. */
export function wordsOf(text: string): string[] {
  const plain = text
    .replaceAll(/['’‘ʼʻ`´′＇]/g, '')
    .normalize('NFKD')
    .toLowerCase()
    .replaceAll(/\p{M}/gu, '')
    .replaceAll(/[ßæœøđðłþıς]/g, (letter) => PLAIN[letter] ?? letter);
  return plain.match(/[\p{L}\p{N}]+/gu) ?? [];
}

/**
 * The ways to read a name as words: a first or last name of several words is also one word without gaps, so
 * that De La Cruz and Delacruz, Smith-Jones and Smithjones, find each other.
 */
export function readingsOf({ firstName, lastName }: Name): string[][] {
  const firsts = fieldReadings(firstName);
  const lasts = fieldReadings(lastName);
  return firsts.flatMap((first) => lasts.map((last) => first.concat(last)));
}

function fieldReadings(text: string): string[][] {
  const words = wordsOf(text);
  return words.length > 1 ? [words, [words.join('')]] : [words];
}

/** Lengths of the prefixes that have a list of their own. A query between two of them takes the shorter one's. */
const MIN_PREFIX = 2;
const PREFIX_LENGTHS = [MIN_PREFIX, 3, 4, 6];
const MIN_SOUND = 3;

const bornKeyword = (date: string) => `born ${date}`;
const prefixKeyword = (prefix: string) => `prefix ${prefix}`;
const soundKeyword = (sound: string) => `sound ${sound}`;
const pairKeyword = (kind: 'prefixes' | 'sounds', a: string, b: string) =>
  a < b ? `${kind} ${a} ${b}` : `${kind} ${b} ${a}`;

/** Everything a patient is found under. */
export function keywordsOf(name: Name): Set<string> {
  const keywords = new Set<string>();
  if (name.dateOfBirth !== null) keywords.add(bornKeyword(name.dateOfBirth));
  for (const words of readingsOf(name)) {
    for (const word of words) {
      for (const prefix of prefixesOf(word)) keywords.add(prefixKeyword(prefix));
      for (const sound of soundsOf(word)) keywords.add(soundKeyword(sound));
    }
    for (const [a, b] of pairsOf(words)) for (const keyword of pairKeywords(a, b)) keywords.add(keyword);
  }
  return keywords;
}

function pairKeywords(a: string, b: string): string[] {
  return [...pairedPrefixes(a, b), ...soundsOf(a).flatMap((x) => soundsOf(b).map((y) => pairKeyword('sounds', x, y)))];
}

/** The keywords under each of which every name that passes all `tests` is found: the shortest list will do. */
export function keywordsFor(tests: readonly Test[], dateOfBirth: string | null): string[] {
  const keywords = tests.flatMap((test) => {
    if ('sound' in test) return [soundKeyword(test.sound)];
    const prefix = prefixesOf(test.prefix).at(-1);
    return prefix === undefined ? [] : [prefixKeyword(prefix)];
  });
  for (const [a, b] of pairsOf(tests)) {
    if ('sound' in a && 'sound' in b) keywords.push(pairKeyword('sounds', a.sound, b.sound));
    if ('prefix' in a && 'prefix' in b) keywords.push(...pairedPrefixes(a.prefix, b.prefix));
  }
  if (dateOfBirth !== null) keywords.push(bornKeyword(dateOfBirth));
  return keywords;
}

/** Whether some reading of the name has a word of its own for each test. */
export function passes(readings: readonly (readonly string[])[], tests: readonly Test[]): boolean {
  return readings.some((words) => assign(words, tests));
}

/** Kuhn's matching: a test whose words are taken has their holders look for others, instead of trying every order. */
function assign(words: readonly string[], tests: readonly Test[]): boolean {
  const fitting = tests.map((test) => words.flatMap((word, i) => (fits(word, test) ? [i] : [])));
  const holders = new Map<number, number>();
  const settle = (test: number, asked: Set<number>): boolean =>
    (fitting[test] ?? []).some((word) => {
      if (asked.has(word)) return false;
      asked.add(word);
      const holder = holders.get(word);
      if (holder !== undefined && !settle(holder, asked)) return false;
      holders.set(word, test);
      return true;
    });
  return tests.every((_, test) => settle(test, new Set()));
}

const fits = (word: string, test: Test): boolean =>
  'sound' in test ? soundsOf(word).includes(test.sound) : word.startsWith(test.prefix);

/** How a word sounds, by Double Metaphone: its code, and a second one where it is read in two ways. */
export function soundsOf(word: string): string[] {
  if (word.length < MIN_SOUND) return [];
  const [first, second] = doubleMetaphone(word);
  return [...new Set([first, second])].filter((code) => code !== '');
}

/** A Han character alone is often a whole family name, and there are thousands of them. */
const HAN = /^\p{Script=Han}/u;

/** Whether this is enough of a name to look for. */
export function isBeginning(words: readonly string[]): boolean {
  return words.join('').length >= MIN_PREFIX || words.some((word) => HAN.test(word));
}

function prefixesOf(word: string): string[] {
  const letters = Array.from(word);
  const lengths = HAN.test(word) ? [1, ...PREFIX_LENGTHS] : PREFIX_LENGTHS;
  return lengths.filter((length) => length <= letters.length).map((length) => letters.slice(0, length).join(''));
}

/** Lengths at which the beginnings of two words have a list together: short for "jo sm", long for "john smith". */
const PAIR_LENGTHS = [MIN_PREFIX, 4];

function pairedPrefixes(a: string, b: string): string[] {
  const [x, y] = [Array.from(a), Array.from(b)];
  return PAIR_LENGTHS.filter((length) => length <= x.length && length <= y.length).map((length) =>
    pairKeyword('prefixes', x.slice(0, length).join(''), y.slice(0, length).join('')),
  );
}

function pairsOf<T>(items: readonly T[]): [T, T][] {
  return items.flatMap((a, i) => items.slice(i + 1).map((b): [T, T] => [a, b]));
}
