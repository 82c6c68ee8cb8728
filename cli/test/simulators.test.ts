import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { careflex, type Ended, run } from './support/careflex.ts';

describe('careflex simulators', () => {
  it('prints what the platform needs, and stands in until it is stopped', async () => {
    await using running = careflex(['simulators', '--port', '0', '--keep', '10'], {});
    await running.says('PROVIDER_API_URL=');
    running.launcher.kill('SIGTERM');
    const { code, stdout, stderr }: Ended = await running.ended;
    assert.deepEqual([code, stderr], [0, '']);
    assert.match(stdout, /^# Sent messages: http:\/\/127\.0\.0\.1:\d+\nTWILIO_ACCOUNT_SID=AC0{32}\n/);
    assert.match(stdout, /\nTWILIO_BASE_URL=http:\/\/127\.0\.0\.1:\d+\nSMS_FROM=\+12025550100\nSMTP_URL=smtp:/);
    assert.match(stdout, /\nBENEFITS_API_URL=http:\/\/127\.0\.0\.1:\d+\/payer\/fhir\n/);
    assert.match(stdout, /\nPROVIDER_API_URL=http:\/\/127\.0\.0\.1:\d+\/directory\/fhir\n$/);
  });

  it('has help with examples, and refuses what is no port, number or URL', async () => {
    const help = await run(['simulators', '--help'], {});
    assert.match(help.stdout, /Examples:\n {2}careflex simulators\n/);
    for (const wrong of [
      ['--port', '70000'],
      ['--keep', '0'],
      ['--inbound-url', 'ftp://x'],
    ]) {
      assert.equal((await run(['simulators', ...wrong], {})).code, 2);
    }
  });
});
