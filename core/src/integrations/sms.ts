/** Text messages, by Twilio's own client. */
import type { Config } from '#platform/config';
import { type Guarded, Unavailable } from './guard.ts';
import { instantOf, isSince, refuse, type TwilioConfig, twilioClient } from './twilio.ts';

export interface TextMessage {
  /** E.164. */
  readonly to: string;
  readonly body: string;
  /** Where the other side reports each step of the delivery. */
  readonly statusCallback?: string;
}

export interface SoughtText {
  readonly to: string;
  readonly body: string;
  /** By the other side's clock: leave room for a clock of ours that is wrong. */
  readonly since: Temporal.Instant;
}

export interface FoundText {
  readonly id: string;
  /** `queued`, `sending`, `sent`, `delivered`, `undelivered` or `failed`, among others. */
  readonly status: string;
  readonly sentAt: Temporal.Instant | null;
  readonly errorCode: string | null;
}

export interface Sms {
  /** Returns the other side's id of the message. Throws `Refused`, `Unavailable` or `Unknown`. */
  send(message: TextMessage): Promise<string>;
  /**
   * What the other side has of such a message, the newest first: for a send whose outcome is not known. Throws
   * `Refused` or `Unavailable`.
   */
  find(sought: SoughtText): Promise<readonly FoundText[]>;
}

type SmsConfig = TwilioConfig & Pick<Config, 'SMS_FROM'>;

/** As many as one page of theirs has; nobody gets so many within a day. */
const LOOK_THROUGH = 200;

/** Connects with the first message. */
export function openSms(config: SmsConfig, guarded: Guarded): Sms {
  const open = twilioClient(config);
  return {
    async send({ to, body, statusCallback }) {
      const sender = senderOf(config);
      const { messages } = await open();
      return guarded.send(async () => {
        const callback = statusCallback === undefined ? {} : { statusCallback };
        const { sid } = await messages.create({ to, body, ...sender, ...callback }).catch(refuse);
        return sid;
      });
    },
    async find({ to, body, since }) {
      const { from } = senderOf(config);
      const { messages } = await open();
      // Not by the date it was sent: one that still waits there has none, and is what we look for.
      const filter = { to, limit: LOOK_THROUGH, ...(from === undefined ? {} : { from }) };
      const listed = await guarded.ask(() => messages.list(filter).catch(refuse));
      return listed
        .filter((message) => message.direction === 'outbound-api' && isSince(message.dateCreated, since))
        .filter((message) => message.body.trim() === body.trim())
        .map(({ sid, status, dateSent, errorCode }) => ({
          id: sid,
          status,
          sentAt: instantOf(dateSent),
          errorCode: errorCode ? String(errorCode) : null,
        }));
    },
  };
}

/** A messaging service chooses the number itself. */
function senderOf({ SMS_FROM: from }: SmsConfig): { from?: string; messagingServiceSid?: string } {
  if (from === undefined) throw new Unavailable('NOT_CONFIGURED');
  return from.startsWith('MG') ? { messagingServiceSid: from } : { from };
}
