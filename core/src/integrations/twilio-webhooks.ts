/** What Twilio posts to us, checked and answered with its own client. */
import type { SpokenLanguage } from './voice.ts';

export type Form = Readonly<Record<string, string>>;

export interface Posted {
  readonly authToken: string;
  /** Of the header; empty where there was none. */
  readonly signature: string;
  /** As Twilio knows it, with its query. */
  readonly url: string;
  readonly form: Form;
}

/** Whether whoever posted it knows the token. */
export async function isGenuine({ authToken, signature, url, form }: Posted): Promise<boolean> {
  const { default: twilio } = await import('twilio');
  return twilio.validateRequest(authToken, signature, url, form);
}

/** One text back to whoever wrote, or none. */
export async function textAnswer(text: string | null): Promise<string> {
  const { default: twilio } = await import('twilio');
  const response = new twilio.twiml.MessagingResponse();
  if (text !== null) response.message(text);
  return response.toString();
}

/** Says the text and hangs up. */
export async function spokenAnswer(text: string | null, language: SpokenLanguage): Promise<string> {
  const { default: twilio } = await import('twilio');
  const response = new twilio.twiml.VoiceResponse();
  if (text !== null) response.say({ language }, text);
  response.hangup();
  return response.toString();
}
