/** A number or address as the tables know it. */
import type { Channel } from '#care';
import { blindIndex, type Vault } from '#platform/vault';
import type { ContactKind } from './consent.ts';

/** Keyed hash of an E.164 number or a normalised e-mail address. */
export const contactIndex = (vault: Vault, contact: string): Buffer =>
  blindIndex(vault, 'notifications.contact', contact);

export const contactKind = (channel: Channel): ContactKind => (channel === 'EMAIL' ? 'EMAIL' : 'PHONE');
