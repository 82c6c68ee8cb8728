/** What the ledger must know of visits and their patients to plan: one read, in the transaction of the change. */
import { sql } from 'kysely';
import * as care from '#care';
import { statement } from '#platform/database';
import type { Scope } from '#platform/scope';
import type { AppointmentStatus } from '#scheduling';
import { contactIndex, contactKind, contactOf } from './contact.ts';
import type { Kind, NotificationStatus } from './message.ts';
import type { Recipient } from './planner.ts';
import { allowedHours } from './policy.ts';

/** A row of the ledger, of the visit's revision. */
export interface Entry {
  readonly kind: Kind;
  readonly channel: care.Channel;
  readonly status: NotificationStatus;
  readonly attempts: number;
  readonly dueAt: Temporal.Instant;
  readonly sentAt: Temporal.Instant | null;
  readonly createdAt: Temporal.Instant;
}

export interface VisitToPlan {
  readonly id: string;
  readonly status: AppointmentStatus;
  readonly startsAt: Temporal.Instant;
  /** It was never a visit, or is none yet. */
  readonly wasHold: boolean;
  readonly recipient: Recipient;
  /** The first of the patient's ways that is open, as far as can be told now; the send decides anew. */
  readonly channel: care.Channel;
  readonly entries: readonly Entry[];
}

interface Asked {
  readonly visits: readonly string[];
  /** Every visit ahead of theirs. */
  readonly patients: readonly string[];
}

interface Row extends care.SealedContacts {
  readonly status: AppointmentStatus;
  readonly starts_at: Date;
  readonly was_hold: boolean;
  readonly patient_id: string;
  readonly patient_status: care.PatientStatus;
  readonly deleted: boolean;
  readonly time_zone: string;
  readonly preferences: care.Preferences;
  /** Of the numbers and addresses that anything was agreed to for. */
  readonly standings: readonly { readonly index: string; readonly open: boolean }[] | null;
  readonly ledger: readonly StoredEntry[] | null;
}

type Times = 'dueAt' | 'sentAt' | 'createdAt';
type StoredEntry = Omit<Entry, Times> & { readonly [T in Times]: string } & { readonly sentAt: string | null };

const facts = statement<{ visits: readonly string[]; patients: readonly string[]; at: string }, Row>(
  (_db, { visits, patients, at }) => ({
    compile: () =>
      sql<Row>`select * from reminder_facts(${visits}::uuid[], ${patients}::uuid[], ${at}::timestamptz)`.compile(_db),
  }),
);

/** In the order of ids. */
export async function visitsToPlan(scope: Scope, { visits, patients }: Asked): Promise<VisitToPlan[]> {
  const rows = await facts(scope.db, { visits, patients, at: scope.now.toString() });
  return rows.map((row) => toVisit(scope, row));
}

function toVisit(scope: Scope, row: Row): VisitToPlan {
  const contacts = contactsIn(scope, row);
  const channels = contacts === null ? [] : openChannels(scope, { row, contacts });
  const [channel] = channels;
  return {
    id: row.id,
    status: row.status,
    startsAt: row.starts_at.toTemporalInstant(),
    wasHold: row.was_hold,
    recipient: {
      timeZone: row.time_zone,
      hours: allowedHours(row.preferences, scope.clinic),
      unreachable: whyUnreachable(row, { contacts, channel }),
    },
    channel: channel ?? row.preferences.channels[0] ?? 'SMS',
    entries: (row.ledger ?? []).map(toEntry),
  };
}

type Contacts = ReturnType<typeof care.openContacts>;

function contactsIn(scope: Scope, { patient_id, data_key, identity }: Row): Contacts {
  return data_key === null ? null : care.openContacts(scope, { id: patient_id, data_key, identity });
}

/** Those that the patient has a contact for, in the patient's order; first those that may be used. */
function openChannels(
  { vault }: Scope,
  { row, contacts }: { row: Row; contacts: NonNullable<Contacts> },
): care.Channel[] {
  const open = new Set((row.standings ?? []).flatMap((standing) => (standing.open ? [standing.index] : [])));
  const ways = row.preferences.channels.flatMap((channel) => {
    const contact = contactOf(contacts, contactKind(channel));
    return contact === null ? [] : [{ channel, isOpen: open.has(contactIndex(vault, contact).toString('hex')) }];
  });
  return [...ways.filter(({ isOpen }) => isOpen), ...ways.filter(({ isOpen }) => !isOpen)].map(
    ({ channel }) => channel,
  );
}

function whyUnreachable(
  { patient_status, deleted, data_key }: Row,
  { contacts, channel }: { contacts: Contacts; channel: care.Channel | undefined },
): Recipient['unreachable'] {
  if (deleted || data_key === null || patient_status === 'DECEASED') return 'PATIENT_INACTIVE';
  if (contacts === null) return 'UNREADABLE';
  return channel === undefined ? 'NO_CHANNEL' : null;
}

function toEntry({ dueAt, sentAt, createdAt, ...entry }: StoredEntry): Entry {
  return {
    ...entry,
    dueAt: Temporal.Instant.from(dueAt),
    sentAt: sentAt === null ? null : Temporal.Instant.from(sentAt),
    createdAt: Temporal.Instant.from(createdAt),
  };
}
