import assert from 'node:assert/strict';
import { test } from 'node:test';
import pg from 'pg';
import { createLog, type LogFields } from '#platform/log';

function lines(write: (log: ReturnType<typeof createLog>) => void): string {
  let text = '';
  write(createLog('debug', { write: (line: string) => (text += line) }));
  return text;
}

test('a field that is not on the list is not written, whoever passes it', () => {
  const text = lines((log) => log.info('request', { requestId: 'r1', patientName: 'Zaphod Beeblebrox' } as LogFields));
  assert.match(text, /"requestId":"r1"/);
  assert.doesNotMatch(text, /patientName|Zaphod/);
});

test('an error is told by class, code and place; its message and detail may quote a row', () => {
  const error = Object.assign(new pg.DatabaseError('Key (email)=(zaphod@example.test) exists', 1, 'error'), {
    code: '23505',
    detail: 'Key (email)=(zaphod@example.test) already exists.',
    constraint: 'patients_email_unique',
  });
  const text = lines((log) => log.error('fault', { error }));
  assert.match(text, /"class":"DatabaseError".*"code":"23505".*patients_email_unique/);
  assert.match(text, /platform-log\.test/);
  assert.doesNotMatch(text, /zaphod/);
  assert.match(
    lines((log) => log.error('fault', { error: 'zaphod' })),
    /"class":"string"/,
  );
});
