/** An answer of Twilio's API that is no success. */
export class ApiError extends Error {
  readonly status: number;
  readonly code: number;
  constructor(status: number, code: number, message: string) {
    super(message);
    this.status = status;
    this.code = code;
  }

  toJSON(): object {
    const { code, message, status } = this;
    return { code, message, more_info: `https://www.twilio.com/docs/errors/${code}`, status };
  }
}

/** What a send can be refused with, by Twilio's code. */
const AT_SEND: ReadonlyMap<number, string> = new Map([
  [21211, "The 'To' number is not a valid phone number."],
  [21408, 'Permission to send an SMS has not been enabled for the region of this number.'],
  [21610, 'Attempt to send to unsubscribed recipient.'],
  [21612, "The 'To' phone number is not currently reachable via SMS."],
  [21614, "'To' number is not a valid mobile number."],
]);

export const refusedWith = (code: number): ApiError =>
  new ApiError(400, code, AT_SEND.get(code) ?? `The request is refused with ${code}.`);

const FAULTS: ReadonlyMap<number, readonly [number, string]> = new Map([
  [429, [20429, 'Too Many Requests']],
  [500, [20500, 'Internal Server Error']],
  [503, [20503, 'Service Unavailable']],
]);

export function faultOf(status: number): ApiError {
  const [code, message] = FAULTS.get(status) ?? [20000 + status, `Answered with ${status} as it was told to`];
  return new ApiError(status, code, message);
}

/** Twilio's numbers for trying out errors fail here as they do there. */
export const MAGIC_NUMBERS: ReadonlyMap<string, number> = new Map([
  ['+15005550001', 21211],
  ['+15005550002', 21612],
  ['+15005550003', 21408],
  ['+15005550004', 21610],
  ['+15005550009', 21614],
]);
