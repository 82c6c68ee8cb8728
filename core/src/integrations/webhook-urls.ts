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

type Address = Pick<Config, 'PUBLIC_URL' | 'HOST' | 'PORT' | 'NODE_ENV'>;

/**
 * The origin that the world sees. Without one the provider can be on this machine alone, where the simulators are; in
 * production it is not, and nobody reaches us: undefined.
 */
export function webhookOrigin({ PUBLIC_URL, HOST, PORT, NODE_ENV }: Address): string | undefined {
  if (PUBLIC_URL !== undefined) return new URL(PUBLIC_URL).origin;
  if (NODE_ENV === 'production') return undefined;
  const host = HOST === '0.0.0.0' || HOST === '::' ? '127.0.0.1' : HOST;
  return `http://${host.includes(':') ? `[${host}]` : host}:${PORT}`;
}

export function webhookUrls(config: Address): WebhookUrls | undefined {
  const origin = webhookOrigin(config);
  if (origin === undefined) return undefined;
  const at = (path: string) => `${origin}/webhooks/twilio/${path}`;
  return { status: at('status'), inbound: at('inbound'), voice: at('voice') };
}
