/** Everything that is sealed with the key ring itself, so that a rotation leaves nothing under an old key. */
import * as accounts from '#accounts';
import * as care from '#care';
import * as notifications from '#notifications';
import type { KeyColumn } from '#platform/rotation';

export const keyColumns: readonly KeyColumn[] = [
  care.wrappedKeys,
  accounts.wrappedKeys,
  accounts.sealedMessages,
  ...notifications.sealedWords,
];
