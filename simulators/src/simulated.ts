/** What a platform without settings of its own is connected with. */
export const SIMULATED = {
  credentials: { accountSid: `AC${'0'.repeat(32)}`, authToken: 'the-simulators-own-token' },
  number: '+12025550100',
} as const;
