/**
 * The numbers of Postgres's advisory locks, which are one space for the whole database: each has one purpose here,
 * in code and in migrations. Whoever shares a number waits for strangers.
 */
export const LOCKS = {
  migration: 4_270_001,
  /** Taken by `sequence_events()`. */
  eventSequence: 4_270_002,
  /** Taken shared by `use_patient_search()`. */
  nameIndex: 4_270_003,
  auditSeal: 4_270_004,
  directoryImport: 4_270_006,
  /** Seeds of the hash of an id. The first two are taken by `lock_time()`. */
  providerTime: 4_270_010,
  patientTime: 4_270_011,
  agentState: 4_270_020,
  /** A seed of the hash of a number: what comes from it is answered one by one. */
  inboundNumber: 4_270_030,
  /** Messages are claimed by one process at a time. */
  messageClaim: 4_270_040,
  /** Seeds: of a message while it is on its way to the provider, and of who has claimed some while it lives. */
  messageUnderWay: 4_270_041,
  messageClaimant: 4_270_042,
} as const;
