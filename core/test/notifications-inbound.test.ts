import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import * as care from '#care';
import * as notifications from '#notifications';
import { type Scope, transact } from '#platform/scope';
import * as scheduling from '#scheduling';
import { booked, newPatient, TOMORROW_AT_TEN } from './support/appointments.ts';
import { auditSoFar } from './support/audit.ts';
import { PHONE, receive, sent, tasksSoFar } from './support/messages.ts';
import { eventsSoFar } from './support/patients.ts';
import { actor, as, asSuperuser, committed, NOW, sandboxed, urls } from './support/testing.ts';

const NEXT_WEEK = TOMORROW_AT_TEN.add({ hours: 7 * 24 });
const newCaller = (scope: Scope, more: Partial<care.NewPatient> = {}) => newPatient(scope, { phone: PHONE, ...more });
const statusOf = async (scope: Scope, id: string) => (await scheduling.getAppointment(scope, id)).status;

async function asked(scope: Scope, more: Partial<scheduling.Booking> = {}) {
  const patientId = more.patientId ?? (await newCaller(scope));
  const visit = await booked(scope, { startsAt: NEXT_WEEK, ...more, patientId });
  return { visit, prompt: await sent(scope, visit) };
}

const summary = (tasks: Awaited<ReturnType<typeof tasksSoFar>>) => tasks.map(({ kind, reason }) => `${kind} ${reason}`);

describe('understand', () => {
  const MEANINGS: readonly [notifications.Intent, readonly string[]][] = [
    [
      'OPT_OUT',
      ['STOP', 'stop', ' Stop. ', 'STOPALL', 'stop all', 'Quit', 'END', 'revoke', 'Opt out', 'OPT-OUT', 'optout'],
    ],
    ['OPT_OUT', ['cancel', 'Cancel!', 'unsubscribe', 'ALTO', 'alto', 'Álto', 'parar', 'PARAR!', 'por favor parar']],
    ['OPT_OUT', ['please stop', 'STOP please', 'stop now, thanks', 'ｓｔｏｐ', 'st\u200Bop', '"stop"', 'STOP\n']],
    ['OPT_OUT', ['stop texting me', 'Alto, no más mensajes', 'Stop!! I did not sign up', 'unsubscribe me']],
    ['OPT_IN', ['START', 'unstop', ' Start ', 'start please']],
    ['HELP', ['HELP', 'help!', 'Info', 'ayuda', '¡Ayuda!']],
    ['CONFIRM', ['1', ' 1 ', '1.', '#1', '1️⃣', '１', '1 please', '1 gracias']],
    ['CHANGE', ['2', '2!']],
    ['DECLINE', ['3', '(3)']],
    ['OTHER', ['11', '1 2', '4', 'yes', 'sí', 'cancel my visit on Monday', 'end of day works', 'one', '', '👍']],
    ['OTHER', ['do I stop by the desk?', 'constructor', 'nonstop', 'stopping', 'altogether', 'restart']],
  ];
  for (const [intent, messages] of MEANINGS) {
    for (const message of messages) {
      test(`takes ${JSON.stringify(message)} for ${intent}`, () =>
        assert.equal(notifications.understand(message).intent, intent));
    }
  }

  test('knows Spanish words, and that there is more to read', () => {
    assert.deepEqual(notifications.understand('alto'), { intent: 'OPT_OUT', language: 'es', hasRest: false });
    assert.deepEqual(notifications.understand('stop, I moved'), { intent: 'OPT_OUT', language: null, hasRest: true });
  });
});

