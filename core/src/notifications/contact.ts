/** A number or address as the tables know it, and whose it is. */
import type * as care from '#care';
import { NotFound } from '#platform/errors';
import { blindIndex, type Vault } from '#platform/vault';
import type { ContactKind } from './consent.ts';

/** Keyed hash of an E.164 number or a normalised e-mail address. */
export const contactIndex = (vault: Vault, contact: string): Buffer =>
  blindIndex(vault, 'notifications.contact', contact);

export const contactKind = (channel: care.Channel): ContactKind => (channel === 'EMAIL' ? 'EMAIL' : 'PHONE');

/** Whoever can be written to, as `care.Patient` and `care.Contact` both say it. */
export type Reachable = Pick<care.Patient, 'phone' | 'email'>;

export const contactOf = ({ phone, email }: Reachable, kind: ContactKind): string | null =>
  kind === 'EMAIL' ? email : phone;

/** Throws NotFound where the patient has none. */
export function contactOnRecord(patient: Reachable, kind: ContactKind): string {
  const contact = contactOf(patient, kind);
  if (contact === null) throw new NotFound(kind === 'EMAIL' ? 'An e-mail address on record' : 'A phone on record');
  return contact;
}
