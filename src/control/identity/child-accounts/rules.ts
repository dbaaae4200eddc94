/**
 * What a parent sets for a child: scopes, age rating, topics, hours and quotas. This file answers
 * questions about them; it touches no database. Every answer is narrowed to what the parent has itself.
 */
import type { ChildRules } from './rules-schema.ts';

const MINUTE = 60_000;

/**
 * The moment (milliseconds) until which the child may be signed in, `Infinity` without limit, or `undefined` when it
 * may not be now. Spans that touch, also over midnight, count as one.
 */
export function allowedUntil(rules: ChildRules, nowMs: number): number | undefined {
  if (rules.hours.length === 0) return Number.POSITIVE_INFINITY;
  let end = spanEnd(rules, nowMs);
  if (end === undefined) return undefined;
  // At most a week of touching spans; further on there is no end to find.
  for (let i = 0; i < 28 && end - nowMs < 7 * 86_400_000; i++) {
    const next = spanEnd(rules, end);
    if (next === undefined) return end;
    end = next;
  }
  return end;
}

/** The end of the span that holds `atMs`, or undefined. */
function spanEnd(rules: ChildRules, atMs: number): number | undefined {
  const local = localTime(atMs, rules.timeZone);
  let best: number | undefined;
  for (const span of rules.hours) {
    if (!span.days.includes(local.day)) continue;
    const from = minutesOf(span.from);
    const to = minutesOf(span.to);
    if (local.minutes >= from && local.minutes < to) best = Math.max(best ?? 0, to);
  }
  if (best === undefined) return undefined;
  return atMs - (atMs % MINUTE) + (best - local.minutes) * MINUTE;
}

function minutesOf(time: string): number {
  const [hour = '0', minute = '0'] = time.split(':');
  return Number(hour) * 60 + Number(minute);
}

const DAYS = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'];

function localTime(atMs: number, zone: string): { day: number; minutes: number } {
  const format = new Intl.DateTimeFormat('en-US', {
    timeZone: zone,
    weekday: 'short',
    hour: '2-digit',
    minute: '2-digit',
    hourCycle: 'h23',
  });
  const parts = Object.fromEntries(format.formatToParts(atMs).map((part) => [part.type, part.value]));
  return { day: DAYS.indexOf(parts['weekday'] ?? ''), minutes: Number(parts['hour']) * 60 + Number(parts['minute']) };
}

/** Whole years at `nowMs`, by the calendar in UTC; undefined without a birth date. */
export function ageOf(birthDate: string | null, nowMs: number): number | undefined {
  if (birthDate === null) return undefined;
  const today = new Date(nowMs).toISOString().slice(0, 10);
  const years = Number(today.slice(0, 4)) - Number(birthDate.slice(0, 4));
  return today.slice(5) < birthDate.slice(5) ? years - 1 : years;
}

const BANDS = [
  [18, '18+'],
  [16, '16-17'],
  [13, '13-15'],
  [7, '7-12'],
] as const;

/** The claim `age_band`: enough to decide about content, less than the date of birth. */
export function ageBand(age: number | undefined): string | null {
  if (age === undefined) return null;
  return BANDS.find(([least]) => age >= least)?.[1] ?? '0-6';
}
