/**
 * The time zone of a state or territory of the United States.
 *
 * Zones are those of the IANA time zone database (`zone1970.tab`), by state as the law draws them (49 CFR part 71).
 * A state that lies in two zones has the one where most of its people live: Boise for Idaho, Indianapolis for Indiana,
 * Central for Kansas, Nebraska, the Dakotas, Tennessee and Texas, Eastern for Florida, Kentucky and Michigan, Pacific
 * for Oregon. An address alone does not tell more; staff can set a patient's zone.
 */
const ZONES: Readonly<Record<string, string>> = {
  'America/New_York': `CT Connecticut, DC District of Columbia, DE Delaware, FL Florida, GA Georgia, KY Kentucky,
    MA Massachusetts, MD Maryland, ME Maine, NC North Carolina, NH New Hampshire, NJ New Jersey, NY New York, OH Ohio,
    PA Pennsylvania, RI Rhode Island, SC South Carolina, VA Virginia, VT Vermont, WV West Virginia`,
  'America/Detroit': 'MI Michigan',
  'America/Indiana/Indianapolis': 'IN Indiana',
  'America/Chicago': `AL Alabama, AR Arkansas, IA Iowa, IL Illinois, KS Kansas, LA Louisiana, MN Minnesota, MO Missouri,
    MS Mississippi, ND North Dakota, NE Nebraska, OK Oklahoma, SD South Dakota, TN Tennessee, TX Texas, WI Wisconsin`,
  'America/Denver': 'CO Colorado, MT Montana, NM New Mexico, UT Utah, WY Wyoming',
  'America/Boise': 'ID Idaho',
  'America/Phoenix': 'AZ Arizona',
  'America/Los_Angeles': 'CA California, NV Nevada, OR Oregon, WA Washington',
  'America/Anchorage': 'AK Alaska',
  'Pacific/Honolulu': 'HI Hawaii',
  'America/Puerto_Rico': 'PR Puerto Rico, VI U.S. Virgin Islands',
  'Pacific/Guam': 'GU Guam, MP Northern Mariana Islands',
  'Pacific/Pago_Pago': 'AS American Samoa',
};

const BY_STATE = new Map(
  Object.entries(ZONES).flatMap(([zone, states]) =>
    states.split(',').flatMap((state): [string, string][] => {
      const [code = '', ...name] = state.trim().toLowerCase().split(' ');
      return [
        [code, zone],
        [name.join(' '), zone],
      ];
    }),
  ),
);

/** By postal code (`KS`) or name (`Kansas`), in any case. Null for what is no state. */
export function timeZoneOfState(state: string): string | null {
  return BY_STATE.get(state.trim().toLowerCase()) ?? null;
}
