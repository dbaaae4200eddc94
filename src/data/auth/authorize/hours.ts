/**
 * Hours of the day at which something is allowed, in a time zone, by weekday. The answer changes at most once a minute,
 * so it is computed once a minute and not per request: asking the calendar costs some microseconds. Owner: one route.
 */

export interface HourSpan {
  /** 0 is Sunday. */
  readonly days: readonly number[];
  /** Minutes since midnight; `from` is inside, `to` is not. */
  readonly from: number;
  readonly to: number;
}

const MINUTE_MS = 60_000;
const WEEKDAYS = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'];

export class AllowedHours {
  readonly #spans: readonly HourSpan[];
  readonly #format: Intl.DateTimeFormat;
  #minute = -1;
  #allowed = false;

  /** Throws a RangeError for a time zone that does not exist. */
  constructor(spans: readonly HourSpan[], timeZone: string) {
    this.#spans = spans;
    this.#format = new Intl.DateTimeFormat('en-US', {
      timeZone,
      weekday: 'short',
      hour: '2-digit',
      minute: '2-digit',
      hourCycle: 'h23',
    });
  }

  allows(wallMs: number): boolean {
    const minute = Math.floor(wallMs / MINUTE_MS);
    if (minute === this.#minute) return this.#allowed;
    this.#minute = minute;
    this.#allowed = this.#compute(wallMs);
    return this.#allowed;
  }

  #compute(wallMs: number): boolean {
    let day = -1;
    let hour = 0;
    let minute = 0;
    for (const { type, value } of this.#format.formatToParts(wallMs)) {
      if (type === 'weekday') day = WEEKDAYS.indexOf(value);
      else if (type === 'hour') hour = Number(value);
      else if (type === 'minute') minute = Number(value);
    }
    const now = hour * 60 + minute;
    return this.#spans.some(({ days, from, to }) => days.includes(day) && now >= from && now < to);
  }
}
