/** What a person must do, because the platform cannot or may not. */

export const TASK_KINDS = ['UNDELIVERABLE', 'UNDECIDABLE', 'REPLY', 'CHANGE_REQUESTED', 'CANNOT_COME'] as const;
export type TaskKind = (typeof TASK_KINDS)[number];

export const TASK_STATUSES = ['OPEN', 'CLAIMED', 'DONE'] as const;
export type TaskStatus = (typeof TASK_STATUSES)[number];
