/** Giving a consent, and taking it back. */
import { randomUUIDv7 } from 'node:crypto';
import * as audit from '#audit';
import * as care from '#care';
import { InvalidInput } from '#platform/errors';
import { emit } from '#platform/events';
import { once } from '#platform/idempotency';
import { idOf } from '#platform/input';
import { type Scope, transact } from '#platform/scope';
import type { Consent, ConsentStatus, ContactKind } from './consent.ts';
import {
  type NewConsent,
  type ParsedConsent,
  parseConsent,
  parseWithdrawal,
  type Withdrawal,
} from './consent-input.ts';
import { permitPatient } from './consent-policy.ts';
import { evidencePlace, selectConsents, toConsents } from './consent-record.ts';
import { currentWording } from './consent-wording.ts';
import { contactIndex, contactOnRecord, type Reachable } from './contact.ts';

declare module '#platform/events' {
  interface Events {
    'consent.given': { patientId: string; consentId: string };
    'consent.withdrawn': { patientId: string; consentId: string };
  }
}

/**
 * Writes down that the patient agrees to get messages for one purpose at the number or address that is on record now;
 * it does not follow to another one. Patients for themselves, staff with what proves it, the system for an import.
 * Throws NotFound (also where there is no such number or address), InvalidInput, IdempotencyMismatch, Forbidden.
 */
export async function recordConsent(scope: Scope, patientId: string, input: NewConsent): Promise<Consent> {
  const action = 'consent.record';
  await permitPatient(scope, patientId, { action, resourceType: 'Consent' });
  const consent = parseConsent(scope.actor.role, input);
  return change(scope, idOf(patientId), { ...consent, action, status: 'GIVEN' });
}

/** Writes down that the patient agrees no more. Whoever may record a consent. Throws as {@link recordConsent} does. */
export async function withdrawConsent(scope: Scope, patientId: string, input: Withdrawal): Promise<Consent> {
  const action = 'consent.withdraw';
  await permitPatient(scope, patientId, { action, resourceType: 'Consent' });
  const withdrawal = parseWithdrawal(scope.actor.role, input);
  const wordingVersion = currentWording(withdrawal.purpose);
  return change(scope, idOf(patientId), { ...withdrawal, wordingVersion, action, status: 'WITHDRAWN' });
}

interface Change extends ParsedConsent {
  readonly action: string;
  readonly status: ConsentStatus;
}

async function change(scope: Scope, patientId: string, { idempotencyKey: key, ...change }: Change): Promise<Consent> {
  return transact(scope, async (scope) => {
    const { key: patientKey } = await care.holdPatient(scope, patientId);
    const patient = await care.getPatient(scope, patientId);
    const contact = contactOnRecord(patient, change.contactKind);
    const id = await once(scope, { key, operation: change.action, input: { patientId, ...change } }, async () => {
      mustBeOnRecord(scope, patient, change);
      const id = randomUUIDv7();
      const { action, contactKind, purpose, status, source, wordingVersion, evidence } = change;
      await scope.db
        .insertInto('consents')
        .values({
          id,
          patient_id: patientId,
          contact_index: contactIndex(scope.vault, contact),
          contact_kind: contactKind,
          purpose,
          status,
          source,
          wording_version: wordingVersion,
          evidence: evidence ? patientKey.seal(evidencePlace(id), evidence) : null,
          recorded_by: scope.actor.id,
          recorded_role: scope.actor.role,
          recorded_at: scope.now.toString(),
        })
        .execute();
      await audit.record(scope, { action, resourceType: 'Consent', resourceId: id, patientIds: [patientId] });
      const topic = status === 'GIVEN' ? 'consent.given' : 'consent.withdrawn';
      await emit(scope, topic, { patientId, consentId: id });
      return id;
    });
    const rows = await selectConsents(scope).where('id', '=', id).execute();
    const [consent] = await toConsents(scope, rows, [patient]);
    return consent as Consent;
  });
}

interface Seen {
  readonly contactKind: ContactKind;
  readonly contact?: string | null | undefined;
}

/** What the caller has seen is what the consent is for. Throws {@link InvalidInput} when it is another by now. */
export function mustBeOnRecord({ clinic }: Scope, patient: Reachable, { contactKind, contact }: Seen): void {
  if (contact === null || contact === undefined) return;
  const seen = contactKind === 'EMAIL' ? care.normaliseEmail(contact) : care.normalisePhone(contact, clinic.region);
  if (seen === contactOnRecord(patient, contactKind)) return;
  throw new InvalidInput([{ path: ['contact'], message: 'expected the one that is on record' }]);
}
