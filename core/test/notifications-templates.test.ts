import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import * as care from '#care';
import * as notifications from '#notifications';
import { Forbidden, IdempotencyMismatch, NotFound } from '#platform/errors';
import { asSystem, type Clinic, type Scope, transact } from '#platform/scope';
import { booked, newPatient } from './support/appointments.ts';
import { auditSoFar } from './support/audit.ts';
import { newUser } from './support/accounts.ts';
import { eventsSoFar, issuesOf } from './support/patients.ts';
import { assertSame } from './support/same.ts';
import { actor, as, asSuperuser, committed, sandboxed, testScope } from './support/testing.ts';

const at = (text: string) => ({ startsAt: Temporal.Instant.from(text) });
const CLINIC: Clinic = { ...testScope().clinic, phone: '+12125550100' };
const PATIENT_WORDS = /patient|service|provider|balance|member/i;
const NINE = at('2026-03-10T13:00:00Z');

const anAdmin = async (scope: Scope) => {
  const { id } = await newUser(scope, { role: 'admin', password: null });
  return as(scope, actor('admin', { id }));
};

const current = (scope: Scope, kind: notifications.TemplateKind, channel: care.Channel = 'SMS') =>
  transact(asSystem(scope), async (scope) =>
    (await notifications.templatesFor(scope, [kind])).get(kind, channel, 'en'),
  );

const REMINDER = {
  kind: 'REMINDER_24H',
  channel: 'SMS',
  language: 'en',
  body: '{{clinicName}}: see you {{visits}}. {{replyCodes}}.',
  version: 1,
} as const;

describe('visitTimes', () => {
  const said = (visits: { startsAt: Temporal.Instant }[], more: object = {}) =>
    notifications.visitTimes(visits, { timeZone: 'America/New_York', language: 'en', channel: 'SMS', ...more });

  test('names day, time and zone, of texts, calls and e-mails in both languages', () => {
    assert.equal(said([NINE]), 'Tue, Mar 10, 9:00 AM EDT');
    assert.equal(said([NINE], { language: 'es' }), 'mar 10 mar, 9:00 EDT');
    assert.equal(said([NINE], { channel: 'VOICE' }), 'Tuesday, March 10, at 9:00 AM, Eastern Daylight Time');
    assert.equal(
      said([at('2026-03-10T17:30:00Z')], { channel: 'VOICE', language: 'es' }),
      'martes 10 de marzo, a la 1:30 de la tarde, hora de verano oriental',
    );
    assert.equal(said([NINE], { channel: 'EMAIL' }), 'Tuesday, March 10, 2026, 9:00 AM EDT');
    assert.equal(said([NINE], { channel: 'EMAIL', language: 'es' }), 'martes 10 de marzo de 2026, 9:00 EDT');
  });

  test('is right where clocks change, and in zones of all kinds', () => {
    assert.equal(said([at('2026-03-08T06:59:00Z')]), 'Sun, Mar 8, 1:59 AM EST');
    assert.equal(said([at('2026-03-08T07:00:00Z')]), 'Sun, Mar 8, 3:00 AM EDT');
    assert.equal(said([at('2026-11-01T05:30:00Z')]), 'Sun, Nov 1, 1:30 AM EDT');
    assert.equal(said([at('2026-11-01T06:30:00Z')]), 'Sun, Nov 1, 1:30 AM EST');
    assert.equal(said([NINE], { timeZone: 'America/Phoenix' }), 'Tue, Mar 10, 6:00 AM MST');
    assert.equal(said([NINE], { timeZone: 'Asia/Kolkata' }), 'Tue, Mar 10, 6:30 PM GMT+5:30');
    assert.equal(said([NINE], { timeZone: 'Australia/Lord_Howe' }), 'Wed, Mar 11, 12:00 AM GMT+11');
    assert.equal(said([at('2026-03-09T23:00:00Z')], { timeZone: 'Pacific/Apia' }), 'Tue, Mar 10, 12:00 PM GMT+13');
    assert.equal(said([NINE], { timeZone: 'Pacific/Kiritimati' }), 'Wed, Mar 11, 3:00 AM GMT+14');
  });

  test('lists several in the order of time', () => {
    const visits = [at('2026-03-11T18:00:00Z'), NINE];
    assert.equal(said(visits), 'Tue, Mar 10, 9:00 AM EDT and Wed, Mar 11, 2:00 PM EDT');
    assert.equal(said(visits, { language: 'es' }), 'mar 10 mar, 9:00 EDT y mie 11 mar, 14:00 EDT');
    assert.equal(said([...visits, at('2026-03-12T13:00:00Z')]).split('; ').length, 2);
    assert.equal(said(visits, { channel: 'EMAIL' }).split('\n').length, 2);
  });
});

