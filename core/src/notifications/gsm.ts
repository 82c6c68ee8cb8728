/**
 * How many characters a text message takes (3GPP TS 23.038): 160 fit while all of them are of the GSM 7-bit alphabet,
 * those of its extension table counting twice; one character outside it, and only 70 do.
 */

const BASIC = new Set(
  '@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !"#¤%&\'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà',
);
const EXTENSION = new Set('\f^{}\\[~]|€');

export type Encoding = 'GSM-7' | 'UCS-2';

export interface Measured {
  readonly encoding: Encoding;
  /** Septets of GSM-7, or UTF-16 code units. */
  readonly units: number;
}

export const SMS_LIMIT: Readonly<Record<Encoding, number>> = { 'GSM-7': 160, 'UCS-2': 70 };

export function measureSms(text: string): Measured {
  let units = 0;
  for (const character of text) {
    if (BASIC.has(character)) units += 1;
    else if (EXTENSION.has(character)) units += 2;
    else return { encoding: 'UCS-2', units: text.length };
  }
  return { encoding: 'GSM-7', units };
}

const isGsm = (text: string): boolean => measureSms(text).encoding === 'GSM-7';

/** What typesetters and formatters put where a keyboard has something plainer. */
const PLAIN: ReadonlyMap<string, string> = new Map(
  Object.entries({
    '‘': "'",
    '’': "'",
    '“': '"',
    '”': '"',
    '–': '-',
    '—': '-',
    '−': '-',
    '…': '...',
    '\u00A0': ' ',
    '\u202F': ' ',
  }),
);

/** The text with letters that the alphabet lacks in their plain form, where they have one: `Clínica` is `Clinica`. */
export function foldToGsm(text: string): string {
  return Array.from(text.normalize('NFC'), (character) => {
    if (isGsm(character)) return character;
    const plain = PLAIN.get(character) ?? character.normalize('NFD').replaceAll(/\p{M}/gu, '');
    return isGsm(plain) ? plain : character;
  }).join('');
}
