import type { ColumnType, Generated } from 'kysely';
import type { ModelKind, ModelState, RiskBand } from './model/model.ts';

type Instant = ColumnType<Date, string, string>;
type NullableInstant = ColumnType<Date | null, string | null | undefined, string | null>;
/** Written as JSON text, read as the value. */
type Json<T> = ColumnType<T, string, string>;

export type ActivationCause = 'ADMIN' | 'NIGHTLY' | 'ROLL_BACK' | 'FALL_BACK';

declare module '#platform/database' {
  interface Database {
    risk_visits: { appointment_id: string; age_band: string | null };
    risk_models: {
      /** A version 7 UUID. */
      id: string;
      version: string;
      kind: ModelKind;
      state: Json<ModelState>;
      trained_from: string | null;
      trained_until: string | null;
      visits: number;
      no_shows: number;
      figures: Json<object>;
      created_by: string;
      created_at: Instant;
    };
    risk_activations: {
      /** A version 7 UUID. */
      id: string;
      /** Null: the built-in model. */
      model_id: string | null;
      cause: ActivationCause;
      /** What a roll-back goes back to; null: the built-in model. */
      before_id: string | null;
      activated_by: string;
      activated_at: Instant;
    };
    risk_scores: {
      appointment_id: string;
      starts_at: Instant;
      ahead: boolean;
      usual_care: boolean;
      probability: number;
      band: RiskBand;
      reasons: string[];
      features: Json<object>;
      model: string;
      scored_at: Instant;
    };
    risk_forecasts: {
      appointment_id: string;
      starts_at: Instant;
      service: string;
      provider_id: string;
      age_band: string | null;
      same_day: boolean;
      usual_care: boolean;
      probability: number;
      statistical: number;
      model: string;
      scored_at: Instant;
    };
    risk_runs: {
      id: string;
      at: Instant;
      model_id: string | null;
      total: number;
      done: Generated<number>;
      after_patient: string | null;
      after_starts_at: NullableInstant;
      after_id: string | null;
      finished_at: NullableInstant;
    };
    risk_reports: {
      id: string;
      from_at: Instant;
      until_at: Instant;
      model: string;
      figures: Json<object>;
      alarms: string[];
      created_at: Instant;
    };
    risk_cursor: { single: boolean; sequence: number };
  }
}
