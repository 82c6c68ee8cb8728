import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, it } from 'node:test';
import { sql } from 'kysely';
import { Malformed } from '#integrations/fhir';
import { Refused, Unavailable } from '#integrations/guard';
import type { OutsideSlot, OutsideTimes, ProviderDirectory } from '#integrations/provider-api';
import type { Jobs } from '#platform/jobs';
import { asSystem, type Role, type Scope, transact } from '#platform/scope';
import * as scheduling from '#scheduling';
import { aBooking, booked, newProvider } from './support/appointments.ts';
import { auditSoFar } from './support/audit.ts';
import { eventsSoFar } from './support/patients.ts';
import { testRights } from './support/rights.ts';
import { assertSame } from './support/same.ts';
import { as, NOW, sandboxed } from './support/testing.ts';

const SYSTEM = 'https://directory.example/id';

/** A directory as its adapter shows it: whom it knows by the ids of ours, and what it says of them. */
class Outside implements ProviderDirectory {
  readonly source: string | null = 'directory.example';
  readonly known = new Map<string, () => OutsideTimes | null>();
  /** Practitioners with an identifier of the provider: usually one. */
  readonly names = new Map<string, string[]>();
  asked = 0;
  down = false;

  /** @param externalId the provider's */
  knows(externalId: string, said: () => OutsideTimes | null): this {
    this.known.set(externalId, said);
    this.names.set(externalId, [externalId]);
    return this;
  }

  async practitioners() {
    if (this.down) throw new Unavailable('503');
    return [...this.names].flatMap(([externalId, ids]) =>
      ids.map((id) => ({ id, identifiers: [`${SYSTEM}|${externalId}`], npis: [] })),
    );
  }

  async times(id: string) {
    this.asked++;
    return this.known.get(id)?.() ?? null;
  }
}

/** Of Tuesday 2026-03-03 in New York, and the days after. */
const at = (local: string, day = '2026-03-03') =>
  Temporal.PlainDateTime.from(`${day}T${local}`).toZonedDateTime('America/New_York').toInstant();
const slot = (status: OutsideSlot['status'], from: string, to: string): OutsideSlot => ({
  status,
  startsAt: at(from),
  endsAt: at(to),
});
const open = (...slots: OutsideSlot[]): OutsideTimes => ({ from: null, until: null, slots });
const MORNING = () =>
  open(slot('free', '08:00', '09:00'), slot('busy', '09:00', '10:00'), slot('free', '10:00', '11:00'));

/** A provider whom a directory knows. */
async function arranged(scope: Scope, said: () => OutsideTimes | null = MORNING) {
  const externalId = randomUUID();
  const [{ id }] = (await scheduling.importProviders(as(scope, 'system'), [
    {
      externalId,
      name: 'Dr. Lee Okafor',
      knownAs: [`${SYSTEM}|${externalId}`, `Practitioner/${externalId}`],
      timeZone: 'America/New_York',
    },
  ])) as unknown as [{ id: string }];
  await scheduling.importProviderRoles(as(scope, 'system'), [
    { externalId: `${externalId}-role`, provider: `Practitioner/${externalId}`, services: ['TELEHEALTH'] },
  ]);
  return { id, externalId, directory: new Outside().knows(externalId, said) };
}

const sync = (scope: Scope, directory: ProviderDirectory, providerId?: string) =>
  scheduling.syncDirectory(as(scope, 'system'), { directory, providerId, signal: new AbortController().signal });

/** The starts that are offered on the Tuesday, on its wall clock. */
async function starts(scope: Scope, providerId: string, everyMinutes = 30): Promise<string[]> {
  const slots = await scheduling.availableSlots(scope, {
    service: 'TELEHEALTH',
    providerIds: [providerId],
    from: at('00:00'),
    to: at('23:59'),
    everyMinutes,
  });
  return slots.map(({ startsAt }) =>
    startsAt.toZonedDateTimeISO('America/New_York').toPlainTime().toString().slice(0, 5),
  );
}

const stateOf = async (scope: Scope, id: string) =>
  (await scheduling.directoryStates(as(scope, 'agent'), [id])).get(id);
