/**
 * Which services a speciality offers, unless a provider's own role says otherwise: a default for directories that
 * know specialities only. By the codes of the NUCC health care provider taxonomy; the longest prefix decides.
 */
export const CARE_SERVICES = ['HOME_VISIT', 'TELEHEALTH', 'TRANSPORTATION', 'MEAL_DELIVERY', 'WELLNESS_CHECK'] as const;
export type CareServiceType = (typeof CARE_SERVICES)[number];

const PRIMARY_CARE = ['HOME_VISIT', 'TELEHEALTH', 'WELLNESS_CHECK'] as const;
const NURSING = ['HOME_VISIT', 'WELLNESS_CHECK'] as const;
const COUNSELLING = ['TELEHEALTH', 'WELLNESS_CHECK'] as const;
const REMOTE = ['TELEHEALTH'] as const;
const THERAPY = ['HOME_VISIT', 'TELEHEALTH'] as const;
const RIDES = ['TRANSPORTATION'] as const;
const MEALS = ['MEAL_DELIVERY'] as const;

const BY_PREFIX = new Map<string, readonly CareServiceType[]>(
  Object.entries({
    // Physicians: general practice, family medicine, internal medicine, geriatrics, paediatrics; all others.
    '208D': PRIMARY_CARE,
    '207Q': PRIMARY_CARE,
    '207R00000X': PRIMARY_CARE,
    '207RG0300X': PRIMARY_CARE,
    '208000000X': PRIMARY_CARE,
    '20': REMOTE,
    // Nurse practitioners and physician assistants; registered, practical and vocational nurses.
    '363': PRIMARY_CARE,
    '163W': NURSING,
    '164': NURSING,
    // Counsellors, psychologists, social workers, family therapists; dietitians; case managers.
    '101Y': COUNSELLING,
    '103': COUNSELLING,
    '104': COUNSELLING,
    '106H': COUNSELLING,
    '133': COUNSELLING,
    '171M': COUNSELLING,
    // Physical, occupational and speech therapists; pharmacists.
    '225': THERAPY,
    '235Z': THERAPY,
    '1835': REMOTE,
    // Home health agencies and aides, home care, companions, homemakers, community health workers.
    '251E': NURSING,
    '253Z': NURSING,
    '372': NURSING,
    '374': NURSING,
    '376J': NURSING,
    '172V': NURSING,
    // Drivers, medical transport vans, taxis, buses and private vehicles.
    '172A': RIDES,
    '343': RIDES,
    '344': RIDES,
    '347': RIDES,
    // Home delivered meals.
    '332U': MEALS,
  }),
);

/** The services of a taxonomy code; none for an unknown one, so that nobody is booked for what they do not do. */
export function servicesOf(code: string): readonly CareServiceType[] {
  for (let length = code.length; length > 0; length--) {
    const services = BY_PREFIX.get(code.slice(0, length));
    if (services) return services;
  }
  return [];
}
