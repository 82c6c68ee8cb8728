/** Addresses, and the time zone that follows from one. */
import type { Address } from '#care';
import { bestFirst, isCurrent, rankIn } from './mapping.ts';
import type { FhirAddress } from './resource.ts';
import { timeZoneOfState } from './time-zone.ts';

const USES = ['home', 'other', 'temp', 'work', 'billing', 'old'];

export interface PlacedAddress {
  readonly address: Address;
  readonly timeZone: string | null;
  readonly index: number;
}

/** The address where somebody is found: home before others, one in use before a former one. */
export function addressOf(addresses: readonly FhirAddress[], today: string): PlacedAddress | null {
  const ranked = bestFirst(addresses, (address) => [isCurrent(address, today) ? 0 : 1, rankIn(USES, address.use)]);
  for (const { value, index } of ranked) {
    const address = toAddress(value);
    const { lines, ...parts } = address;
    if (lines.length > 0 || Object.values(parts).some((part) => part !== null)) {
      return { address, timeZone: timeZoneOf(address), index };
    }
  }
  return null;
}

function toAddress({ line, city, state, postalCode, country }: FhirAddress): Address {
  const given = (value: string | null | undefined) => value?.trim() || null;
  return {
    lines: (line ?? []).flatMap((value) => given(value) ?? []),
    city: given(city),
    state: given(state),
    postalCode: given(postalCode),
    country: given(country),
  };
}

const UNITED_STATES = /^(us|usa|u\.s\.a?\.?|united states( of america)?)$/i;

function timeZoneOf({ state, country }: Address): string | null {
  // A state's code means another place in another country: CA, DE, IN.
  return state !== null && (country === null || UNITED_STATES.test(country)) ? timeZoneOfState(state) : null;
}
