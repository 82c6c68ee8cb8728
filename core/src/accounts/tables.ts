import type { ColumnType, Generated, Selectable } from 'kysely';
import type { Role } from '#platform/scope';

type Instant = ColumnType<Date, string, string>;
type OptionalInstant = ColumnType<Date | null, string | null | undefined, string | null>;

declare module '#platform/database' {
  interface Database {
    users: {
      /** A version 7 UUID made here, because the sealed values name it. */
      id: string;
      role: Exclude<Role, 'system'>;
      patient_id: string | null;
      /** The user's own key, wrapped by the key ring; gone after erasure, like everything sealed with it. */
      data_key: Buffer | null;
      /** Sealed JSON: e-mail address and display name. */
      identity: Buffer | null;
      email_index: Buffer | null;
      /** Somebody has proven or answers for the address: only then may an issuer's word link to this user. */
      email_verified: boolean;
      /** The argon2id hash in PHC form, sealed as well: without the key there is nothing to guess against. */
      password: Buffer | null;
      can_override: Generated<boolean>;
      demo: Generated<boolean>;
      disabled_at: OptionalInstant;
      created_at: Instant;
      updated_at: Instant;
    };
    sessions: {
      id: string;
      user_id: string;
      kind: 'browser' | 'client' | 'issuer' | 'api_key';
      /** SHA-256 of the bearer's token; null for a client, whose tokens are signed or in refresh_tokens. */
      token_hash: Buffer | null;
      name: string | null;
      scopes: string[] | null;
      ip_address: string | null;
      user_agent: string | null;
      created_at: Instant;
      last_seen_at: Instant;
      idle_expires_at: OptionalInstant;
      expires_at: Instant;
      ended_at: OptionalInstant;
    };
    refresh_tokens: {
      token_hash: Buffer;
      session_id: string;
      spent_at: OptionalInstant;
    };
    identities: {
      /** Blind index of issuer and subject: some issuers use the e-mail address as subject. */
      subject_index: Buffer;
      issuer: string;
      user_id: string;
      created_at: Instant;
    };
    throttles: {
      /** Blind index of what is counted: an e-mail address, an address of the network. */
      subject: Buffer;
      failures: number;
      blocked_until: Instant;
      expires_at: Instant;
    };
    verifications: {
      id: string;
      channel: 'sms' | 'email';
      contact_index: Buffer;
      /** Keyed, since a million codes are soon tried. */
      code_hash: Buffer;
      /** Sealed JSON: code and destination, for the delivery, which erases it. */
      message: Buffer | null;
      patient_ids: Generated<string[]>;
      /** Who asked, and whose record the contact is for; null for a registration. */
      patient_id: string | null;
      /** Sealed with that patient's key, until the code has proven it. */
      contact: Buffer | null;
      tries: Generated<number>;
      created_at: Instant;
      expires_at: Instant;
      sent_at: OptionalInstant;
      closed_at: OptionalInstant;
    };
  }
}

export type UserRow = Selectable<import('#platform/database').Database['users']>;
export type SessionRow = Selectable<import('#platform/database').Database['sessions']>;
