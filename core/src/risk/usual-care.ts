/**
 * The comparison group: one patient in ten, always the same ones, whom the list of visits at risk leaves out, so that
 * it can be told what the list is good for. Told by a keyed hash of the id; nobody at work is told who.
 */
import type { Vault } from '#platform/vault';
import { hmac } from '#platform/vault';

const PERCENT = 10;

export function isUsualCare(vault: Vault, patientId: string): boolean {
  const hash = hmac(vault.keyFor('risk:usual-care'), patientId);
  return hash.readUInt32BE(0) % 100 < PERCENT;
}
