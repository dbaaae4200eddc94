/**
 * The key `abuse`: what counts against callers, how much is allowed, and how long bans last. Without it no rule bans.
 */
import * as z from 'zod';
import { cidr, duration } from '../../../base/zod-units.ts';
import { limitSchema } from '../../../data/contract/limit-schema.ts';
import { ABUSE_EVENTS, type AbuseEvent, type AbuseRule, type AbuseRules } from '../../../data/contract/limits.ts';
import { defineSection } from '../../config/section.ts';

export interface BanTimes {
  readonly firstMs: number;
  readonly factor: number;
  readonly longestMs: number;
  readonly forgetMs: number;
}

export interface AbusePlan {
  readonly rules: AbuseRules;
  readonly times: BanTimes;
  readonly maxBans: number;
}

const BY_STATUS: Readonly<Record<number, AbuseEvent>> = {
  401: 'unauthorized',
  403: 'forbidden',
  404: 'notFound',
  429: 'tooMany',
};

const event = z
  .union([z.enum(ABUSE_EVENTS), z.literal([401, 403, 404, 429])])
  .describe(
    '`401`, `403`, `404`, `429`, `malformed` (a head that is no HTTP), `scan` (a path of `scanPaths` that is not there), `failedLogin`.',
  );

const rule = z.strictObject({
  name: z
    .string()
    .regex(/^[a-z][A-Za-z0-9-]{0,39}$/, 'must be a name such as guessing')
    .describe('In logs, metrics and the list of bans.'),
  on: z.array(event).min(1).describe('What counts.'),
  by: z
    .enum(['address', 'user', 'key'])
    .prefault('address')
    .describe('Against whom it counts, and who is banned. IPv6 by /64.'),
  limit: limitSchema.describe('So many are borne: `20/1m`; the next one bans.'),
});

type WrittenRule = z.input<typeof rule>;

/** A person who mistypes stays below these; a program that tries does not. */
const SHIPPED_RULES: readonly WrittenRule[] = [
  { name: 'guessing', on: [401, 403, 'failedLogin'], by: 'address', limit: '30/1m' },
  { name: 'scanning', on: ['scan'], by: 'address', limit: '3/10m' },
  { name: 'probing', on: [404], by: 'address', limit: '120/1m' },
  { name: 'nonsense', on: ['malformed'], by: 'address', limit: '20/1m' },
  { name: 'ignoring', on: [429], by: 'address', limit: '600/1m' },
  { name: 'leaked-key', on: [403, 429], by: 'key', limit: '600/1m' },
];

const SHIPPED_SCAN_PATHS: readonly string[] = [
  '/.env',
  '/.git/',
  '/.aws/',
  '/.ssh/',
  '/.svn/',
  '/wp-login',
  '/wp-admin',
  '/xmlrpc.php',
  '/phpmyadmin',
  '/vendor/phpunit',
  '/cgi-bin/',
  '/boaform',
  '/etc/passwd',
  '/_ignition/',
];

export const abuseSchema = z.strictObject({
  rules: z
    .array(rule)
    .max(50)
    .prefault([...SHIPPED_RULES])
    .describe('Rules; what is written replaces the shipped ones.'),
  exempt: z
    .array(cidr())
    .max(1_000)
    .prefault([])
    .describe('Addresses that nothing counts against, such as your own monitoring.'),
  scanPaths: z
    .array(z.string().min(2).max(100).regex(/^\S+$/, 'must not contain blanks'))
    .max(200)
    .prefault([...SHIPPED_SCAN_PATHS])
    .describe('Parts of paths that only scanners ask for.'),
  ban: z
    .strictObject({
      first: duration({ min: 1_000 }).prefault('10m').describe('Length of the first ban.'),
      factor: z
        .number()
        .min(1)
        .max(100)
        .prefault(2)
        .describe('Each further ban of the same caller is so many times as long.'),
      longest: duration({ min: 1_000 }).prefault('1d').describe('No ban by rule is longer.'),
      forget: duration({ min: 1_000 })
        .prefault('7d')
        .describe('A ban longer ago than this does not count for the next one’s length.'),
    })
    .prefault({})
    .describe('How long callers who break a rule are kept out.'),
  maxBans: z
    .int()
    .min(1)
    .max(100_000)
    .prefault(10_000)
    .describe('Most bans at a time; beyond that the one that ends soonest makes room.'),
});

export const abuseSection = defineSection({
  at: 'top',
  key: 'abuse',
  schema: abuseSchema.describe(
    'Bans callers that misbehave: guessing, scanning, ignoring limits. `abuse: {}` is enough to begin with.',
  ),
  compile(options, context): AbusePlan | null {
    if (options === undefined) return null;
    const names = options.rules.map(({ name }) => name);
    for (const [index, name] of names.entries()) {
      if (names.indexOf(name) !== index)
        context.problem('there are two rules of this name', { at: ['rules', index, 'name'], got: name });
    }
    return planOf(options);
  },
});

export function planOf(options: z.output<typeof abuseSchema>): AbusePlan {
  const rules = options.rules.map(({ name, on, by, limit }): AbuseRule => {
    const events = new Set(on.map((one) => (typeof one === 'number' ? (BY_STATUS[one] as AbuseEvent) : one)));
    return { name, events: [...events], by, limit: limit('gcra') };
  });
  const { first, factor, longest, forget } = options.ban;
  return {
    rules: { rules, exempt: options.exempt, scanPaths: options.scanPaths.map((path) => path.toLowerCase()) },
    times: { firstMs: first, factor, longestMs: longest, forgetMs: forget },
    maxBans: options.maxBans,
  };
}
