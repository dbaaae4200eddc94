/**
 * Days, weeks and months of a time zone as spans of time. A day begins at local midnight, or at the first moment
 * after it where a clock change leaves midnight out; weeks begin on Monday (ISO 8601). Only `Intl` knows the zones,
 * so local times are found by asking it and correcting.
 */
export const PERIODS = ['day', 'week', 'month'] as const;
export type PeriodKind = (typeof PERIODS)[number];

export interface Period {
  /** `2026-07-01`, `2026-W27` or `2026-07`: sorts by time within its kind. */
  readonly id: string;
  readonly startMs: number;
  readonly endMs: number;
}

interface LocalDate {
  readonly year: number;
  readonly month: number;
  readonly day: number;
}

const DAY_MS = 86_400_000;
const formats = new Map<string, Intl.DateTimeFormat>();

export function isTimeZone(name: string): boolean {
  try {
    formatOf(name);
    return true;
  } catch {
    return false;
  }
}

export function periodAt(kind: PeriodKind, timeZone: string, wallMs: number): Period {
  const today = localDate(timeZone, wallMs);
  const first = firstDay(kind, today);
  const next = nextFirstDay(kind, first);
  return { id: idOf(kind, first), startMs: startOfDay(timeZone, first), endMs: startOfDay(timeZone, next) };
}

/** The period of an id such as `2026-07-01`, or undefined when it is none of the kind. */
export function periodOf(kind: PeriodKind, timeZone: string, id: string): Period | undefined {
  const date = dateOfId(kind, id);
  if (date === undefined) return undefined;
  const period = periodAt(kind, timeZone, startOfDay(timeZone, date) + 12 * 3_600_000);
  return period.id === id ? period : undefined;
}

function dateOfId(kind: PeriodKind, id: string): LocalDate | undefined {
  const match = /^(\d{4})-(?:W(\d{2})|(\d{2})(?:-(\d{2}))?)$/.exec(id);
  if (match === null) return undefined;
  const [, year = '', week, month, day] = match;
  if (kind === 'week') {
    if (week === undefined) return undefined;
    // ISO 8601: 4 January is always in week 1.
    const monday = addDays(mondayOf({ year: Number(year), month: 1, day: 4 }), 7 * (Number(week) - 1));
    return monday;
  }
  if (month === undefined || (kind === 'day') !== (day !== undefined)) return undefined;
  return { year: Number(year), month: Number(month), day: Number(day ?? 1) };
}

function formatOf(timeZone: string): Intl.DateTimeFormat {
  let format = formats.get(timeZone);
  if (format === undefined) {
    format = new Intl.DateTimeFormat('en-US', {
      timeZone,
      calendar: 'iso8601',
      numberingSystem: 'latn',
      hourCycle: 'h23',
      year: 'numeric',
      month: 'numeric',
      day: 'numeric',
      hour: 'numeric',
      minute: 'numeric',
      second: 'numeric',
    });
    formats.set(timeZone, format);
  }
  return format;
}

/** Local time as if it were UTC, in milliseconds, without fractions of a second. */
function localMs(timeZone: string, wallMs: number): number {
  const parts: Record<string, number> = {};
  for (const { type, value } of formatOf(timeZone).formatToParts(wallMs)) parts[type] = Number(value);
  const { year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0 } = parts;
  return Date.UTC(year, month - 1, day, hour, minute, second);
}

function localDate(timeZone: string, wallMs: number): LocalDate {
  return dateOf(localMs(timeZone, wallMs));
}

function dateOf(utcMs: number): LocalDate {
  const date = new Date(utcMs);
  return { year: date.getUTCFullYear(), month: date.getUTCMonth() + 1, day: date.getUTCDate() };
}

function utcOf({ year, month, day }: LocalDate): number {
  return Date.UTC(year, month - 1, day);
}

function addDays(date: LocalDate, days: number): LocalDate {
  return dateOf(utcOf(date) + days * DAY_MS);
}

function mondayOf(date: LocalDate): LocalDate {
  return addDays(date, -((new Date(utcOf(date)).getUTCDay() + 6) % 7));
}

function firstDay(kind: PeriodKind, date: LocalDate): LocalDate {
  if (kind === 'day') return date;
  return kind === 'week' ? mondayOf(date) : { ...date, day: 1 };
}

function nextFirstDay(kind: PeriodKind, first: LocalDate): LocalDate {
  if (kind === 'day') return addDays(first, 1);
  if (kind === 'week') return addDays(first, 7);
  return dateOf(Date.UTC(first.year, first.month, 1));
}

function idOf(kind: PeriodKind, first: LocalDate): string {
  const two = (value: number): string => String(value).padStart(2, '0');
  if (kind === 'week') {
    const thursday = addDays(first, 3);
    const week = 1 + Math.floor((utcOf(thursday) - Date.UTC(thursday.year, 0, 1)) / (7 * DAY_MS));
    return `${thursday.year}-W${two(week)}`;
  }
  const month = `${first.year}-${two(first.month)}`;
  return kind === 'month' ? month : `${month}-${two(first.day)}`;
}

/** The first moment of a local day. */
function startOfDay(timeZone: string, date: LocalDate): number {
  const wanted = utcOf(date);
  // The offset at about that time, then at the moment itself; where midnight falls into a gap, the local time found is
  // after it, and where it comes twice, the earlier one is wanted.
  let guess = wanted - (localMs(timeZone, wanted) - wanted);
  guess = guess + wanted - localMs(timeZone, guess);
  const earlier = guess - 3_600_000;
  if (localMs(timeZone, earlier) === wanted) return earlier;
  if (utcOf(localDate(timeZone, guess)) < wanted) return firstAfter(timeZone, guess, wanted);
  if (localMs(timeZone, guess) > wanted && utcOf(localDate(timeZone, guess - 1_000)) >= wanted) {
    return firstAfter(timeZone, earlier, wanted);
  }
  return guess;
}

/** The first minute after `from` whose local date is the wanted one; clock changes happen on whole minutes. */
function firstAfter(timeZone: string, from: number, wanted: number): number {
  for (let at = Math.floor(from / 60_000) * 60_000; ; at += 60_000) if (localMs(timeZone, at) >= wanted) return at;
}