describe('render', () => {
  const sms = (body: string, clinic = CLINIC) =>
    notifications.render(
      { kind: 'REMINDER_24H', channel: 'SMS', language: 'en', subject: null, body },
      notifications.valuesOf(clinic, { visits: [NINE], timeZone: 'America/New_York', language: 'en', channel: 'SMS' }),
    );

  test('counts characters as phones do', () => {
    const sizes = (body: string) => {
      const { encoding, units, limit } = sms(body);
      return [encoding, units, limit];
    };
    assert.deepEqual(sizes('a'.repeat(160)), ['GSM-7', 160, 160]);
    assert.deepEqual(sizes('éèàñÑüöÄ¿¡£$@'), ['GSM-7', 13, 160]);
    assert.deepEqual(sizes('^~\\[]|€'), ['GSM-7', 14, 160]);
    for (const character of 'áíóúÁÍÓÚ’“–') assert.deepEqual(sizes(character), ['UCS-2', 1, 70], character);
    assert.deepEqual(sizes('a😀'), ['UCS-2', 3, 70]);
    assert.ok(notifications.fits(sms('á'.repeat(70))) && !notifications.fits(sms('á'.repeat(71))));
    assert.ok(notifications.fits(sms('é'.repeat(160))) && !notifications.fits(sms('€'.repeat(81))));
  });

  test('puts the clinic’s name into the alphabet of text messages, and leaves it as it is elsewhere', () => {
    const clinic = { ...CLINIC, name: 'Clínica José Ñandú' };
    assert.equal(sms('{{clinicName}}', clinic).text, 'Clinica José Ñandu');
    const about = { visits: [], timeZone: 'UTC', language: 'es', channel: 'EMAIL' } as const;
    assert.equal(notifications.valuesOf(clinic, about).clinicName, clinic.name);
  });

  test('writes the phone as the country does, and speaks it digit by digit', () => {
    const phone = (channel: care.Channel, clinic = CLINIC) =>
      notifications.valuesOf(clinic, { visits: [], timeZone: 'UTC', language: 'en', channel }).clinicPhone;
    assert.equal(phone('SMS'), '(212) 555-0100');
    assert.equal(phone('VOICE'), '2 1 2, 5 5 5, 0 1 0 0');
    assert.equal(phone('EMAIL', { ...CLINIC, phone: '+442079460958' }), '+44 20 7946 0958');
    assert.equal(phone('SMS', { ...CLINIC, phone: undefined }), 'CareFlex Clinic');
  });
});

