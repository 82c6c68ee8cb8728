import type { InputIssue } from '#platform/errors';

export type ImportOutcome =
  | { readonly outcome: 'created' | 'updated' | 'unchanged'; readonly patientId: string }
  | { readonly outcome: 'refused'; readonly issues: readonly InputIssue[] };