const later = (scope: Scope, minutes: number): Scope => ({ ...scope, now: scope.now.add({ minutes }) });

describe('syncDirectory', () => {
  it(
    'takes over when providers work and are busy, for staff and patients, and leaves the weekly hours of others',
    sandboxed(async (scope) => {
      const { id, directory } = await arranged(scope);
      const other = await newProvider(scope);
      assert.deepEqual(await sync(scope, directory), { changed: 1, unchanged: 0, failed: 0 });
      assert.deepEqual(await starts(scope, id), ['08:00', '08:30', '10:00', '10:30']);
      assert.equal((await starts(scope, other)).length, 16);
      const patientId = (await booked(scope)).patientId;
      const patient = as(scope, { id: randomUUID(), role: 'patient', sessionId: null, patientId });
      // At ten they are elsewhere.
      assert.deepEqual(await starts(patient, id), ['08:00', '08:30', '10:30']);
      const refused = scheduling.schedule(scope, await aBooking(scope, { providerId: id, startsAt: at('09:15') }));
      await assert.rejects(refused, (thrown) => {
        assert.ok(thrown instanceof scheduling.AppointmentConflict);
        assert.deepEqual(
          thrown.conflicts.map(({ rule }) => rule),
          ['TIME_OFF'],
        );
        return true;
      });
      const booking = await aBooking(scope, { providerId: id, startsAt: at('08:15') });
      assert.equal((await scheduling.schedule(patient, { ...booking, patientId })).status, 'SCHEDULED');
    }),
  );

  it(
    'lets dated exceptions and time off of ours go over it, and weekly hours count beyond what it covers',
    sandboxed(async (scope) => {
      const until = at('12:00');
      const { id, directory } = await arranged(scope, () => ({ ...MORNING(), until }));
      await sync(scope, directory);
      const afternoon = ['12:00', '13:00', '14:00', '15:00', '16:00'];
      assert.deepEqual(await starts(scope, id, 60), ['08:00', '10:00', ...afternoon]);
      const admin = as(scope, 'admin');
      await scheduling.setProviderException(admin, id, { date: '2026-03-03', hours: [{ from: '07:00', to: '11:00' }] });
      assert.deepEqual(await starts(scope, id, 60), ['07:00', '08:00', '10:00']);
      await scheduling.addTimeOff(admin, id, { startsAt: at('07:00'), endsAt: at('08:00') });
      assert.deepEqual(await starts(scope, id, 60), ['08:00', '10:00']);
    }),
  );

  it(
    'repeats without effect, is on record when something changed, and tells it as an event by the id alone',
    sandboxed(async (scope) => {
      const shuffled = () => open(...MORNING().slots.toReversed(), slot('free', '08:15', '08:30'));
      let said = MORNING;
      const { id, directory } = await arranged(scope, () => said());
      await sync(scope, directory);
      said = shuffled;
      assert.deepEqual(await sync(later(scope, 15), directory), { changed: 0, unchanged: 1, failed: 0 });
      const told = (await eventsSoFar(scope)).filter(({ topic }) => topic === 'provider.hours_changed');
      assert.deepEqual(told, [{ topic: 'provider.hours_changed', payload: { providerId: id } }]);
      assert.deepEqual(
        (await auditSoFar(scope, 'provider.sync')).map(({ changed_fields }) => changed_fields),
        [['directory']],
      );
      assertSame((await stateOf(scope, id))?.asOf, NOW.add({ minutes: 15 }));
      said = () => open(slot('free', '13:00', '14:00'));
      assert.deepEqual(await sync(later(scope, 30), directory), { changed: 1, unchanged: 0, failed: 0 });
      assert.deepEqual(await starts(scope, id), ['13:00', '13:30']);
    }),
  );

  it(
    'keeps what was known through an outage, and marks it',
    sandboxed(async (scope) => {
      const { id, directory } = await arranged(scope);
      await sync(scope, directory);
      const known = await stateOf(scope, id);
      assert.deepEqual([known?.problem, known?.stale, known?.source], [null, false, 'directory.example']);
      directory.down = true;
      await assert.rejects(sync(later(scope, 15), directory), Unavailable);
      const { problem, stale, asOf, checkedAt } = (await stateOf(later(scope, 15), id)) ?? {};
      assert.deepEqual([problem, stale], ['UNREACHABLE', true]);
      assertSame(asOf, NOW);
      assertSame(checkedAt, NOW.add({ minutes: 15 }));
      assert.deepEqual(await starts(scope, id), ['08:00', '08:30', '10:00', '10:30']);
      directory.down = false;
      await sync(later(scope, 30), directory);
      assert.equal((await stateOf(later(scope, 30), id))?.stale, false);
      // Nobody has asked for an hour: no worker runs.
      assert.equal((await stateOf(later(scope, 30 + scheduling.STALE_MINUTES + 1), id))?.stale, true);
    }),
  );

  const WRONG: [string, scheduling.DirectoryProblem, () => OutsideTimes | null][] = [
    [
      'free and busy at once',
      'FREE_AND_BUSY',
      () => open(slot('free', '08:00', '10:00'), slot('busy', '09:59', '11:00')),
    ],
    ['ended before it began', 'ENDS_BEFORE_START', () => open(slot('free', '10:00', '08:00'))],
    ['nothing at all', 'ENDS_BEFORE_START', () => open(slot('busy', '08:00', '08:00'))],
    [
      'no FHIR',
      'MALFORMED',
      () => {
        throw new Malformed('NO_SLOT');
      },
    ],
    ['not there any more', 'UNKNOWN_PRACTITIONER', () => null],
    [
      'refused',
      'REFUSED',
      () => {
        throw new Refused('410');
      },
    ],
    [
      'down for one alone',
      'UNREACHABLE',
      () => {
        throw new Unavailable('503');
      },
    ],
  ];
  for (const [what, problem, said] of WRONG) {
    it(
      `leaves alone a provider whose word is ${what}, and takes over that of the next`,
      sandboxed(async (scope) => {
        let wrong = MORNING;
        const { id, directory } = await arranged(scope, () => wrong());
        const next = await arranged(scope);
        directory.knows(next.externalId, next.directory.known.get(next.externalId) ?? MORNING);
        await sync(scope, directory, id);
        assert.equal(await stateOf(scope, next.id), undefined);
        wrong = said as typeof MORNING;
        assert.deepEqual(await sync(scope, directory), { changed: 1, unchanged: 0, failed: 1 });
        const { problem: found, stale } = (await stateOf(scope, id)) ?? {};
        assert.deepEqual([found, stale], [problem, true]);
        for (const one of [id, next.id])
          assert.deepEqual(await starts(scope, one), ['08:00', '08:30', '10:00', '10:30']);
      }),
    );
  }

  it(
    'believes nothing of one who is two there, or whose first word is wrong: weekly hours count',
    sandboxed(async (scope) => {
      const { id, externalId, directory } = await arranged(scope, () => open(slot('free', '10:00', '08:00')));
      await sync(scope, directory);
      assert.deepEqual(
        [(await stateOf(scope, id))?.problem, (await stateOf(scope, id))?.asOf],
        ['ENDS_BEFORE_START', null],
      );
      assert.equal((await starts(scope, id)).length, 16);
      directory.names.set(externalId, [externalId, 'another']);
      await sync(scope, directory);
      assert.equal((await stateOf(scope, id))?.problem, 'AMBIGUOUS_PRACTITIONER');
      directory.names.delete(externalId);
      await sync(scope, directory);
      assert.equal((await stateOf(scope, id))?.problem, 'UNKNOWN_PRACTITIONER');
    }),
  );

  it(
    'lists the visits that stand in a busy time, and cancels none',
    sandboxed(async (scope) => {
      let said = () => open(slot('free', '08:00', '17:00'));
      const { id, directory } = await arranged(scope, () => said());
      await sync(scope, directory);
      const within = await booked(scope, { providerId: id, startsAt: at('09:45') });
      const beside = await booked(scope, { providerId: id, startsAt: at('10:30') });
      const listed = async () => ((await scheduling.visitsInBusyTimes(scope, [id])).get(id) ?? []).map(({ id }) => id);
      assert.deepEqual(await listed(), []);
      said = () => open(slot('free', '08:00', '09:00'), slot('busy', '09:00', '10:30'));
      await sync(scope, directory);
      assert.deepEqual(await listed(), [within.id]);
      for (const { id } of [within, beside]) {
        assert.equal((await scheduling.getAppointment(scope, id)).status, 'SCHEDULED');
      }
      const [read] = await transact(asSystem(scope), async ({ db }) => {
        const of = sql<{
          patient_ids: string[];
        }>`select patient_ids from audit_entries where action = 'appointment.list'`;
        return (await of.execute(db)).rows;
      });
      assert.deepEqual(read?.patient_ids, [within.patientId]);
    }),
  );

  it(
    'asks nobody where no directory is configured, nor once it is told to stop',
    sandboxed(async (scope) => {
      const { id, directory } = await arranged(scope);
      const nothing = { changed: 0, unchanged: 0, failed: 0 };
      assert.deepEqual(await sync(scope, Object.assign(new Outside(), { source: null })), nothing);
      const signal = AbortSignal.abort();
      assert.deepEqual(await scheduling.syncDirectory(as(scope, 'system'), { directory, signal }), nothing);
      assert.equal(directory.asked, 0);
      assert.deepEqual(await sync(scope, directory, 'no id'), nothing);
      assert.equal(await stateOf(scope, id), undefined);
    }),
  );

  it(
    'is for admins and the system; what it says is for staff',
    sandboxed(async (scope) => {
      const { id, directory } = await arranged(scope);
      const signal = AbortSignal.abort();
      for (const role of ['agent', 'patient', 'auditor'] satisfies Role[]) {
        const who = as(scope, role);
        await assert.rejects(scheduling.syncDirectory(who, { directory, signal }), { code: 'FORBIDDEN' });
        await assert.rejects(scheduling.requestSync(who), { code: 'FORBIDDEN' });
        if (role === 'agent') continue;
        await assert.rejects(scheduling.directoryStates(who, [id]), { code: 'FORBIDDEN' });
        await assert.rejects(scheduling.visitsInBusyTimes(who, [id]), { code: 'FORBIDDEN' });
      }
    }),
  );
});

