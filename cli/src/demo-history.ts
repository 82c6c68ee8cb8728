/** A past for the demo, by a rule that is known (`generateHistory`), so that its screens show a model at work. */
import * as care from '@careflex/core/care';
import type { Scope } from '@careflex/core/platform/scope';
import * as risk from '@careflex/core/risk';
import * as scheduling from '@careflex/core/scheduling';

const SEED = 6;
const VISITS = 2_000;
const A_DAY = 16;
const MINUTES = 30;
const BATCH = 500;
/** The patient said so on the morning of the day before. */
const CONFIRMED_HOURS_AHEAD = 30;

/** Adds it unless there is any visit already. */
export async function addDemoHistory(scope: Scope): Promise<void> {
  if ((await scheduling.appointments(scope, { first: 1 })).items.length > 0) return;
  const patients = (await care.patients(scope, { first: 100, status: ['ACTIVE'] })).items.map(({ node }) => node.id);
  const offers = await offered(scope);
  if (patients.length === 0 || offers.length === 0) return;
  const visits = [...risk.generateHistory(SEED, VISITS, { visitsPerDay: A_DAY })];
  const toPast = (visit: risk.GeneratedVisit, i: number) => ({
    patientId: chosen(patients, numberIn(visit.patient)),
    ...chosen(offers, numberIn(visit.provider ?? '')),
    ...timesOf(scope, visit, i),
    minutes: MINUTES,
    missed: visit.noShow,
  });
  const past = visits.map(toPast);
  for (let from = 0; from < past.length; from += BATCH) {
    await scheduling.importPastVisits(scope, past.slice(from, from + BATCH));
  }
}

async function offered(scope: Scope): Promise<{ service: scheduling.CareServiceType; providerId: string }[]> {
  const offers = [];
  for (const service of scheduling.CARE_SERVICES) {
    const { items } = await scheduling.providers(scope, { service, first: 10 });
    offers.push(...items.map(({ node }) => ({ service, providerId: node.id })));
  }
  return offers;
}

const numberIn = (name: string): number => Number(/\d+$/.exec(name)?.[0] ?? 0);
const chosen = <T>(among: readonly T[], n: number): T => among[n % among.length] as T;

/** On working days that end with yesterday; each visit of a day half an hour after the one before. */
function timesOf({ now, clinic }: Scope, { leadDays, confirmed }: risk.GeneratedVisit, i: number) {
  const daysAgo = Math.ceil(VISITS / A_DAY) - Math.floor(i / A_DAY);
  const today = now.toZonedDateTimeISO(clinic.timeZone).startOfDay();
  const monday = today.subtract({ days: today.dayOfWeek - 1 });
  const day = monday.subtract({ weeks: Math.ceil(daysAgo / 5) }).add({ days: (5 - (daysAgo % 5)) % 5 });
  const start = day.add({ hours: 9, minutes: MINUTES * (i % A_DAY) });
  return {
    startsAt: start.toInstant(),
    bookedAt: (leadDays === 0 ? start.subtract({ minutes: 30 }) : start.subtract({ days: leadDays })).toInstant(),
    confirmedAt: confirmed === true ? start.toInstant().subtract({ hours: CONFIRMED_HOURS_AHEAD }) : null,
  };
}

/** As the nights would have done it, and an admin who then chose the advanced model. */
export async function learnFromDemo(scope: Scope): Promise<void> {
  const { node: used } = (await risk.riskModels(scope, { first: 1 })).items[0] ?? {};
  if (used !== undefined) return;
  await risk.nightly(scope);
  const advanced = (await risk.riskModels(scope)).items.find(({ node }) => node.kind === 'ADVANCED');
  if (advanced !== undefined) await risk.activateModel(scope, advanced.node.id);
}
