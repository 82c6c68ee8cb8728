/** Role × table × verb: what each database role may do, and that whatever is not named is refused. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { test } from 'node:test';
import { sql } from 'kysely';
import { sqlState } from '../../src/platform/database.ts';
import { type Role, transact } from '../../src/platform/scope.ts';
import { actor, as, sandboxed } from './testing.ts';

export const DATABASE_ROLES = ['staff', 'patient', 'system', 'auditor'] as const;
type DatabaseRole = (typeof DATABASE_ROLES)[number];

export interface Rights extends Readonly<Record<DatabaseRole, string>> {
  /** A column that whoever updates the table may write, and one that whoever reads it may see; `status`, `id`. */
  readonly written?: string;
  readonly seen?: string;
}

const ROLES: Readonly<Record<DatabaseRole, Role>> = {
  staff: 'agent',
  patient: 'patient',
  system: 'system',
  auditor: 'auditor',
};

const REFUSED = '42501';

/** A test for each table and role: the verbs stand in a line, such as `select insert`. */
export function testRights(matrix: Readonly<Record<string, Rights>>): void {
  for (const [table, rights] of Object.entries(matrix)) {
    for (const role of DATABASE_ROLES) {
      const allowed = rights[role];
      test(
        `let ${role} ${allowed === '' ? 'do nothing with' : allowed.replaceAll(' ', ', ')} ${table}`,
        sandboxed(async (scope) => {
          const who = as(scope, actor(ROLES[role], { patientId: randomUUID() }));
          for (const [verb, statement] of Object.entries(statementsOn(table, rights))) {
            const attempt = transact(who, ({ db }) => sql.raw(statement).execute(db));
            const state = await attempt.then(
              () => null,
              (thrown: unknown) => sqlState(thrown) ?? String(thrown),
            );
            assert.equal(state, allowed.split(' ').includes(verb) ? null : REFUSED, `${verb} by ${role}`);
          }
        }),
      );
    }
  }
}

function statementsOn(table: string, { written = 'status', seen = 'id' }: Rights): Record<string, string> {
  return {
    select: `select ${seen} from ${table}`,
    insert: `insert into ${table} (${seen}) select null where false`,
    update: `update ${table} set ${written} = null where false`,
    delete: `delete from ${table} where false`,
    truncate: `truncate ${table} cascade`,
  };
}
