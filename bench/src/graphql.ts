/**
 * One patient by id, and a page of 50, through the whole API: as a ratio to the very same statements in the same
 * transactions by pgbench, on the same server, in turns within one run.
 *
 *     node bench/src/graphql.ts [patients] [seconds a turn] [turns]
 */
import { compare, type Figures, openApiBench } from './api-bench.ts';

const FIELDS =
  'id externalId firstName lastName email phone dateOfBirth timeZone language status version createdAt updatedAt';

export async function measureGraphql({ patients = 10_000, seconds = 5, turns = 5 } = {}): Promise<Figures[]> {
  await using bench = await openApiBench(patients);
  const byId = {
    name: 'patient by id',
    query: `query($id: ID!) { patient(id: $id) { ${FIELDS} } }`,
    variables: bench.patientIds.map((id) => ({ id })),
    expect: '"patient":{',
  };
  const page = {
    name: 'page of 50 patients',
    query: `{ patients(first: 50) { edges { cursor node { ${FIELDS} } } } }`,
    variables: [{}],
    expect: '"edges":[{',
  };
  const figures: Figures[] = [];
  for (const operation of [byId, page]) figures.push(await compare(bench, operation, { seconds, turns }));
  return figures;
}

if (import.meta.main) {
  const [patients = 10_000, seconds = 5, turns = 5] = process.argv.slice(2).map(Number);
  console.table(await measureGraphql({ patients, seconds, turns }));
}