describe('requestSync', () => {
  it(
    'adds a job, once per key, of one provider or of all',
    sandboxed(async (scope) => {
      const { id } = await arranged(scope);
      const added: [string, object][] = [];
      const jobs: Jobs = {
        enqueue: async (_scope, queue, payload) => void added.push([queue, payload]),
        enqueueAll: async () => undefined,
      };
      const admin = as({ ...scope, jobs }, 'admin');
      const first = await scheduling.requestSync(admin, { providerId: id.toUpperCase(), idempotencyKey: 'k' });
      assert.equal(await scheduling.requestSync(admin, { providerId: id, idempotencyKey: 'k' }), first);
      await assert.rejects(scheduling.requestSync(admin, { idempotencyKey: 'k' }), { code: 'IDEMPOTENCY_MISMATCH' });
      await scheduling.requestSync(admin);
      await assert.rejects(scheduling.requestSync(admin, { providerId: randomUUID() }), { code: 'NOT_FOUND' });
      assert.deepEqual(added, [
        ['provider-sync', { providerId: id }],
        ['provider-sync', {}],
      ]);
      assert.equal((await auditSoFar(scope, 'provider.requestSync')).length, 2);
    }),
  );
});

describe('the tables of the directory', () => {
  testRights({
    provider_directories: {
      staff: 'select',
      patient: 'select',
      auditor: '',
      system: 'select insert update',
      written: 'problem',
      seen: 'provider_id',
    },
    provider_directory_times: {
      staff: 'select',
      patient: 'select',
      auditor: '',
      system: 'select insert delete',
      written: 'busy',
      seen: 'provider_id',
    },
  });

  it(
    'show a patient no more of a directory than what it covers',
    sandboxed(async (scope) => {
      const patient = as(scope, 'patient');
      const read = (column: 'covers_from' | 'problem' | 'practitioner') =>
        transact(patient, ({ db }) => db.selectFrom('provider_directories').select(column).execute());
      await read('covers_from');
      for (const column of ['problem', 'practitioner'] as const) await assert.rejects(read(column), { code: '42501' });
    }),
  );
});