describe('a message that opts out', () => {
  test(
    'stops the number at once, and is confirmed exactly once however often it comes',
    sandboxed(async (scope) => {
      await newCaller(scope);
      const first = await receive(scope, 'Stop');
      assert.match(first.text ?? '', /no more messages/);
      assert.equal((await receive(scope, 'STOP')).text, null);
      assert.equal((await receive(scope, 'what about my visit')).text, null);
      const records = await transact(as(scope, 'system'), ({ db }) =>
        db.selectFrom('opt_outs').select(['opted_out', 'source']).execute(),
      );
      assert.deepEqual(records, [{ opted_out: true, source: 'INBOUND_MESSAGE' }]);
      assert.equal((await auditSoFar(scope, 'message.receive')).length, 3);
    }),
  );

  test(
    'is answered in the language of its word, else of the patient',
    sandboxed(async (scope) => {
      await newCaller(scope, { language: 'es-MX' });
      assert.match((await receive(scope, 'STOP')).text ?? '', /ya no le enviaremos/);
      assert.match((await receive(scope, 'START')).text ?? '', /de nuevo/);
      assert.match((await receive(scope, 'parar')).text ?? '', /ya no le enviaremos/);
      const english = await receive(scope, 'ALTO', { from: '+12125550143' });
      assert.match(english.text ?? '', /ya no le enviaremos/);
    }),
  );

  test(
    'concerns the number: of a shared one for everybody, and of no other',
    sandboxed(async (scope) => {
      const [mother, child] = [await newCaller(scope), await newCaller(scope, { firstName: 'Bea' })];
      await receive(scope, 'stop', { from: '(212) 555-0142' });
      const people = [await care.getPatient(scope, mother), await care.getPatient(scope, child)];
      const known = await notifications.optOutsOf(scope, people);
      for (const id of [mother, child]) assert.equal(known.get(id)?.[0]?.optedOut, true);
    }),
  );

  test(
    'with other words is a task besides, for a person to read',
    sandboxed(async (scope) => {
      const patientId = await newCaller(scope);
      await receive(scope, 'Stop. I cannot come on Monday');
      const [task, ...others] = await tasksSoFar(scope);
      assert.deepEqual(others, []);
      assert.deepEqual([task?.kind, task?.reason, task?.patient_id], ['REPLY', 'WORDS_WITH_OPT_OUT', patientId]);
    }),
  );

  test(
    'is confirmed by nobody twice: not where the provider has done so',
    sandboxed(async (scope) => {
      assert.equal((await receive(scope, 'STOP', { isAnswered: true })).text, null);
      assert.equal((await receive(scope, 'STOP')).text, null);
    }),
  );

  test(
    'is taken back by START and UNSTOP',
    sandboxed(async (scope) => {
      await newCaller(scope);
      for (const word of ['START', 'unstop']) {
        await receive(scope, 'quit');
        assert.match((await receive(scope, word)).text ?? '', /again/);
      }
      assert.notEqual((await receive(scope, 'hello?')).text, null);
    }),
  );

  test(
    'HELP is answered, also where nothing else is',
    sandboxed(async (scope) => {
      await receive(scope, 'revoke');
      assert.match((await receive(scope, 'HELP')).text ?? '', /help/);
      assert.match((await receive(scope, 'ayuda')).text ?? '', /Ayuda/);
    }),
  );
});

