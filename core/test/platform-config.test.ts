import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, test } from 'node:test';
import { ConfigError, isTimeZone, readConfig } from '#platform/config';

const key = () => randomBytes(32).toString('base64');
const usable = () => ({ CAREFLEX_KEYS: `2:${key()},1:${key()}`, CAREFLEX_SECRET: key() });
const mistakes = (environment: Record<string, string>) => {
  try {
    readConfig(environment);
  } catch (thrown) {
    assert.ok(thrown instanceof ConfigError);
    return thrown.message;
  }
  throw new assert.AssertionError({ message: 'the configuration was accepted' });
};

describe('readConfig', () => {
  test('takes the first key of the ring as the active one, and an empty variable as absent', () => {
    const config = readConfig({ ...usable(), PORT: '' });
    assert.deepEqual(
      config.CAREFLEX_KEYS.map(({ id }) => id),
      [2, 1],
    );
    assert.equal(config.PORT, 4000);
  });

  test('reports every mistake at once, by name and never with the value', () => {
    const message = mistakes({ PORT: 'port-xyz', CLINIC_TIME_ZONE: 'EST', CAREFLEX_KEYS: '1:c2hvcnQtc2VjcmV0' });
    for (const name of ['PORT', 'CLINIC_TIME_ZONE', 'CAREFLEX_KEYS', 'CAREFLEX_SECRET is missing']) {
      assert.match(message, new RegExp(name));
    }
    assert.doesNotMatch(message, /port-xyz|c2hvcnQ|short-secret/);
  });

  test('refuses keys and secrets that somebody typed, repeated or numbered twice', () => {
    const typed = Buffer.from('change me change me change me!!!').toString('base64');
    assert.match(mistakes({ ...usable(), CAREFLEX_SECRET: typed }), /CAREFLEX_SECRET/);
    assert.match(mistakes({ ...usable(), CAREFLEX_SECRET: Buffer.alloc(32, 7).toString('base64') }), /CAREFLEX_SECRET/);
    assert.match(mistakes({ ...usable(), CAREFLEX_KEYS: `1:${key()},1:${key()}` }), /CAREFLEX_KEYS/);
    assert.match(mistakes({ ...usable(), CAREFLEX_KEYS: `0:${key()}` }), /CAREFLEX_KEYS/);
  });

  test('takes issuers whose keys come by https, or from this machine', () => {
    const issuers = (issuer: string) => ({ ...usable(), OIDC_ISSUERS: JSON.stringify([{ issuer, audience: 'api' }]) });
    for (const url of ['https://login.example/tenant', 'http://127.0.0.1:3000', 'http://localhost/realm']) {
      assert.equal(readConfig(issuers(url)).OIDC_ISSUERS[0]?.issuer, url);
    }
    for (const url of [
      'http://login.example',
      'http://localhost.example',
      'http://127.0.0.1.example',
      'login.example',
    ]) {
      assert.match(mistakes(issuers(url)), /OIDC_ISSUERS/);
    }
  });

  test('writes to patients between 8:00 and 21:00 at the most', () => {
    assert.deepEqual(readConfig(usable()).MESSAGE_HOURS, { from: '08:00', until: '21:00' });
    assert.deepEqual(readConfig({ ...usable(), MESSAGE_HOURS: '09:30-18:00' }).MESSAGE_HOURS, {
      from: '09:30',
      until: '18:00',
    });
    for (const hours of ['07:59-20:00', '09:00-21:01', '18:00-09:00', '09:00', '9-20']) {
      assert.match(mistakes({ ...usable(), MESSAGE_HOURS: hours }), /MESSAGE_HOURS: expected times such as/);
    }
  });

  test('takes IANA zones only: an offset or an abbreviation does not know when the clocks change', () => {
    for (const zone of [
      'America/New_York',
      'Asia/Kolkata',
      'Australia/Lord_Howe',
      'America/Argentina/Ushuaia',
      'UTC',
    ]) {
      assert.ok(isTimeZone(zone), zone);
    }
    for (const zone of ['EST', '+05:30', 'GMT+5', 'America/Atlantis', '', 'america', '../etc/passwd']) {
      assert.ok(!isTimeZone(zone), zone);
    }
  });
});
