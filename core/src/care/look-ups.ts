/** Live patients by what they can be looked up by, each a statement that an index answers. */
import { sql } from 'kysely';
import { type Db, statement } from '#platform/database';
import { PATIENT_COLUMNS } from './record.ts';

const live = (db: Db) => db.selectFrom('patients').select(PATIENT_COLUMNS).where('deleted_at', 'is', null);

export const liveById = statement((db, { id }: { id: string }) => live(db).where('id', '=', id));

export const liveByIds = statement((db, { ids }: { ids: readonly string[] }) =>
  live(db).where('id', '=', sql<string>`any(${ids}::uuid[])`),
);

export const liveByPhone = statement((db, { index }: { index: Buffer }) =>
  live(db).where('phone_index', '=', index).orderBy('id'),
);

export const liveByEmail = statement((db, { index }: { index: Buffer }) => live(db).where('email_index', '=', index));

export const liveByExternalId = statement((db, { externalId }: { externalId: string }) =>
  live(db).where('external_id', '=', externalId),
);