describe('a digit', () => {
  test(
    '1 confirms the visit that the newest message asked about, with history, audit entry and event',
    sandboxed(async (scope) => {
      const { visit, prompt } = await asked(scope);
      const reply = await receive(scope, '1');
      assert.match(reply.text ?? '', /confirmed/);
      assert.equal(await statusOf(scope, visit.id), 'CONFIRMED');
      const history = (await scheduling.historiesOf(scope, [visit.id])).get(visit.id) ?? [];
      assert.deepEqual(
        history.map(({ to, actorRole, reason }) => `${to} ${actorRole} ${reason}`).at(-1),
        'CONFIRMED system The patient answered 1 to a message',
      );
      const topics = new Set((await eventsSoFar(scope)).map(({ topic }) => topic));
      assert.ok(topics.has('message.received') && topics.has('appointment.confirmed'));
      const kept = await transact(as(scope, 'system'), ({ db }) =>
        db.selectFrom('inbound_messages').select(['intent', 'notification_id']).execute(),
      );
      assert.deepEqual(kept, [{ intent: 'CONFIRM', notification_id: prompt.id }]);
      assert.deepEqual(await tasksSoFar(scope), []);
    }),
  );

  test(
    '2 asks a person for another time',
    sandboxed(async (scope) => {
      const { visit, prompt } = await asked(scope);
      assert.match((await receive(scope, '2')).text ?? '', /another time/);
      assert.equal(await statusOf(scope, visit.id), 'SCHEDULED');
      const [task] = await tasksSoFar(scope);
      assert.deepEqual(
        [task?.kind, task?.reason, task?.patient_id, task?.appointment_id, task?.notification_id],
        ['CHANGE_REQUESTED', 'ASKED_BY_PATIENT', visit.patientId, visit.id, prompt.id],
      );
    }),
  );

  test(
    '3 calls the visit off while the patient may, and is left to a person from 24 hours before on',
    sandboxed(async (scope) => {
      const { visit } = await asked(scope);
      await receive(scope, '3');
      const cancelled = await scheduling.getAppointment(scope, visit.id);
      assert.deepEqual([cancelled.status, cancelled.cancellationReason], ['CANCELLED', 'PATIENT']);
      await receive(scope, '3');
      assert.deepEqual(await tasksSoFar(scope), []);

      const late = await asked(scope, { patientId: visit.patientId, startsAt: NOW.add({ hours: 23 }) });
      await receive(scope, '3');
      assert.equal(await statusOf(scope, late.visit.id), 'SCHEDULED');
      assert.deepEqual(summary(await tasksSoFar(scope)), ['CANNOT_COME TOO_LATE_TO_CANCEL']);
    }),
  );

  test(
    'answers every visit that the message listed',
    sandboxed(async (scope) => {
      const { visit, prompt } = await asked(scope);
      const further = await booked(scope, {
        patientId: await newCaller(scope, { firstName: 'Bea' }),
        startsAt: NEXT_WEEK.add({ hours: 2 }),
      });
      await sent(scope, further, { merged_into: prompt.id, provider_message_id: null });
      await receive(scope, '2');
      assert.deepEqual(
        new Set((await tasksSoFar(scope)).map((task) => `${task.appointment_id} ${task.patient_id}`)),
        new Set([visit, further].map(({ id, patientId }) => `${id} ${patientId}`)),
      );
      await receive(scope, '1');
      for (const { id } of [visit, further]) assert.equal(await statusOf(scope, id), 'CONFIRMED');
    }),
  );

  test(
    'on a shared phone answers the one who was asked last',
    sandboxed(async (scope) => {
      const mother = await asked(scope);
      const child = await booked(scope, { patientId: await newCaller(scope), startsAt: NEXT_WEEK });
      await sent(scope, child, { claimed_at: scope.now.subtract({ minutes: 5 }).toString() });
      await receive(scope, '1');
      assert.equal(await statusOf(scope, child.id), 'CONFIRMED');
      assert.equal(await statusOf(scope, mother.visit.id), 'SCHEDULED');
    }),
  );

  test(
    'may be quicker than our own commit',
    sandboxed(async (scope) => {
      const visit = await booked(scope, { patientId: await newCaller(scope), startsAt: NEXT_WEEK });
      await sent(scope, visit, { status: 'CLAIMED', sent_at: null, provider_message_id: null });
      await receive(scope, '1');
      assert.equal(await statusOf(scope, visit.id), 'CONFIRMED');
    }),
  );

  test(
    'to a visit that has moved, was called off or has begun since changes nothing and is a task',
    sandboxed(async (scope) => {
      const moved = await asked(scope);
      await scheduling.reschedule(scope, moved.visit.id, { startsAt: NEXT_WEEK.add({ hours: 3 }) });
      await receive(scope, '1');
      assert.equal(await statusOf(scope, moved.visit.id), 'SCHEDULED');

      const { patientId } = moved.visit;
      const off = await asked(scope, { patientId });
      await scheduling.cancel(scope, off.visit.id, { reason: 'PROVIDER' });
      await receive(scope, '3');

      const begun = await asked(scope, { patientId, startsAt: NOW.add({ hours: 23 }) });
      const later = { ...scope, now: NOW.add({ hours: 24 }) };
      await receive(later, '3');
      assert.equal(await statusOf(scope, begun.visit.id), 'SCHEDULED');
      assert.deepEqual(summary(await tasksSoFar(scope)), [
        'REPLY VISIT_CHANGED',
        'CANNOT_COME VISIT_CHANGED',
        'CANNOT_COME VISIT_CHANGED',
      ]);
    }),
  );

  test(
    'from a number that the patient has no more is nobody’s answer',
    sandboxed(async (scope) => {
      const { visit } = await asked(scope);
      await care.updatePatient(scope, visit.patientId, { phone: '+12125550177' });
      await receive(scope, '3');
      assert.equal(await statusOf(scope, visit.id), 'SCHEDULED');
      const [task] = await tasksSoFar(scope);
      assert.deepEqual([task?.kind, task?.reason, task?.patient_id], ['REPLY', 'UNKNOWN_NUMBER', null]);
    }),
  );

  test(
    'that nobody asked for is read by a person',
    sandboxed(async (scope) => {
      const patientId = await newCaller(scope);
      await receive(scope, '1');
      const [task] = await tasksSoFar(scope);
      assert.deepEqual([task?.reason, task?.patient_id], ['NOTHING_ASKED', patientId]);
    }),
  );

  test(
    'that is pressed in a call does the same, and is answered in it even to who wants no texts',
    sandboxed(async (scope) => {
      const { visit } = await asked(scope);
      const call = await sent(scope, visit, { kind: 'REMINDER_2H', channel: 'VOICE' });
      await receive(scope, 'stop');
      const press = { channel: 'VOICE', notificationId: call.id } as const;
      assert.match((await receive(scope, '1', press)).text ?? '', /Your visit is confirmed/);
      assert.equal(await statusOf(scope, visit.id), 'CONFIRMED');
      assert.match((await receive(scope, '8', press)).text ?? '', /did not understand/);
      assert.match((await receive(scope, 'stop', press)).text ?? '', /did not understand/);
      assert.deepEqual(await tasksSoFar(scope), []);
    }),
  );
});

