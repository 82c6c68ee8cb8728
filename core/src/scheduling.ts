/**
 * Scheduling: the directory of providers, and appointments with them.
 *
 * Who gives the care is no patient: names stand in the clear, and reading them leaves no audit entry. Staff and
 * patients read, admins and the system write; a patient sees only who is active. Nothing is deleted.
 *
 * No two appointments that occupy time overlap for a patient, or for a provider with the buffers around them. Postgres
 * holds that rule, so it also holds between two requests in the same instant. Staff reach every appointment, a patient
 * only their own.
 */
import './scheduling/tables.ts';
import { NotFound } from '#platform/errors';
import { idOf } from '#platform/input';
import type { Page } from '#platform/page';
import { asSystem, type Scope, transact } from '#platform/scope';
import {
  type DirectoryOutcome,
  importInto,
  LOCATIONS,
  ORGANIZATIONS,
  PROVIDER_ROLES,
  PROVIDERS,
} from './scheduling/directory-import.ts';
import type {
  ImportedLocation,
  ImportedOrganization,
  ImportedProvider,
  ImportedProviderRole,
} from './scheduling/directory-input.ts';
import { permitRead } from './scheduling/policy.ts';
import { findProviders, findProvidersByIds, type Provider, type ProviderList } from './scheduling/provider.ts';

export {
  type Appointment,
  APPOINTMENT_STATUSES,
  type AppointmentStatus,
  CANCELLATION_REASONS,
  type CancellationReason,
} from './scheduling/appointment.ts';
export {
  type AppointmentList,
  appointments,
  appointmentsByIds,
  appointmentsOfPatients,
  findAppointment,
  getAppointment,
  upcomingAppointments,
} from './scheduling/appointment-list.ts';
export { hold, schedule } from './scheduling/booking.ts';
export type {
  Booking,
  Cancellation,
  HoldRequest,
  Move,
  Override,
  StatusChange,
  Step,
  Update,
} from './scheduling/booking-input.ts';
export type { Hours, WeeklyHours } from './scheduling/availability.ts';
export { CLINIC_HOURS } from './scheduling/availability.ts';
export {
  type CareService,
  type CareServiceChanges,
  careServices,
  updateCareService,
} from './scheduling/care-service.ts';
export {
  exceptionsByProvider,
  type ProviderException,
  removeProviderException,
  setProviderException,
  setProviderTimeZone,
  setWeeklyHours,
} from './scheduling/hours.ts';
export type {
  DateRange,
  NewException,
  NewTimeOff,
  RemovedException,
  TimeSpan,
  TimeZoneChange,
  WeeklyHoursChange,
} from './scheduling/hours-input.ts';
export {
  addTimeOff,
  removeTimeOff,
  type TimeOff,
  type TimeOffAdded,
  timeOffByProvider,
} from './scheduling/time-off.ts';
export { callOff } from './scheduling/calling-off.ts';
export { APPOINTMENT_TOPICS, type AppointmentChanged, type AppointmentTopic } from './scheduling/change.ts';
export { mayOverrideConflict } from './scheduling/conflicts.ts';
export { type Conflict, CONFLICT_RULES, type ConflictRule, type Occurrence } from './scheduling/conflict.ts';
export { previewSeries, scheduleSeries } from './scheduling/series.ts';
export { cancelSeries, rescheduleSeries } from './scheduling/series-changes.ts';
export {
  SERIES_PARTS,
  type SeriesCancellation,
  type SeriesMove,
  type SeriesPart,
  type SeriesRequest,
} from './scheduling/series-input.ts';
export {
  AppointmentConflict,
  HoldExpired,
  IllegalTransition,
  PatientNotBookable,
  ProviderUnavailable,
  SeriesConflict,
  StaleCareService,
  StaleProvider,
  StaleVersion,
  TooLateToChange,
  TooManyHolds,
  UNAVAILABILITIES,
} from './scheduling/errors.ts';
export { type AppointmentChange, historiesOf } from './scheduling/history.ts';
export { dayBoard, type DayBoardRequest, type DayBoardRow, type TimeRange } from './scheduling/day-board.ts';
export { expireHolds } from './scheduling/holds.ts';
export { DISAMBIGUATIONS, isAmbiguous } from './scheduling/local-time.ts';
export { cancel, changeStatus, checkIn, complete, confirm, markNoShow, start, update } from './scheduling/moves.ts';
export { importPastVisits, type PastVisits } from './scheduling/past-visits.ts';
export { isInTimeForPatient } from './scheduling/policy.ts';
export { reschedule } from './scheduling/rescheduling.ts';
export { type Following, followAppointments } from './scheduling/following.ts';
export type { DirectoryOutcome } from './scheduling/directory-import.ts';
export type {
  ImportedLocation,
  ImportedOrganization,
  ImportedProvider,
  ImportedProviderRole,
} from './scheduling/directory-input.ts';
export {
  type DirectoryState,
  directoryStates,
  requestSync,
  STALE_MINUTES,
  visitsInBusyTimes,
} from './scheduling/directory-state.ts';
export { DIRECTORY_DAYS, type DirectorySynced, syncDirectory } from './scheduling/directory-sync.ts';
export { DIRECTORY_PROBLEMS, type DirectoryProblem } from './scheduling/directory-times.ts';
export type { Provider, ProviderList } from './scheduling/provider.ts';
export { availableSlots, type Slot, type SlotSearch } from './scheduling/slots.ts';
export { type Coverage, ON_NO_SHOW, type OnNoShow } from './scheduling/cover-terms.ts';
export { CARE_SERVICES, type CareServiceType, servicesOf } from './scheduling/speciality.ts';
export { type VisitFacts, visitsAhead, visitsOf } from './scheduling/visits.ts';

