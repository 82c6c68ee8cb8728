import { webhookOrigin } from '#integrations/webhook-urls';
import * as notifications from '#notifications';
import type { Work } from '../workers.ts';

/** Sends what is due. What is left when its time is over is the next run's. */
export async function deliverReminders({
  scope,
  config,
  integrations,
  log,
  signal,
}: Work<'reminder-delivery'>): Promise<undefined> {
  const outside = { ...integrations, publicUrl: webhookOrigin(config) };
  const cap = { perDay: config.REMINDERS_PER_DAY, perWeek: config.REMINDERS_PER_WEEK };
  const more = await notifications.deliverDue(scope, { outside, cap, log, signal });
  if (more && !signal.aborted) await notifications.callForDelivery(scope);
}
