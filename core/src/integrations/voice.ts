/** Calls that say a text and take a key as the answer, by Twilio's own client. */
import type { Config } from '#platform/config';
import { type Guarded, Unavailable } from './guard.ts';
import { instantOf, isSince, refuse, type TwilioConfig, twilioClient } from './twilio.ts';

export type SpokenLanguage = 'en-US' | 'es-US';

export interface Call {
  /** E.164. */
  readonly to: string;
  /** A machine may answer: nothing that only the patient may hear. */
  readonly say: string;
  readonly language: SpokenLanguage;
  readonly gather?: Gather;
  /** Where the other side reports how the call goes. */
  readonly statusCallback?: string;
  /** How long it rings before nobody is there, in seconds. */
  readonly ringSeconds?: number;
}

/** After the text, which is said twice, keys are waited for and posted to `action`. */
export interface Gather {
  readonly action: string;
  /** How many; one unless given. */
  readonly digits?: number;
}

export interface SoughtCall {
  readonly to: string;
  /** By the other side's clock: leave room for a clock of ours that is wrong. */
  readonly since: Temporal.Instant;
}

/** What was said is not kept there: the number and the times are all that tells calls apart. */
export interface FoundCall {
  readonly id: string;
  /** `queued`, `ringing`, `in-progress`, `completed`, `busy`, `no-answer`, `failed` or `canceled`. */
  readonly status: string;
  readonly createdAt: Temporal.Instant;
  /** Null while it waits. */
  readonly startedAt: Temporal.Instant | null;
}

export interface Voice {
  /** Returns the other side's id of the call. Throws `Refused`, `Unavailable` or `Unknown`. */
  call(call: Call): Promise<string>;
  /** The calls that the other side has, the newest first. Throws `Refused` or `Unavailable`. */
  find(sought: SoughtCall): Promise<readonly FoundCall[]>;
}

type VoiceConfig = TwilioConfig & Pick<Config, 'VOICE_FROM' | 'SMS_FROM'>;

const RING_SECONDS = 30;
const WAIT_FOR_KEY_SECONDS = 10;
const LOOK_THROUGH = 200;
const EVENTS = ['initiated', 'ringing', 'answered', 'completed'];

/** Connects with the first call. */
export function openVoice(config: VoiceConfig, guarded: Guarded): Voice {
  const open = twilioClient(config);
  return {
    async call({ to, statusCallback, ringSeconds = RING_SECONDS, ...spoken }) {
      const from = callerOf(config);
      const { calls } = await open();
      const twiml = await spokenTwice(spoken);
      const callback = statusCallback === undefined ? {} : { statusCallback, statusCallbackEvent: EVENTS };
      return guarded.send(async () => {
        const { sid } = await calls.create({ to, from, twiml, timeout: ringSeconds, ...callback }).catch(refuse);
        return sid;
      });
    },
    async find({ to, since }) {
      const from = callerOf(config);
      const { calls } = await open();
      // Not by the time it started: one that still waits there has none, and is what we look for.
      const listed = await guarded.ask(() => calls.list({ to, from, limit: LOOK_THROUGH }).catch(refuse));
      return listed
        .filter(({ dateCreated }) => isSince(dateCreated, since))
        .map(({ sid, status, dateCreated, startTime }) => ({
          id: sid,
          status,
          createdAt: Temporal.Instant.fromEpochMilliseconds(dateCreated.getTime()),
          startedAt: instantOf(startTime),
        }));
    },
  };
}

type Spoken = Pick<Call, 'say' | 'language' | 'gather'>;

/** The second time is for who was not listening yet, or needed to think. */
async function spokenTwice({ say, language, gather }: Spoken): Promise<string> {
  const { default: twilio } = await import('twilio');
  const response = new twilio.twiml.VoiceResponse();
  for (let time = 1; time <= 2; time++) {
    if (gather === undefined) {
      response.say({ language }, say);
      response.pause({ length: 1 });
      continue;
    }
    const { action, digits = 1 } = gather;
    response
      .gather({ action, method: 'POST', numDigits: digits, timeout: WAIT_FOR_KEY_SECONDS, input: ['dtmf'] })
      .say({ language }, say);
  }
  response.hangup();
  return response.toString();
}

/** Calls come from a number of their own, or from the one that texts. */
function callerOf({ VOICE_FROM, SMS_FROM }: VoiceConfig): string {
  const from = VOICE_FROM ?? SMS_FROM;
  if (from === undefined || !from.startsWith('+')) throw new Unavailable('NOT_CONFIGURED');
  return from;
}
