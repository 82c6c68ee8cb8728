import * as accounts from '#accounts';
import { Refused, Unknown } from '#integrations/guard';
import { type Answer, Cancel } from '#platform/job-consumer';
import type { Work } from '../workers.ts';

/** Sends a code. One that the other side will never take, or may have taken, is given up; the person can ask again. */
export async function sendVerificationCode({
  scope,
  payload,
  integrations,
}: Work<'verification-code'>): Promise<Answer> {
  const { sms, email } = integrations;
  const channels = {
    sms: { send: async (to: string, body: string) => void (await sms.send({ to, body })) },
    email: { send: async (to: string, text: string) => void (await email.send({ to, subject: SUBJECT, text })) },
  };
  try {
    return await accounts.deliverVerification(scope, payload.verificationId, channels).then(() => undefined);
  } catch (thrown) {
    if (thrown instanceof Refused) return new Cancel(`refused with ${thrown.code}`);
    if (thrown instanceof Unknown) return new Cancel(`not known whether sent: ${thrown.code}`);
    throw thrown;
  }
}

const SUBJECT = 'Your CareFlex code';
