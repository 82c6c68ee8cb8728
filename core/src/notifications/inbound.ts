/**
 * What patients send: understood, and done once, in one transaction with whatever follows from it.
 *
 * A message has the provider's id, and is done once for it. What comes from one number is done one by one. The wish to
 * be left alone belongs to the number, an answer to the message that asked; a person reads everything else.
 */
import { randomUUIDv7 } from 'node:crypto';
import { sql } from 'kysely';
import { z } from 'zod';
import * as audit from '#audit';
import * as care from '#care';
import { LOCKS } from '#platform/advisory-locks';
import { emit } from '#platform/events';
import { isUuid, parse } from '#platform/input';
import { type Scope, transact } from '#platform/scope';
import { answerPrompt, isDigit } from './answers.ts';
import { answerText } from './answer-text.ts';
import { contactIndex } from './contact.ts';
import { understand, understandKey, type Understood } from './intent.ts';
import { holderOptsIn, holderOptsOut } from './opt-out.ts';
import { newestOf } from './opt-out-record.ts';
import { type Prompt, promptOf } from './prompt.ts';
import { bodyOf, sealWords } from './sealed-words.ts';
import { openTask, type TaskReason } from './task.ts';
import { type AnswerKind, type Language, languageFor } from './template.ts';

declare module '#platform/events' {
  interface Events {
    'message.received': { inboundMessageId: string };
  }
}

const MOST_CHARACTERS = 4_000;

const Inbound = z.object({
  /** The provider's id of the message, or of the call. */
  providerMessageId: z.string().min(1).max(64),
  channel: z.enum(['SMS', 'VOICE']),
  /** The patient's number. */
  from: z.string().max(64),
  /** The text, or the key that was pressed. */
  body: z.string().transform((text) => text.slice(0, MOST_CHARACTERS)),
  /** Which notification asked, where the call itself knows. */
  notificationId: z
    .string()
    .nullish()
    .transform((id) => (id && isUuid(id) ? id : null)),
  /** The provider has answered an opt-out word by itself. */
  isAnswered: z.boolean().default(false),
});
export type Inbound = z.input<typeof Inbound>;
type Message = z.output<typeof Inbound>;

/** What the patient is told at once. */
export interface Reply {
  /** Null for silence: a repeat, or a number that wants none. */
  readonly text: string | null;
  readonly language: Language;
  readonly isRepeat: boolean;
}

const REPEAT: Reply = { text: null, language: 'en', isRepeat: true };

/** Does what the message asks for. For the system. Throws InvalidInput, Forbidden. */
export async function receive(scope: Scope, input: Inbound): Promise<Reply> {
  const message = parse(Inbound, input);
  const action = 'message.receive';
  await audit.permit(scope, scope.actor.role === 'system', { action, resourceType: 'InboundMessage' });
  return transact(scope, async (scope) => {
    const number = contactIndex(scope.vault, e164(scope, message.from) ?? message.from);
    await oneByOne(scope, number);
    const understood = message.channel === 'VOICE' ? understandKey(message.body) : understand(message.body);
    const id = await keep(scope, message, { number, understood });
    if (id === null) return REPEAT;

    const sender = await senderOf(scope, message, number);
    if (sender.prompt) await noteWhatItAnswers(scope, id, sender.prompt);
    await audit.record(scope, {
      action,
      resourceType: 'InboundMessage',
      resourceId: id,
      patientIds: sender.patientIds,
    });
    await emit(scope, 'message.received', { inboundMessageId: id });
    const answer = await act(scope, { id, message, number, understood, sender });
    const language = understood.language ?? sender.language;
    if (answer === null || message.isAnswered) return { text: null, language, isRepeat: false };
    const text = await answerText(scope, { kind: answer, channel: message.channel, language });
    return { text, language, isRepeat: false };
  });
}

/** Of two messages from a number at once the second sees what the first has done. */
async function oneByOne({ db }: Scope, number: Buffer): Promise<void> {
  const key = number.toString('base64url');
  await sql`select pg_advisory_xact_lock(hashtextextended(${key}, ${LOCKS.inboundNumber}))`.execute(db);
}

/** Null for a sender that is no phone: a short code, a name. */
function e164({ clinic }: Scope, from: string): string | null {
  return care.normalisePhone(from, clinic.region);
}

interface Heard {
  readonly number: Buffer;
  readonly understood: Understood;
}

/** Null when the message has come before. */
async function keep(scope: Scope, message: Message, { number, understood }: Heard): Promise<string | null> {
  const id = randomUUIDv7();
  const kept = await scope.db
    .insertInto('inbound_messages')
    .values({
      id,
      provider_message_id: message.providerMessageId,
      channel: message.channel,
      contact_index: number,
      intent: understood.intent,
      body: sealWords(scope.vault, bodyOf(id), message.body),
      received_at: scope.now.toString(),
    })
    .onConflict((conflict) => conflict.column('provider_message_id').doNothing())
    .executeTakeFirst();
  return kept.numInsertedOrUpdatedRows === 1n ? id : null;
}

