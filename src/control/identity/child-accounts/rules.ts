/**
 * What a parent sets for a child: scopes, age rating, topics, hours and quotas. This file reads the rules and
 * answers questions about them; it touches no database. Every answer is narrowed to what the parent has itself.
 */
import * as z from 'zod';
import { plan, scopes } from '../fields.ts';

const timeOfDay = z.string('a time such as 07:30').regex(/^([01]\d|2[0-3]):[0-5]\d$|^24:00$/, 'a time such as 07:30');

const hours = z
  .strictObject({
    /** 0 is Sunday. */
    days: z
      .array(z.int('0 (Sunday) to 6').min(0, '0 (Sunday) to 6').max(6, '0 (Sunday) to 6'))
      .min(1, 'at least one day')
      .max(7, 'at most seven days'),
    from: timeOfDay,
    to: timeOfDay,
  })
  .refine((span) => span.from < span.to, { error: '"from" before "to"; two spans for a night' });

const timeZone = z
  .string('a time zone such as Europe/Berlin')
  .max(64)
  .refine(
    (zone) => {
      try {
        new Intl.DateTimeFormat('en', { timeZone: zone });
        return true;
      } catch {
        return false;
      }
    },
    { error: 'a time zone such as Europe/Berlin' },
  );

export const childRules = z.strictObject({
  /** Null: all that the parent has, without administration. */
  scopes: scopes.nullable().default(null),
  plan: plan.nullable().default(null),
  /** Highest age rating of content; never above the child's age. Null: the age. */
  contentRating: z
    .int('an age from 0 to 21')
    .min(0, 'an age from 0 to 21')
    .max(21, 'an age from 0 to 21')
    .nullable()
    .default(null),
  blockedTopics: z
    .array(z.string().regex(/^[a-z0-9-]{1,40}$/, 'a topic: lower-case letters, digits, "-"'))
    .max(50, 'at most 50 topics')
    .default([]),
  /** Empty: at all hours. */
  hours: z.array(hours).max(28, 'at most 28 spans').default([]),
  timeZone: timeZone.default('UTC'),
  /** Uses per day by name, such as `stories: 3`. */
  quotas: z
    .record(
      z.string().regex(/^[a-z][A-Za-z0-9-]{0,39}$/, 'a name such as stories'),
      z.int('a whole number').min(0, '0 or more').max(1_000_000, 'at most 1,000,000'),
    )
    .refine((value) => Object.keys(value).length <= 50, { error: 'at most 50 quotas' })
    .default({}),
});

export type ChildRules = z.output<typeof childRules>;

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
