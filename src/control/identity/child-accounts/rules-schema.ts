/**
 * What a parent may set for a child, as it is sent and stored. Loaded where there are children: accounts without them
 * need no schema.
 */
import * as z from 'zod';
import { plan, scopes } from '../fields.ts';
import type { User } from '../tables.ts';

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

/** A damaged rule set must close, not open: it throws, and the sign-in fails. */
export function readRules(child: User): ChildRules {
  return childRules.parse(JSON.parse(child.child_rules ?? '{}'));
}