async function noteWhatItAnswers({ db }: Scope, id: string, prompt: Prompt): Promise<void> {
  await db.updateTable('inbound_messages').set({ notification_id: prompt.id }).where('id', '=', id).execute();
}

/** Who may have written. */
interface Sender {
  readonly prompt: Prompt | null;
  readonly patientIds: readonly string[];
  readonly language: Language;
}

async function senderOf(scope: Scope, { from, notificationId }: Message, number: Buffer): Promise<Sender> {
  const prompt = await promptOf(scope, number, notificationId);
  if (prompt !== null) {
    const patientIds = [...new Set(prompt.visits.map(({ patientId }) => patientId))];
    return { prompt, patientIds, language: languageFor(prompt.language) };
  }
  const phone = e164(scope, from);
  const patients = phone === null ? [] : await care.patientsByPhone(scope, phone);
  return { prompt, patientIds: patients.map(({ id }) => id), language: languageFor(patients[0]?.language ?? '') };
}

interface Act extends Heard {
  readonly id: string;
  readonly message: Message;
  readonly sender: Sender;
}

async function act(scope: Scope, act: Act): Promise<AnswerKind | null> {
  const { id, message, number, understood, sender } = act;
  const { intent } = understood;
  if (intent === 'OPT_OUT') return optOut(scope, act);
  if (intent === 'HELP') return 'HELP';
  if (intent === 'OPT_IN') {
    await holderOptsIn(scope, { contact: number, source: 'INBOUND_MESSAGE', inboundMessageId: id });
    return 'OPTED_IN';
  }
  const answer =
    isDigit(intent) && sender.prompt
      ? await answerPrompt(scope, intent, { prompt: sender.prompt, inboundMessageId: id })
      : await leaveToPeople(scope, act);
  // A call is answered while it lasts, whatever the number wants otherwise.
  return message.channel === 'SMS' && (await isOptedOut(scope, number)) ? null : answer;
}

/** Who has opted out already gets no second confirmation; but a call is answered while it lasts. */
async function optOut(scope: Scope, act: Act): Promise<AnswerKind | null> {
  const isCall = act.message.channel === 'VOICE';
  const { changed } = await holderOptsOut(scope, {
    contact: act.number,
    source: isCall ? 'CALL' : 'INBOUND_MESSAGE',
    inboundMessageId: act.id,
  });
  if (act.understood.hasRest) await openReply(scope, act, 'WORDS_WITH_OPT_OUT');
  return changed || isCall ? 'OPTED_OUT' : null;
}

async function isOptedOut(scope: Scope, number: Buffer): Promise<boolean> {
  const [newest] = await newestOf(scope, [number]);
  return newest?.opted_out ?? false;
}

async function leaveToPeople(scope: Scope, act: Act): Promise<AnswerKind | null> {
  const { message, understood, sender } = act;
  if (message.channel === 'VOICE' && !isDigit(understood.intent)) return 'NOT_UNDERSTOOD';
  const asked = isDigit(understood.intent) ? 'NOTHING_ASKED' : 'NOT_UNDERSTOOD';
  await openReply(scope, act, sender.patientIds.length === 0 ? 'UNKNOWN_NUMBER' : asked);
  return (await wasToldLately(scope, act)) ? null : 'NOT_UNDERSTOOD';
}

/** Several people share a number: without a prompt of one of them it is open who wrote. */
async function openReply(scope: Scope, { id, sender }: Act, reason: TaskReason): Promise<void> {
  const [patientId, ...others] = sender.patientIds;
  const [visit, ...more] = sender.prompt?.visits ?? [];
  await openTask(scope, {
    kind: 'REPLY',
    reason,
    patientId: others.length === 0 ? patientId : null,
    appointmentId: visit && more.length === 0 ? visit.appointmentId : null,
    notificationId: sender.prompt?.id,
    inboundMessageId: id,
  });
}

/** Two machines that answer each other would never end. */
const TELL_ONCE_IN = { hours: 24 } as const;

async function wasToldLately({ db, now }: Scope, { id, number }: Act): Promise<boolean> {
  const earlier = await db
    .selectFrom('inbound_messages')
    .select('id')
    .where('contact_index', '=', number)
    .where('received_at', '>', sql<Date>`${now.subtract(TELL_ONCE_IN).toString()}::timestamptz`)
    .where('intent', '=', 'OTHER')
    .where('id', '<>', id)
    .limit(1)
    .executeTakeFirst();
  return earlier !== undefined;
}
