/**
 * Notifications: what patients are told, when, and what they answer.
 *
 * The ledger is the truth: one row for each appointment, revision, kind and channel, written in the transaction of
 * the change that it follows from. Whatever sends looks at the row and at everything around it again, so a message for
 * a visit that has moved, was called off, or is unwanted never leaves; and none leaves twice.
 */
import './notifications/tables.ts';

export { callForDelivery, deliverDue, type DeliveryOptions } from './notifications/delivery.ts';
export { DELIVERY_CHANNEL } from './notifications/delivery-channel.ts';
export {
  type Consent,
  CONSENT_SOURCES,
  CONSENT_STATUSES,
  type ConsentSource,
  type ConsentStatus,
  CONTACT_KINDS,
  type ContactKind,
  OPT_OUT_SOURCES,
  type OptOutSource,
  type Purpose,
  PURPOSES,
} from './notifications/consent.ts';
export { recordConsent, withdrawConsent } from './notifications/consent-change.ts';
export { type ConsentImport, importConsents } from './notifications/consent-import.ts';
export type { NewConsent, Withdrawal } from './notifications/consent-input.ts';
export { consentHistory, consentsOf } from './notifications/consent-list.ts';
export type { Person } from './notifications/consent-record.ts';
export {
  type ContactStanding,
  contactsToAsk,
  type PatientContact,
  type Route,
  type Routes,
  routesTo,
  standing,
  type Standings,
} from './notifications/consent-standing.ts';
export { CONSENT_WORDINGS, type ConsentWording } from './notifications/consent-wording.ts';
export { forgetContactsOf } from './notifications/contact-erasure.ts';
export {
  type Holder,
  holderOptsIn,
  holderOptsOut,
  optIn,
  optOut,
  OptedOutByMessage,
  type OptOutInput,
  optOutsOf,
} from './notifications/opt-out.ts';
export type { OptOut } from './notifications/opt-out-record.ts';
export {
  type Kind,
  KINDS,
  type Notification,
  NOTIFICATION_STATUSES,
  type NotificationStatus,
  type Reason,
  REASONS,
} from './notifications/message.ts';
export { type Forecast, forecastsOf } from './notifications/forecast.ts';
export {
  findNotification,
  getNotification,
  notificationsOfAppointments,
  notificationsOfPatients,
  type ShownNotification,
} from './notifications/notification-list.ts';
export type { NotificationTopic } from './notifications/changed.ts';
export { followNotifications, type NotificationFollowing } from './notifications/following.ts';
export { NotPlanned, sendNow } from './notifications/send-now.ts';
export { followContact, followPatient, followVisit, forsakePatient } from './notifications/ledger.ts';
export { plan, type Planned, type PlannedVisit, type Recipient } from './notifications/planner.ts';
export {
  type AllowedHours,
  allowedHours,
  isAllowed,
  type KindPolicy,
  lastAllowedBefore,
  nextAllowed,
  POLICY,
} from './notifications/policy.ts';
export {
  closeTasksOf,
  type NewTask,
  openTask,
  TASK_KINDS,
  TASK_REASONS,
  TASK_STATUSES,
  type TaskChanged,
  type TaskKind,
  type TaskReason,
  type TaskStatus,
} from './notifications/task.ts';
export {
  ANSWER_KINDS,
  type AnswerKind,
  LANGUAGES,
  type Language,
  languageFor,
  type Template,
  TEMPLATE_KINDS,
  type TemplateKind,
  type Variable,
  VARIABLES,
} from './notifications/template.ts';
export { type Templates, templatesFor } from './notifications/template-current.ts';
export {
  type NewTemplate,
  type Preview,
  previewTemplate,
  saveTemplate,
  StaleTemplate,
  type TemplateFilter,
  templateHistory,
  type TemplatePreview,
  templates,
} from './notifications/template-save.ts';
export { type About, fits, render, type Rendered, REPLY_CODES, valuesOf } from './notifications/template-render.ts';
export { visitTimes } from './notifications/template-times.ts';
export { type Inbound, receive, type Reply } from './notifications/inbound.ts';
export { type Intent, INTENTS, understand } from './notifications/intent.ts';
export { sealedWords } from './notifications/sealed-words.ts';
export { forgetWordsOf } from './notifications/words-erasure.ts';
export { applyReports, type Report, report, type ReportOutcome } from './notifications/reports.ts';
export {
  followTasks,
  getTask,
  type Task,
  taskCounts,
  type TaskList,
  tasks,
  type TaskWords,
  taskWords,
} from './notifications/task-list.ts';
export {
  claimTask,
  completeTask,
  type Completion,
  releaseTask,
  StaleTask,
  TaskDone,
  type TaskStep,
  TaskTaken,
} from './notifications/task-work.ts';
