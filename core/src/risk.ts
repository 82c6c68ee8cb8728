/**
 * Risk: who will probably not come, why, and how sure that is, so that staff can call, move or offer a ride.
 *
 * A score is for helping. It is no reason to refuse a visit or to book another one across it, and whatever decides about
 * visits cannot see it. What a model is told is what was known at the time of the score; who the patient is, is no part
 * of it. A model is chosen by an admin; what follows by itself is only a newer one of the same kind that does no worse,
 * or the fall back to the statistical one.
 */
import './risk/tables.ts';

export {
  activateModel,
  type Keyed,
  NothingToRollBack,
  requestTraining,
  riskModels,
  rollBackModel,
  type StoredModel,
  type Training,
} from './risk/activation.ts';
export type { ModelFigures } from './risk/fit-thread.ts';
export { followEvents } from './risk/following.ts';
export { history, type Span } from './risk/history.ts';
export { type LearningKind, type LearningOptions, readLessons, train } from './risk/learning.ts';
export { appointmentsByRisk, type NoShowRisk, type RiskList, risksOf } from './risk/list.ts';
export type { CalibrationBin, Measures } from './risk/measures.ts';
export { generateHistory, type GeneratedVisit } from './risk/model/generated-history.ts';
export { MODEL_KINDS, type ModelKind, RISK_BANDS, type RiskBand } from './risk/model/model.ts';
export { nightly } from './risk/night.ts';
export { type NightlyOptions, type Progress, scoreAhead } from './risk/nightly.ts';
export {
  keepReport,
  newestAlarms,
  type ReportInput,
  RISK_ALARMS,
  RISK_GROUPS,
  type RiskAlarm,
  type RiskGroup,
  type RiskGroupKind,
  type RiskReport,
  riskReport,
} from './risk/report.ts';
export { isUsualCare } from './risk/usual-care.ts';
