/**
 * Patients from another system, by external id, some hundreds in one transaction.
 *
 * A keyed hash of the record as it came tells whether the source has changed since the last time: the same records
 * again change nothing, and do not undo what people changed here in between.
 */
import * as audit from '#audit';
import { sqlState } from '#platform/database';
import { InvalidInput, type InputIssue } from '#platform/errors';
import { emitAll } from '#platform/events';
import { type Scope, transact } from '#platform/scope';
import { hmac } from '#platform/vault';
import { isDeath } from './facts.ts';
import { type ImportOutcome, type Item, type Settled, insertAll, planImport, updateAll } from './import-batch.ts';
import { type ImportedPatient, type ParsedImport, parseImported } from './input.ts';
import { permitAdmin } from './policy.ts';
import { type Indexed, addToIndex, newest, useIndex } from './search-index.ts';

export type { ImportOutcome } from './import-batch.ts';

const ACTION = 'patient.import';
const MAX_STALLS = 5;

/**
 * Creates or updates patients by external id, some hundreds at a time, in one transaction; a bad record is
 * refused by itself. What a record leaves out stays as it is, null clears. The outcomes are in the order of the
 * records. Admins and the system only. Throws Forbidden.
 */
export async function importPatients(scope: Scope, records: readonly ImportedPatient[]): Promise<ImportOutcome[]> {
  await permitAdmin(scope, ACTION);
  const outcomes: (ImportOutcome | undefined)[] = records.map(() => undefined);
  let waiting = records.flatMap((input, position): Item[] => {
    const parsed = tryParse(scope, input);
    if ('issues' in parsed) outcomes[position] = { outcome: 'refused', issues: parsed.issues };
    return 'issues' in parsed ? [] : [{ position, record: parsed, hash: hashOf(scope, parsed) }];
  });

  // Nearly always one round. An id that occurs twice, or a collision with somebody else's change, takes another.
  for (let stalls = 0; waiting.length > 0;) {
    const round = [...new Map(waiting.toReversed().map((item) => [item.record.externalId, item])).values()];
    const settled = await importRound(scope, round.toReversed());
    for (const [{ position }, outcome] of settled) outcomes[position] = outcome;
    waiting = waiting.filter((item) => !settled.has(item));
    if (settled.size === 0 && ++stalls > MAX_STALLS) throw new Error('The import collides with other changes');
  }
  return outcomes as ImportOutcome[];
}

function tryParse(scope: Scope, input: unknown): ParsedImport | { issues: readonly InputIssue[] } {
  try {
    return parseImported(scope, input);
  } catch (thrown) {
    if (thrown instanceof InvalidInput) return { issues: thrown.issues };
    throw thrown;
  }
}

const hashOf = ({ vault }: Scope, record: ParsedImport): Buffer =>
  hmac(vault.keyFor('patients.import'), JSON.stringify(record));

const COLLISIONS: ReadonlySet<string | undefined> = new Set(['23505', '40001', '40P01']);

/** Items that are missing from the answer collided with a change of somebody else: what they met is visible by now. */
async function importRound(scope: Scope, items: readonly Item[]): Promise<Settled> {
  try {
    return await transact(scope, (scope) => importItems(scope, items));
  } catch (thrown) {
    if (COLLISIONS.has(sqlState(thrown))) return new Map();
    throw thrown;
  }
}

async function importItems(scope: Scope, items: readonly Item[]): Promise<Settled> {
  const generations = await useIndex(scope);
  const plan = await planImport(scope, items);
  const created = await insertAll(scope, plan.creations, newest(generations));
  await updateAll(scope, plan.updates, newest(generations));
  const updated = plan.updates.filter(({ changed }) => changed.length > 0);

  const settled = new Map(plan.settled);
  for (const { item, row } of plan.updates) settled.set(item, { outcome: 'unchanged', patientId: row.id });
  for (const { item, row } of updated) settled.set(item, { outcome: 'updated', patientId: row.id });
  for (const { item, id } of created) settled.set(item, { outcome: 'created', patientId: id });

  const createdIds = created.map(({ id }) => id);
  const updatedIds = updated.map(({ row }) => row.id);
  if (createdIds.length + updatedIds.length > 0) {
    await audit.record(scope, { action: ACTION, ...PATIENT, resourceIds: [...createdIds, ...updatedIds] });
  }
  await emitAll(scope, 'patient.created', createdIds.map(toPayload));
  await emitAll(scope, 'patient.updated', updatedIds.map(toPayload));
  const deceased = updated.filter(({ changed, facts }) => isDeath(changed, facts));
  await emitAll(
    scope,
    'patient.deceased',
    deceased.map(({ row }) => toPayload(row.id)),
  );
  const named = [...created, ...updated].flatMap(({ searchId, facts }): Indexed[] =>
    searchId === null ? [] : [{ searchId, name: facts }],
  );
  if (named.length > 0) await addToIndex(scope, generations, named);
  return settled;
}

const PATIENT = { resourceType: 'Patient' } as const;
const toPayload = (patientId: string) => ({ patientId });