declare module '#platform/events' {
  interface Events {
    'organization.created': { organizationId: string };
    'organization.updated': { organizationId: string };
    'location.created': { locationId: string };
    'location.updated': { locationId: string };
    'provider.created': { providerId: string };
    /** Also when a role of theirs was added or changed. */
    'provider.updated': { providerId: string };
  }
}

/**
 * Active providers in the order of their names, of one service or all; `search` takes the first letters of words of
 * the name, in any order, whatever their case and accents. Throws InvalidInput, Forbidden.
 */
export async function providers(scope: Scope, input: ProviderList = {}): Promise<Page<Provider>> {
  await permitRead(scope, { action: 'provider.list', resourceType: 'Provider' });
  return transact(scope, (scope) => findProviders(scope, input));
}

/** The provider with this id; for staff the inactive too. Throws NotFound, Forbidden. */
export async function getProvider(scope: Scope, id: string): Promise<Provider> {
  const provider = (await providersByIds(scope, [id])).get(idOf(id));
  if (!provider) throw new NotFound('Provider');
  return provider;
}

/** Those of the ids that are providers the caller may see, by id: one query, for loaders. Throws Forbidden. */
export async function providersByIds(scope: Scope, ids: readonly string[]): Promise<ReadonlyMap<string, Provider>> {
  await permitRead(scope, { action: 'provider.read', resourceType: 'Provider', resourceIds: ids });
  return transact(scope, (scope) => findProvidersByIds(scope, ids));
}

/**
 * Providers as a visit names them, by id: the inactive too, also to a patient who has been with one. For loaders.
 * Throws Forbidden.
 */
export async function providersOnRecord(scope: Scope, ids: readonly string[]): Promise<ReadonlyMap<string, Provider>> {
  await permitRead(scope, { action: 'provider.read', resourceType: 'Provider', resourceIds: ids });
  return transact(asSystem(scope), (scope) => findProvidersByIds(scope, ids));
}

/**
 * Creates or updates organizations by external id, some hundreds at a time, in one transaction. The outcomes are in
 * the order of the records; a bad record is refused by itself; the same records again change nothing. System and
 * admins only. Throws Forbidden.
 */
export function importOrganizations(
  scope: Scope,
  records: readonly ImportedOrganization[],
): Promise<DirectoryOutcome[]> {
  return importInto(scope, ORGANIZATIONS, records);
}

/** Like {@link importOrganizations}; a location's organization must be known. Throws Forbidden. */
export function importLocations(scope: Scope, records: readonly ImportedLocation[]): Promise<DirectoryOutcome[]> {
  return importInto(scope, LOCATIONS, records);
}

/** Like {@link importOrganizations}, for the people themselves, by NPI where they have one. Throws Forbidden. */
export function importProviders(scope: Scope, records: readonly ImportedProvider[]): Promise<DirectoryOutcome[]> {
  return importInto(scope, PROVIDERS, records);
}

/**
 * Like {@link importOrganizations}, for what providers do and where. A role's services are those of its speciality
 * unless it names its own. Provider, organization and location must be known. Throws Forbidden.
 */
export function importProviderRoles(
  scope: Scope,
  records: readonly ImportedProviderRole[],
): Promise<DirectoryOutcome[]> {
  return importInto(scope, PROVIDER_ROLES, records);
}