describe('the key that ends calls', () => {
  test(
    'opts the number out, whoever asked, with what proves it, and is answered each time',
    sandboxed(async (scope) => {
      const { visit } = await asked(scope);
      const call = await sent(scope, visit, { kind: 'CANCELLED', channel: 'VOICE' });
      const press = { channel: 'VOICE', notificationId: call.id } as const;
      for (let times = 0; times < 2; times++) {
        assert.match((await receive(scope, '9', press)).text ?? '', /will not call or text you any more/);
      }
      const records = await transact(as(scope, 'system'), ({ db }) =>
        db
          .selectFrom('opt_outs')
          .innerJoin('inbound_messages as i', 'i.id', 'opt_outs.inbound_message_id')
          .select(['opted_out', 'source', 'i.channel', 'i.intent'])
          .execute(),
      );
      assert.deepEqual(records, [{ opted_out: true, source: 'CALL', channel: 'VOICE', intent: 'OPT_OUT' }]);
      assert.deepEqual(await tasksSoFar(scope), []);
      assert.equal(await statusOf(scope, visit.id), 'SCHEDULED');
    }),
  );

  test(
    'is a mere 9 in a text, and can be taken back for the patient',
    sandboxed(async (scope) => {
      const patientId = await newCaller(scope);
      assert.match((await receive(scope, '9')).text ?? '', /somebody will read it/);
      await receive(scope, '9', { channel: 'VOICE' });
      const back = await notifications.optIn(scope, patientId, { contactKind: 'PHONE' });
      assert.equal(back.optedOut, false);
    }),
  );
});

