/**
 * Patients made from a seed: names as uneven as real ones, since a common name is what makes a search slow.
 *
 * Six of ten words are common ones, the first of a list far oftener than the last; the others are made of
 * syllables, so that there are as many rare names as in a population. Half of the patients have a second first
 * name, one in twenty a double last name, and two of a hundred share a phone with somebody.
 */
import type { ImportedPatient } from '@careflex/core/care';

/** The same numbers for the same seed: mulberry32. */
export function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t = (t + Math.imul(t ^ (t >>> 7), t | 61)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

export function* syntheticPatients(count: number, seed = 1): Generator<ImportedPatient> {
  const random = randomFrom(seed);
  for (let i = 0; i < count; i++) {
    const second = random() < 0.5 ? ` ${word(random, FIRST)}` : '';
    const double = random() < 0.05 ? `-${word(random, LAST)}` : '';
    yield {
      externalId: `synthetic-${seed}-${i}`,
      firstName: word(random, FIRST) + second,
      lastName: word(random, LAST) + double,
      email: random() < 0.7 ? `patient-${seed}-${i}@example.test` : null,
      phone: phoneOf(random() < 0.02 ? Math.floor(random() * (i + 1)) : i),
      dateOfBirth: birthDate(random),
      language: random() < 0.2 ? 'es' : 'en',
    };
  }
}

/** Area code 555 belongs to nobody; seven digits follow it. */
export function phoneOf(i: number): string {
  return `+1555${String(2_000_000 + (i % 7_900_000)).padStart(7, '0')}`;
}

const COMMON_SHARE = 0.6;

function word(random: () => number, common: readonly string[]): string {
  if (random() < COMMON_SHARE) return common[Math.floor(common.length * random() ** 2.2)] as string;
  const syllables = 2 + Math.floor(random() * 2);
  const text = Array.from({ length: syllables }, () => pick(random, ONSETS) + pick(random, VOWELS)).join('');
  const name = text + pick(random, ENDS);
  return name.charAt(0).toUpperCase() + name.slice(1);
}

const pick = <T>(random: () => number, items: readonly T[]): T => items[Math.floor(random() * items.length)] as T;

function birthDate(random: () => number): string {
  const days = Math.floor(random() * 95 * 365.25);
  return Temporal.PlainDate.from('1930-01-01').add({ days }).toString();
}

const ONSETS = 'b br c ch cl d dr f g gr h j k kr l m n p pr r s sh st t th tr v w z'.split(' ');
const VOWELS = 'a e i o u a e i o ai ee ou'.split(' ');
const ENDS = 'n r s l t m ck nd rt ss ll ner son man ley ton berg sky'.split(' ');

// The most common of the United States, most common first.
const FIRST =
  `James Mary Michael Patricia Robert Jennifer John Linda David Elizabeth William Barbara Richard Susan Joseph
  Jessica Thomas Karen Christopher Sarah Charles Lisa Daniel Nancy Matthew Sandra Anthony Ashley Mark Emily Steven
  Kimberly Donald Betty Andrew Margaret Joshua Donna Paul Michelle Kenneth Carol Kevin Amanda Brian Melissa Timothy
  Deborah Ronald Stephanie Jason Rebecca George Sharon Edward Laura Jeffrey Cynthia Ryan Amy Jacob Kathleen Nicholas
  Angela Gary Dorothy Eric Shirley Jonathan Emma Stephen Brenda Larry Nicole Justin Pamela Scott Samantha Brandon Anna
  Benjamin Katherine Samuel Christine Gregory Debra Alexander Rachel Patrick Carolyn Frank Olivia Raymond Maria Jack
  Heather Dennis Helen Jerry Catherine Tyler Diane José Julie Zoë René María Jesús Joan`.split(/\s+/);
const LAST = `Smith Johnson Williams Brown Jones García Miller Davis Rodríguez Martínez Hernández López González Wilson
  Anderson Thomas Taylor Moore Jackson Martin Lee Pérez Thompson White Harris Sánchez Clark Ramírez Lewis Robinson
  Walker Young Allen King Wright Scott Torres Nguyen Hill Flores Green Adams Nelson Baker Hall Rivera Campbell
  Mitchell Carter Roberts Gómez Phillips Evans Turner Díaz Parker Cruz Edwards Collins Reyes Stewart Morris Morales
  Murphy Cook Rogers Gutiérrez Ortiz Morgan Cooper Peterson Bailey Reed Kelly Howard Ramos Kim Cox Ward Richardson
  Watson Brooks Chávez Wood James Bennett Gray Mendoza Ruiz Hughes Price Álvarez Castillo Sanders Patel Myers Long
  Ross Foster Jiménez O'Brien O'Connor McDonald`.split(/\s+/);
