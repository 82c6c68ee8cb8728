import assert from 'node:assert/strict';
import { randomBytes, randomUUID } from 'node:crypto';
import { after, describe, test } from 'node:test';
import * as accounts from '#accounts';
import * as care from '#care';
import * as notifications from '#notifications';
import { type Db, connect } from '#platform/database';
import { rotateKeys, wrappingKeys } from '#platform/rotation';
import { asSystem, type Scope } from '#platform/scope';
import { type Key, KeyMissing, keyRing, vault } from '#platform/vault';
import * as scheduling from '#scheduling';
import { keyColumns } from '../src/key-columns.ts';
import { newUser } from './support/accounts.ts';
import { newPatient, newProvider, TOMORROW_AT_TEN } from './support/appointments.ts';
import { receive } from './support/messages.ts';
import { as, asSuperuser, testScope, urls } from './support/testing.ts';

const secret = randomBytes(32);
// Ids that no other bytes start with by chance.
const old: Key = { id: 0xca_fe_00_01, bytes: randomBytes(32) };
const young: Key = { id: 0xca_fe_00_02, bytes: randomBytes(32) };

const pools: Db[] = [];
after(() => Promise.all(pools.map((db) => db.destroy())));

/** As a process that was started with these keys: connections of its own, and nothing remembered. */
function started(...keys: [Key, ...Key[]]): Scope {
  const db = connect(urls.login, { max: 4 });
  pools.push(db);
  return { ...testScope({ vault: vault(keyRing(keys), secret) }), db };
}

interface Written {
  readonly patientId: string;
  readonly visitId: string;
  readonly taskId: string;
  readonly verificationId: string;
}

let number = 1000;

/** Something in every column that is sealed, by a patient's key or by the ring. */
async function write(scope: Scope, agent: accounts.User): Promise<Written> {
  const phone = `+1212555${++number}`;
  const patientId = await newPatient(scope, { phone, email: `${randomUUID()}@example.com` });
  const visit = await scheduling.schedule(scope, {
    patientId,
    providerId: await newProvider(scope),
    service: 'TELEHEALTH',
    startsAt: TOMORROW_AT_TEN,
    notes: 'A step at the door',
  });
  await notifications.recordConsent(scope, patientId, { contactKind: 'PHONE', evidence: 'Said yes' });
  await receive(scope, 'Is there a lift?', { from: phone });
  const { items } = await notifications.tasks(scope, { first: 100 });
  const task = items.map(({ node }) => node).find((node) => node.patientId === patientId);
  assert.ok(task);
  const staff = as(scope, { id: agent.id, role: 'agent', sessionId: null });
  await notifications.claimTask(staff, task.id);
  await notifications.completeTask(staff, task.id, { outcome: 'Called back' });
  const { verificationId } = await accounts.requestVerification(scope, { phone });
  return { patientId, visitId: visit.id, taskId: task.id, verificationId };
}

async function read(scope: Scope, { patientId, visitId, taskId }: Written): Promise<void> {
  const patient = await care.getPatient(scope, patientId);
  assert.equal((await scheduling.getAppointment(scope, visitId)).notes, 'A step at the door');
  const { items } = await notifications.consentHistory(scope, patient);
  assert.equal(items[0]?.node.evidence, 'Said yes');
  const words = (await notifications.taskWords(scope, [taskId])).get(taskId);
  assert.deepEqual([words?.outcome, words?.message], ['Called back', 'Is there a lift?']);
}

/** Sends the code, which opens what was sealed until then. */
async function sendCode(scope: Scope, { verificationId }: Written): Promise<void> {
  const texts: string[] = [];
  const sender = { send: async (_: string, text: string) => void texts.push(text) };
  await accounts.deliverVerification(asSystem(scope), verificationId, { sms: sender, email: sender });
  assert.equal(texts.length, 1);
}

/** Where, in the whole database, something is sealed with the key. */
async function columnsUnder({ id }: Key): Promise<string[]> {
  const columns = await asSuperuser<{ table_name: string; column_name: string }>(
    `select table_name, column_name from information_schema.columns join pg_tables on tablename = table_name
     where table_schema = 'public' and schemaname = 'public' and data_type = 'bytea' order by 1, 2`,
  );
  const header = Buffer.concat([Buffer.from([1]), Buffer.alloc(4)]);
  header.writeUInt32BE(id, 1);
  const found: string[] = [];
  for (const { table_name: table, column_name: column } of columns) {
    const rows = await asSuperuser(`select from ${table} where substring(${column} from 1 for 5) = $1 limit 1`, [
      header,
    ]);
    if (rows.length > 0) found.push(`${table}.${column}`);
  }
  return found;
}

const namesOf = keyColumns.map(({ table, column }) => `${table}.${column}`).toSorted();

describe('two sets of processes, one with the old key in front and one with the new', () => {
  test('read what the other writes while the keys rotate, and then nothing needs the old one', async () => {
    const first = started(old, young);
    const second = started(young, old);
    const agent = await newUser(first, { password: null });
    const written = [await write(first, agent)];
    assert.deepEqual(await columnsUnder(old), namesOf);

    const rotation = { ended: false };
    const both = async (mine: Scope, theirs: Scope) => {
      for (let round = 0; round < 4 || !rotation.ended; round++) {
        const made = await write(mine, agent);
        written.push(made);
        await read(theirs, made);
        for (const one of written.slice(0, 3)) await read(mine, one);
        if (round % 2 === 0) await sendCode(theirs, made);
        if (round > 20) break;
      }
    };
    const rotate = async () => {
      for (let run = 0; run < 3; run++) await rotateKeys(asSystem(second), keyColumns, { batch: 2 });
      rotation.ended = true;
    };
    await Promise.all([both(first, second), both(second, first), rotate()]);
    assert.ok(written.length > 8);

    // The last process with the old key in front has ended: one more run leaves nothing under it.
    await rotateKeys(asSystem(second), keyColumns);
    assert.deepEqual(await columnsUnder(old), []);
    assert.deepEqual([...(await wrappingKeys(asSystem(second), keyColumns)).keys()], [young.id]);
    const alone = started(young);
    for (const one of written) await read(alone, one);
    await sendCode(alone, written[0] as Written);
  });

  test('in the wrong order the one that lacks the new key says which it is', async () => {
    const hasty = started(young, old);
    const unaware = started(old);
    const made = await write(hasty, await newUser(hasty, { password: null }));
    const missing = { constructor: KeyMissing, message: `The key ring has no key ${young.id}` };
    const patient = await care.getPatient(hasty, made.patientId);
    for (const reading of [
      () => care.getPatient(unaware, made.patientId),
      () => scheduling.getAppointment(unaware, made.visitId),
      () => notifications.consentHistory(unaware, patient),
      () => notifications.taskWords(unaware, [made.taskId]),
      () => sendCode(unaware, made),
    ]) {
      await assert.rejects(reading, missing);
    }
    const knowing = started(old, young);
    await read(knowing, made);
    await sendCode(knowing, made);
  });
});