describe('any other message', () => {
  test(
    'becomes a task with its words sealed, for the visit that was asked about',
    sandboxed(async (scope) => {
      const { visit } = await asked(scope);
      const reply = await receive(scope, 'Can my daughter come along?');
      assert.match(reply.text ?? '', /somebody will read it/);
      const [task] = await tasksSoFar(scope);
      assert.deepEqual(
        [task?.kind, task?.reason, task?.patient_id, task?.appointment_id],
        ['REPLY', 'NOT_UNDERSTOOD', visit.patientId, visit.id],
      );
      const [kept] = await transact(as(scope, 'system'), ({ db }) =>
        db.selectFrom('inbound_messages').select('body').execute(),
      );
      assert.doesNotMatch(kept?.body?.toString('latin1') ?? 'daughter', /daughter/);
    }),
  );

  test(
    'is answered once a day, so that two machines do not talk forever, and each is a task',
    sandboxed(async (scope) => {
      assert.notEqual((await receive(scope, 'I am driving')).text, null);
      assert.equal((await receive(scope, 'I am driving')).text, null);
      assert.equal((await tasksSoFar(scope)).length, 2);
      const tomorrow = { ...scope, now: NOW.add({ hours: 25 }) };
      assert.notEqual((await receive(tomorrow, 'Hello')).text, null);
    }),
  );

  test(
    'from several people’s phone names none of them, from an unknown one nobody',
    sandboxed(async (scope) => {
      await newCaller(scope);
      await newCaller(scope);
      await receive(scope, 'hello');
      await receive(scope, 'hello', { from: '22000' });
      await receive(scope, 'hello', { from: '+12125550199' });
      const tasks = await tasksSoFar(scope);
      assert.deepEqual(
        tasks.map(({ patient_id, reason }) => [patient_id, reason]),
        [
          [null, 'NOT_UNDERSTOOD'],
          [null, 'UNKNOWN_NUMBER'],
          [null, 'UNKNOWN_NUMBER'],
        ],
      );
    }),
  );
});

describe('the same message again', () => {
  test(
    'has one effect and one answer of 64 at once',
    committed(async (scope) => {
      const patientId = await newCaller(scope, { phone: '+12125550155' });
      const visit = await booked(scope, { patientId, startsAt: NEXT_WEEK });
      await sent(scope, visit, { phone: '+12125550155' });
      for (const body of ['2', 'STOP']) {
        const message = { providerMessageId: `SM${randomUUID()}`, from: '+12125550155' };
        const replies = await Promise.all(Array.from({ length: 64 }, () => receive(scope, body, message)));
        assert.equal(replies.filter(({ isRepeat }) => !isRepeat).length, 1);
        assert.equal(replies.filter(({ text }) => text !== null).length, 1);
      }
      const tasks = (await tasksSoFar(scope)).filter(({ patient_id }) => patient_id === patientId);
      assert.equal(tasks.length, 1);
    }),
  );

  test(
    'of two different STOPs at once one is confirmed',
    committed(async (scope) => {
      const from = '+12125550156';
      // Nobody can write an opt-out before all of them have had the time to see that there is none.
      const gate = new pg.Client({ connectionString: urls.admin });
      await gate.connect();
      await gate.query('begin; lock table opt_outs in share row exclusive mode');
      const coming = Promise.all(Array.from({ length: 16 }, () => receive(scope, 'STOP', { from })));
      const waiting = `select count(*)::int as count from pg_stat_activity
        where datname = current_database() and wait_event_type = 'Lock'`;
      while (((await asSuperuser<{ count: number }>(waiting))[0]?.count ?? 0) < 16) await sleep(20);
      await gate.query('commit');
      await gate.end();
      const replies = await coming;
      assert.equal(replies.filter(({ text }) => text !== null).length, 1);
      const [{ count } = { count: 0 }] = await asSuperuser<{ count: number }>(
        `select count(*)::int as count from opt_outs o join inbound_messages i using (contact_index)
         where i.received_at = o.recorded_at group by i.id limit 1`,
      );
      assert.equal(count, 1);
    }),
  );
});

describe('receiving', () => {
  test(
    'is for the system, and a refusal is on record',
    sandboxed(async (scope) => {
      for (const role of ['admin', 'agent', 'patient', 'auditor'] as const) {
        const message = { providerMessageId: 'SM1', channel: 'SMS', from: PHONE, body: '1' } as const;
        await assert.rejects(notifications.receive(as(scope, actor(role)), message), { code: 'FORBIDDEN' });
      }
      assert.equal(
        (await auditSoFar(scope, 'message.receive')).filter((entry) => entry.outcome === 'DENIED').length,
        4,
      );
    }),
  );
});
