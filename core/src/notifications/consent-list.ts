/** What patients agreed to: as it stands, and how it came about. */
import { sql } from 'kysely';
import { z } from 'zod';
import * as audit from '#audit';
import { isUuid, parse } from '#platform/input';
import { decodeCursor, type Page, PageInput, toPage } from '#platform/page';
import { type Scope, transact } from '#platform/scope';
import type { Consent } from './consent.ts';
import { permitPatient, permitPatients } from './consent-policy.ts';
import { type ConsentView, type Person, selectConsents, toConsents } from './consent-record.ts';

const action = 'consent.read';
const resourceType = 'Consent';

/**
 * What counts for each patient: of each number, address and purpose the newest, the former contacts' too. Two queries
 * and one audit entry, for loaders. Throws Forbidden.
 */
export async function consentsOf(
  scope: Scope,
  people: readonly Person[],
): Promise<ReadonlyMap<string, readonly Consent[]>> {
  const ids = people.map(({ id }) => id);
  await permitPatients(scope, ids, { action, resourceType });

  return transact(scope, async (scope) => {
    const rows = await selectConsents(scope)
      .where('patient_id', '=', sql<string>`any(${ids.filter(isUuid)}::uuid[])`)
      .where('contact_index', 'is not', null)
      .orderBy('recorded_at', 'desc')
      .orderBy('id', 'desc')
      .execute();
    const newest = Map.groupBy(rows, placeOf)
      .values()
      .flatMap(([first]) => (first ? [first] : []));
    const consents = await shown(scope, [...newest], people);
    return Map.groupBy(consents, ({ patientId }) => patientId);
  });
}

const placeOf = (row: ConsentView): string => `${row.patient_id} ${row.contact_index?.toString('hex')} ${row.purpose}`;

/** Every consent and withdrawal of a patient, newest first. Throws NotFound, InvalidInput, Forbidden. */
export async function consentHistory(scope: Scope, person: Person, input: PageInput = {}): Promise<Page<Consent>> {
  const { first, after } = parse(PageInput, input);
  await permitPatient(scope, person.id, { action, resourceType });

  return transact(scope, async (scope) => {
    let query = selectConsents(scope)
      .where('patient_id', '=', person.id)
      .orderBy('recorded_at', 'desc')
      .orderBy('id', 'desc')
      .limit(first + 1);
    if (after !== null) {
      const [id] = decodeCursor(after, z.tuple([z.uuid()]));
      query = query.where(
        sql<boolean>`(recorded_at, id) < (select recorded_at, id from consents where id = ${id} and patient_id = ${person.id})`,
      );
    }
    const rows = await query.execute();
    const consents = await shown(scope, rows, [person]);
    return toPage(consents, first, { node: (consent) => consent, key: ({ id }) => [id] });
  });
}

async function shown(scope: Scope, rows: readonly ConsentView[], people: readonly Person[]): Promise<Consent[]> {
  const patientIds = [...new Set(rows.map(({ patient_id }) => patient_id))];
  await audit.record(scope, { action, resourceType, resourceIds: rows.map(({ id }) => id), patientIds });
  return toConsents(scope, rows, people);
}
