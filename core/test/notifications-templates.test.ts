import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as notifications from '#notifications';
import { transact } from '#platform/scope';
import { as, sandboxed } from './support/testing.ts';

const at = (text: string) => ({ startsAt: Temporal.Instant.from(text) });

describe('the templates that the platform comes with', () => {
  test(
    'say in a text message within its limit who writes, whom to call, and how to answer, even at their longest',
    sandboxed(async (scope) => {
      const system = as(scope, 'system');
      const clinic = { ...scope.clinic, name: 'Clínica de San José y Santa Ma', phone: '+12125550100' };
      const templates = await transact(system, (scope) =>
        notifications.templatesFor(scope, notifications.TEMPLATE_KINDS),
      );
      for (const language of notifications.LANGUAGES)
        for (const kind of notifications.TEMPLATE_KINDS) {
          const about = {
            visits: [at('2026-09-30T10:30:00Z')],
            timeZone: 'Pacific/Chatham',
            language,
            channel: 'SMS',
          } as const;
          const rendered = notifications.render(
            templates.get(kind, 'SMS', language),
            notifications.valuesOf(clinic, about),
          );
          assert.ok(rendered.encoding === 'GSM-7' && notifications.fits(rendered), rendered.text);
          assert.ok(rendered.text.includes('Clinica de San José') && rendered.text.includes('(212) 555-0100'));
        }
    }),
  );
});
