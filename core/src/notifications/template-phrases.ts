/** Phrases that no message may have: they would be misread by whoever gets them, or by us when they answer. */

/**
 * Words that end all messages once somebody sends them, in both languages. A text that asks for one as an answer to
 * something else would have patients opt out who only meant a visit.
 */
const STOPS = ['stop', 'alto', 'parar'];
const ENDS_TOO = ['stopall', 'quit', 'end', 'revoke', 'opt ?-?out', 'cancel', 'cancell?ed', 'unsubscribe', 'cancelar'];

const ASKS =
  'reply|replying|text|texting|send|sending|answer|answering|respond|responding|write|type|say|press|responda|responde|respondiendo|conteste|contesta|contestando|envie|envia|enviando|mande|manda|mandando|escriba|escribe|escribiendo|diga|di|oprima|presione|pulse|marque';
/** Between the verb and the word that is asked for. */
const FILLER = 'back|with|by|us|the|a|word|message|to this|con|la|el|palabra|nos';
/** What makes a word the thing to send, rather than what happens then. */
const BEFORE = `(?:\\b(?:${ASKS}|or|and|either|o|u|y)(?:\\s+(?:${FILLER}))*|[,/:])\\s*["'*«(]*`;

const asked = (words: readonly string[]): RegExp => new RegExp(`${BEFORE}(?:${words.join('|')})\\b`, 'u');
const ASKED_STOP = asked(STOPS);
const ASKED_OTHER = asked(ENDS_TOO);
const ASKING = new RegExp(`\\b(?:${ASKS})\\b`, 'u');
/** Written as what one sends, wherever it stands. */
const SHOUTED =
  /\b(?:STOPALL|QUIT|END|REVOKE|OPT-?OUT|CANCEL|UNSUBSCRIBE|CANCELAR)\b|["“«'‘](?:quit|end|revoke|cancel|unsubscribe|cancelar)["”»'’]/iu;

/** What a sentence must say that asks for STOP. */
const OPTS_OUT =
  /opt[ -]?out|unsubscribe|(?:stop|end|no more|get no|no longer)[^.]*(?:messages?|texts?|calls?|e-?mails?|reminders?)|(?:no|dejar de) recibir|darse de baja|no (?:mas|desea)/u;

/** Whether a sentence asks for an opt-out word, other than for STOP to opt out. */
export function asksToOptOutUnawares(text: string): boolean {
  return sentencesOf(text).some((sentence) => {
    const plain = plainOf(sentence);
    if (!ASKING.test(plain)) return false;
    if (ASKED_OTHER.test(plain) || isShouted(sentence)) return true;
    return ASKED_STOP.test(plain) && !OPTS_OUT.test(plain);
  });
}

function isShouted(sentence: string): boolean {
  const [word] = SHOUTED.exec(sentence) ?? [];
  return word !== undefined && (word === word.toUpperCase() || /^["“«'‘]/u.test(word));
}

/** Whether it tells how to get no more messages: which the first one must. */
export function tellsHowToOptOut(text: string): boolean {
  return sentencesOf(text).some((sentence) => {
    const plain = plainOf(sentence);
    return ASKED_STOP.test(plain) && OPTS_OUT.test(plain);
  });
}

/** A day that is only right on the day before: messages are read late. */
const RELATIVE_DAY =
  /\b(?:tomorrow|today|tonight|yesterday|(?:next|this) (?:week|month|monday|tuesday|wednesday|thursday|friday|saturday|sunday)|hoy|anteayer|ayer|esta (?:tarde|noche|manana)|(?:proxima|esta) semana)\b|(?<!\b(?:la|las|de|por)\s)\bmanana\b/u;

export function namesRelativeDay(text: string): boolean {
  return RELATIVE_DAY.test(plainOf(text));
}

const sentencesOf = (text: string): string[] => text.split(/[.!?;\n]+/u);

/** Without accents and case, and with one space between words. */
function plainOf(text: string): string {
  return text
    .normalize('NFKD')
    .replaceAll(/\p{M}/gu, '')
    .replaceAll(/[“”„]/gu, '"')
    .replaceAll(/[‘’]/gu, "'")
    .replaceAll(/\s+/gu, ' ')
    .toLowerCase();
}
