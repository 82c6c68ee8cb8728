import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createTransport } from 'nodemailer';
import { control, simulate } from './support/world.ts';

const MAIL = { from: 'CareFlex <no-reply@careflex.test>', to: 'ada@example.test', subject: 'Su código' };

function mailer(url: string) {
  const { hostname, port } = new URL(url);
  return createTransport({ host: hostname, port: Number(port), socketTimeout: 300 });
}

describe('e-mails', () => {
  it('are shown with their text decoded, and with their id', async () => {
    await using simulators = await simulate();
    const text = 'Su código es 123456. '.repeat(10).trim();
    await mailer(simulators.smtpUrl).sendMail({ ...MAIL, text, messageId: '<7@careflex.test>' });
    assert.partialDeepStrictEqual(await control(simulators.url, 'GET messages?number=ada@example.test'), [
      {
        kind: 'email',
        from: 'no-reply@careflex.test',
        to: ['ada@example.test'],
        subject: 'Su código',
        body: text,
        messageId: '<7@careflex.test>',
      },
    ]);
  });

  it('are refused with the status of a script, before the message or after it', async () => {
    await using simulators = await simulate();
    await control(simulators.url, 'POST scripts', [
      { to: MAIL.to, reply: 550 },
      { kind: 'email', reply: 451, taken: true },
      { kind: 'text', error: 21610 },
    ]);
    const mail = mailer(simulators.smtpUrl);
    await assert.rejects(mail.sendMail({ ...MAIL, text: '1' }), { responseCode: 550, command: 'RCPT TO' });
    await assert.rejects(mail.sendMail({ ...MAIL, text: '2' }), { responseCode: 451, command: 'DATA' });
    await mail.sendMail({ ...MAIL, text: '3' });
    const counts = await control(simulators.url, 'GET counts');
    assert.partialDeepStrictEqual(counts, { emails: { taken: 2, refused: 1 } });
  });

  for (const reply of ['drop', 'never'] as const) {
    for (const taken of [true, false]) {
      it(`get no answer (${reply}), with the message ${taken ? '' : 'not '}taken`, async () => {
        await using simulators = await simulate();
        await control(simulators.url, 'POST scripts', { reply, taken });
        await assert.rejects(mailer(simulators.smtpUrl).sendMail({ ...MAIL, text: 'x' }), {
          code: reply === 'drop' ? 'ECONNECTION' : 'ETIMEDOUT',
        });
        const counts = await control(simulators.url, 'GET counts');
        assert.partialDeepStrictEqual(counts, { emails: { taken: taken ? 1 : 0 } });
      });
    }
  }
});
