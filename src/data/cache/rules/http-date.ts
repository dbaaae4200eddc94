/**
 * HTTP dates (RFC 9110 §5.6.7), all three forms that a recipient has to read, and nothing else: a date that is not one
 * is worth a response that is stale, never one that is fresh by accident. Case does not count: it means nothing else.
 */

const MONTHS: Readonly<Record<string, number>> = {
  Jan: 0,
  Feb: 1,
  Mar: 2,
  Apr: 3,
  May: 4,
  Jun: 5,
  Jul: 6,
  Aug: 7,
  Sep: 8,
  Oct: 9,
  Nov: 10,
  Dec: 11,
};
const MONTH = Object.keys(MONTHS).join('|');
const TIME = '(\\d\\d):(\\d\\d):(\\d\\d)';
const SHORT = '(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)';
const LONG = '(?:Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday)';
const IMF_FIXDATE = new RegExp(`^${SHORT}, (\\d\\d) (${MONTH}) (\\d{4}) ${TIME} GMT$`, 'i');
const RFC_850 = new RegExp(`^${LONG}, (\\d\\d)-(${MONTH})-(\\d\\d) ${TIME} GMT$`, 'i');
const ASCTIME = new RegExp(`^${SHORT} (${MONTH}) ([ \\d]\\d) ${TIME} (\\d{4})$`, 'i');

/** Milliseconds since 1970, or NaN. `nowMs` decides the century of a year of two digits. */
export function parseHttpDate(text: string, nowMs: number): number {
  const imf = IMF_FIXDATE.exec(text);
  if (imf !== null) return utc(Number(imf[3]), imf[2]!, imf[1]!, imf[4]!, imf[5]!, imf[6]!);
  const old = RFC_850.exec(text);
  if (old !== null) return utc(yearNear(Number(old[3]), nowMs), old[2]!, old[1]!, old[4]!, old[5]!, old[6]!);
  const c = ASCTIME.exec(text);
  return c === null ? Number.NaN : utc(Number(c[6]), c[1]!, c[2]!, c[3]!, c[4]!, c[5]!);
}

/** What appears to be more than 50 years in the future is in the past (RFC 9110 §5.6.7). */
function yearNear(twoDigits: number, nowMs: number): number {
  const thisYear = new Date(nowMs).getUTCFullYear();
  const year = thisYear - (thisYear % 100) + twoDigits;
  return year > thisYear + 50 ? year - 100 : year;
}

function monthOf(name: string): number {
  return MONTHS[name.slice(0, 1).toUpperCase() + name.slice(1).toLowerCase()]!;
}

function utc(year: number, month: string, day: string, hour: string, minute: string, second: string): number {
  const [d, h, m, s] = [Number(day), Number(hour), Number(minute), Number(second)];
  const ms = Date.UTC(year, monthOf(month), d, h, m, s);
  const isReal = h < 24 && m < 60 && s <= 60 && new Date(Date.UTC(year, monthOf(month), d)).getUTCDate() === d;
  return isReal ? ms : Number.NaN;
}