describe('the templates that the platform comes with', () => {
  test(
    'fit at their longest, say who writes and whom to call, and could be saved as they are',
    sandboxed(async (scope) => {
      const clinic: Clinic = { ...CLINIC, name: 'Clínica de San José y Santa Ma' };
      const admin = { ...(await anAdmin(scope)), clinic };
      const all = await notifications.templates(admin);
      assert.equal(all.length, 2 * (6 * 3 + 7 + 5));
      for (const { kind, channel, language, subject, body } of all) {
        const wording = { kind, channel, language, subject, body };
        const { issues, text, encoding } = await notifications.previewTemplate(admin, wording);
        assert.deepEqual(issues, [], `${kind} ${channel} ${language}`);
        assert.equal(encoding, channel === 'SMS' ? 'GSM-7' : null, text);
        assert.match(text, /Cl[ií]nica de San José/u);
        if (kind !== 'CONFIRMED' && (channel === 'SMS' || (!text.includes('Goodbye') && !text.includes('Adiós'))))
          assert.match(text, channel === 'VOICE' ? /2 1 2, 5 5 5, 0 1 0 0/ : /\(212\) 555-0100/, text);
        assert.doesNotMatch(body.replaceAll(/we expect you/gi, ''), PATIENT_WORDS);
      }
    }),
  );

  test(
    'tell how to opt out in the first text message, and ask for the digits in reminders',
    sandboxed(async (scope) => {
      const texts = new Map<string, string>();
      for (const template of await notifications.templates(scope)) {
        const { kind, channel, language } = template;
        const about = { visits: [NINE], timeZone: 'America/New_York', language, channel };
        texts.set(
          `${kind} ${channel} ${language}`,
          notifications.render(template, notifications.valuesOf(CLINIC, about)).text,
        );
      }
      const textOf = (key: string) => texts.get(key) ?? '';
      assert.match(textOf('CONFIRMATION SMS en'), /Reply STOP to opt out/);
      assert.match(textOf('CONFIRMATION SMS es'), /Responda STOP para no recibir/);
      for (const kind of ['REMINDER_24H', 'REMINDER_2H']) {
        assert.match(textOf(`${kind} SMS en`), /Reply 1 to confirm, 2 to change, 3 can't come/);
        assert.match(textOf(`${kind} SMS es`), /Responda 1 confirmar, 2 cambiar, 3 no puede ir/);
        assert.match(textOf(`${kind} VOICE en`), /Press 1 to confirm, 2 .* or 3 if you cannot come/);
        assert.match(textOf(`${kind} VOICE es`), /Oprima 1 para confirmar, 2 .* o 3 si no puede venir/);
      }
      for (const kind of notifications.KINDS) {
        assert.match(textOf(`${kind} VOICE en`), /To get no more calls or texts from us, press 9\.$/);
        assert.match(textOf(`${kind} VOICE es`), /Si no desea más llamadas ni mensajes, oprima 9\.$/);
      }
      assert.doesNotMatch(texts.get('CONFIRMED VOICE en') ?? '9', /9/);
    }),
  );

  test('languageFor finds the nearest language', () => {
    const found = ['es', 'es-MX', 'ES-us', 'en-GB', 'fr', 'est'].map((tag) => notifications.languageFor(tag));
    assert.deepEqual(found, ['es', 'es', 'es', 'en', 'en', 'en']);
  });
});

describe('saveTemplate', () => {
  test(
    'adds a version, which is the one that is sent from then on, and keeps those before',
    sandboxed(async (scope) => {
      const admin = await anAdmin(scope);
      const saved = await notifications.saveTemplate(admin, { ...REMINDER, idempotencyKey: 'k' });
      assert.deepEqual([saved.version, saved.body, saved.createdBy], [2, REMINDER.body, admin.actor.id]);
      assertSame(saved.createdAt, scope.now);
      assert.equal((await current(scope, 'REMINDER_24H')).id, saved.id);
      assertSame(await notifications.saveTemplate(admin, { ...REMINDER, idempotencyKey: 'k' }), saved);
      const other = { ...REMINDER, body: `${REMINDER.body} {{clinicPhone}}`, idempotencyKey: 'k' };
      await assert.rejects(notifications.saveTemplate(admin, other), IdempotencyMismatch);
      const [, built] = (await notifications.templateHistory(scope, REMINDER)).items.map(({ node }) => node);
      assert.deepEqual([built?.version, built?.createdBy], [1, null]);
      const back = await notifications.saveTemplate(admin, { ...REMINDER, body: built?.body ?? '', version: 2 });
      assert.deepEqual([back.version, back.body], [3, built?.body]);
      const page = await notifications.templateHistory(scope, REMINDER, { first: 2 });
      const rest = await notifications.templateHistory(scope, REMINDER, { first: 2, after: page.items[1]?.cursor });
      assert.deepEqual(
        [...page.items, ...rest.items].map(({ node }) => node.version),
        [3, 2, 1],
      );
      assert.deepEqual(
        (await auditSoFar(scope, 'template.save')).map(({ outcome, changed_fields }) => [outcome, changed_fields]),
        [
          ['SUCCESS', ['subject', 'body']],
          ['SUCCESS', ['subject', 'body']],
        ],
      );
      const told = (await eventsSoFar(scope)).find(({ topic }) => topic === 'template.saved');
      assert.deepEqual(told?.payload, { templateId: saved.id });
    }),
  );

  test(
    'is for admins, and nobody but staff reads',
    sandboxed(async (scope) => {
      for (const role of ['agent', 'patient', 'auditor'] as const) {
        const who = as(scope, role);
        await assert.rejects(notifications.saveTemplate(who, REMINDER), Forbidden);
        await assert.rejects(notifications.previewTemplate(who, REMINDER), Forbidden);
        if (role === 'agent') continue;
        await assert.rejects(notifications.templates(who), Forbidden);
        await assert.rejects(notifications.templateHistory(who, REMINDER), Forbidden);
      }
      assert.equal((await notifications.templates(scope, { kind: 'HELP', language: 'es' })).length, 1);
    }),
  );

  test(
    'lets one of many at once win, and tells the others that theirs is old',
    committed(async (scope) => {
      const admin = await anAdmin(scope);
      const wording = { ...REMINDER, kind: 'MISSED', body: '{{clinicName}}: we missed you {{visits}}.' } as const;
      const attempts = Array.from({ length: 8 }, (_, i) =>
        notifications.saveTemplate(admin, { ...wording, body: `${wording.body} ${i}` }),
      );
      const results = await Promise.allSettled(attempts);
      const refused = results.flatMap((result) => (result.status === 'rejected' ? [result.reason as unknown] : []));
      assert.equal(refused.length, 7);
      for (const error of refused)
        assert.ok(error instanceof notifications.StaleTemplate && error.currentVersion === 2, String(error));
      const [{ n } = { n: 0 }] = await asSuperuser<{ n: number }>(
        `select count(*)::int as n from message_templates where kind = 'MISSED' and channel = 'SMS' and language = 'en'`,
      );
      assert.equal(n, 2);
      const stale = notifications.saveTemplate(admin, { ...wording, version: 7 });
      await assert.rejects(stale, notifications.StaleTemplate);
    }),
  );
});

describe('a text', () => {
  const refusals = async (scope: Scope, more: object) =>
    issuesOf(notifications.saveTemplate(as(scope, 'admin'), { ...REMINDER, ...more }));

  test(
    'is refused with every issue by its path',
    sandboxed(async (scope) => {
      assert.deepEqual(Object.keys(await refusals(scope, { subject: 'Hello', body: 'Hi {{firstName}}' })), [
        'subject',
        'body',
      ]);
      assert.match(
        (await refusals(scope, { body: '{{clinicName}} {{visits}} {{service}}' }))['body'] ?? '',
        /no variables but/,
      );
      assert.match((await refusals(scope, { body: '{{clinicName}} {{visits}} {zone}' }))['body'] ?? '', /braces/);
      assert.match((await refusals(scope, { body: 'See you {{visits}}' }))['body'] ?? '', /\{\{clinicName\}\}/);
      assert.match((await refusals(scope, { body: '{{clinicName}}' }))['body'] ?? '', /\{\{visits\}\}/);
      assert.match(
        (await refusals(scope, { body: '{{clinicName}} {{visits}} {{shortLink}}' }))['body'] ?? '',
        /PUBLIC_URL/,
      );
      assert.match((await refusals(scope, { body: 'a\u202Eb {{clinicName}} {{visits}}' }))['body'] ?? '', /invisible/);
      assert.deepEqual(Object.keys(await refusals(scope, { kind: 'HELP', channel: 'EMAIL', subject: 'x' })), [
        'channel',
      ]);
      assert.deepEqual(Object.keys(await refusals(scope, { channel: 'EMAIL' })), ['subject', 'body']);
      const email = { channel: 'EMAIL', body: '{{clinicName}} {{visits}}' };
      assert.deepEqual(Object.keys(await refusals(scope, { ...email, subject: '{{visits}}' })), ['subject']);
      assert.deepEqual(Object.keys(await refusals(scope, { ...email, subject: 'a\nBcc: b@example.com' })), ['subject']);
      assert.deepEqual(Object.keys(await refusals(scope, { ...email, subject: 'a'.repeat(79) })), ['subject']);
      const prompt = { kind: 'CANCELLED', body: '{{clinicName}} {{visits}} {{replyCodes}}' };
      assert.match((await refusals(scope, prompt))['body'] ?? '', /no variables but/);
      const first = { kind: 'CONFIRMATION', body: '{{clinicName}} {{visits}}' };
      assert.match((await refusals(scope, first))['body'] ?? '', /opt out/);
    }),
  );

  const NAMES = '{{clinicName}} {{visits}}. ';
  const issuesIn = async (scope: Scope, body: string) =>
    (
      await notifications.previewTemplate(as(scope, 'admin'), { ...REMINDER, channel: 'VOICE', body: NAMES + body })
    ).issues.map(({ message }) => message);

  test(
    'never asks for a word that opts out as an answer to something else',
    sandboxed(async (scope) => {
      const refused = [
        'Reply CANCEL to cancel your visit.',
        'To cancel, reply cancel.',
        'Reply with the word "cancel" if you cannot come.',
        'Text YES to confirm or CANCEL to cancel.',
        'Reply 1 to confirm, CANCEL to change.',
        'Send END if you cannot come.',
        'Reply YES or quit.',
        'Reply STOP to cancel your visit.',
        'Reply STOP or END to opt out.',
        'Responda CANCELAR para cancelar su cita.',
        'Conteste "parar" si no puede venir.',
        'Envíe ALTO para cambiar su cita.',
        'Please answer unsubscribe.',
      ];
      for (const body of refused) assert.match((await issuesIn(scope, body)).join(), /opts out/, body);
      const fine = [
        'Reply STOP to opt out.',
        'Reply STOP to stop these messages.',
        'Text STOP to unsubscribe.',
        'Responda ALTO para no recibir más mensajes.',
        'Responda STOP para dejar de recibir mensajes.',
        'To cancel your visit call us.',
        'Reply 3 to cancel your visit.',
        'Your visit is cancelled. Reply 2 for another time.',
        'The visit will end at noon.',
      ];
      for (const body of fine) assert.deepEqual(await issuesIn(scope, body), [], body);
    }),
  );

  test(
    'names no day that is only right on the day before',
    sandboxed(async (scope) => {
      for (const body of [
        'See you tomorrow.',
        'Your visit is TODAY.',
        'Le esperamos mañana.',
        'Su cita es hoy.',
        'next Monday',
      ])
        assert.match((await issuesIn(scope, body)).join(), /dates/, body);
      for (const body of ['Llegue por la mañana.', 'Your next visit.'])
        assert.deepEqual(await issuesIn(scope, body), [], body);
    }),
  );

  test(
    'that is saved fits for every visit and zone, whatever is in it',
    sandboxed(async (scope) => {
      const admin = { ...(await anAdmin(scope)), clinic: { ...CLINIC, link: 'https://care.example' } };
      const zones = Intl.supportedValuesOf('timeZone');
      const variables = ['visits', 'localDate', 'localTime', 'zone', 'clinicPhone', 'shortLink', 'replyCodes'];
      const words = ['See you. ', 'Le esperamos. ', '€', 'ñ', 'á', 'Bring your card. '];
      const piece = fc.constantFrom(...variables.map((name) => `{{${name}}}`), ...words);
      const minute = fc.integer({ min: 0, max: 4 * 366 * 24 * 60 });
      let saved = 0;
      let version = 1;
      await fc.assert(
        fc.asyncProperty(
          fc.array(piece, { maxLength: 8 }),
          fc.constantFrom(...notifications.LANGUAGES),
          fc.array(fc.record({ minutes: minute, timeZone: fc.constantFrom(...zones) }), {
            minLength: 20,
            maxLength: 20,
          }),
          async (pieces, language, visits) => {
            const body = `{{clinicName}} {{visits}} ${pieces.join('')}`;
            const wording = { ...REMINDER, language, body, subject: null };
            const { issues } = await notifications.previewTemplate(admin, wording);
            if (issues.length > 0) return;
            saved++;
            for (const { minutes, timeZone } of visits) {
              const startsAt = Temporal.Instant.from('2026-01-01T00:00Z').add({ minutes });
              const about = { visits: [{ startsAt }], timeZone, language, channel: 'SMS' } as const;
              const rendered = notifications.render(wording, notifications.valuesOf(admin.clinic, about));
              assert.ok(notifications.fits(rendered), `${rendered.units} ${rendered.text}`);
            }
            if (saved % 20 === 0 && language === 'en')
              ({ version } = await notifications.saveTemplate(admin, { ...wording, version }));
          },
        ),
        { numRuns: 300 },
      );
      assert.ok(saved > 50 && version > 1, `${saved} ${version}`);
    }),
  );

  test(
    'that is too long at its longest is refused, however short it is for the sample',
    sandboxed(async (scope) => {
      const admin = { ...(await anAdmin(scope)), clinic: CLINIC };
      const body = `{{clinicName}} {{visits}} ${'a'.repeat(115)}`;
      const { units, limit, issues } = await notifications.previewTemplate(admin, { ...REMINDER, body });
      assert.ok(units <= limit);
      assert.match(issues[0]?.message ?? '', /at most 160 characters of GSM-7; it takes up to 16\d/);
    }),
  );
});

describe('previewTemplate', () => {
  test(
    'shows the time of a real visit as its patient would read it, and records whose it was',
    sandboxed(async (scope) => {
      const admin = await anAdmin(scope);
      const patientId = await newPatient(scope, { timeZone: 'America/Los_Angeles' });
      const visit = await booked(scope, { patientId });
      const preview = await notifications.previewTemplate(admin, { ...REMINDER, appointmentId: visit.id });
      assert.match(preview.text, /Tue, Mar 3, 7:00 AM PST/);
      assert.deepEqual([preview.encoding, preview.limit, preview.issues], ['GSM-7', 160, []]);
      assert.ok(preview.variables.includes('replyCodes'));
      const [entry] = await auditSoFar(scope, 'template.preview');
      assert.equal(entry?.resource_id, visit.id);
      const nowhere = notifications.previewTemplate(admin, { ...REMINDER, appointmentId: randomUUID() });
      await assert.rejects(nowhere, NotFound);
    }),
  );
});
