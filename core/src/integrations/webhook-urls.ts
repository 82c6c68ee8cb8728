/** Where the provider of texts and calls reaches us. What it signs begins with these, whatever a proxy has made of them. */
import type { Config } from '#platform/config';

export interface WebhookUrls {
  /** What becomes of a text or a call. */
  readonly status: string;
  /** What a patient writes. */
  readonly inbound: string;
  /** What a patient presses. */
  readonly voice: string;
}

/** Under the origin that the world sees; on a laptop that is this machine's own. */
export function webhookUrls({ PUBLIC_URL, HOST, PORT }: Pick<Config, 'PUBLIC_URL' | 'HOST' | 'PORT'>): WebhookUrls {
  const host = HOST === '0.0.0.0' || HOST === '::' ? '127.0.0.1' : HOST;
  const base = (PUBLIC_URL ?? `http://${host.includes(':') ? `[${host}]` : host}:${PORT}`).replace(/\/+$/, '');
  const at = (path: string) => `${base}/webhooks/twilio/${path}`;
  return { status: at('status'), inbound: at('inbound'), voice: at('voice') };
}
