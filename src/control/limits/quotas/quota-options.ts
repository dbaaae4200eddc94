/** The key `quotas`: what is counted per day, week or month, in whose time zone, and how parents and children share. */
import * as z from 'zod';
import { defineSection } from '../../config/section.ts';
import { isTimeZone, PERIODS, type PeriodKind } from './periods.ts';

export interface QuotaDefinition {
  readonly per: PeriodKind;
  readonly timeZone: string;
  /** For plans that name no amount; null is unlimited. */
  readonly limit: number | null;
  readonly share: 'own' | 'parent' | 'both';
}

export type QuotaDefinitions = Readonly<Record<string, QuotaDefinition>>;

const quotaName = z.string().regex(/^[a-z][A-Za-z0-9-]{0,39}$/, 'must be a name such as stories');

export const quotasOptions = z
  .record(
    quotaName,
    z.strictObject({
      per: z.enum(PERIODS).prefault('day').describe('Length of the period; weeks begin on Monday.'),
      timeZone: z
        .string()
        .refine(isTimeZone, 'must be a time zone such as Europe/Berlin')
        .prefault('UTC')
        .describe('Where its days begin at midnight.'),
      limit: z
        .union([z.int().min(0).max(1_000_000_000), z.literal('unlimited')])
        .prefault('unlimited')
        .describe('For callers whose plan says nothing of the quota. Unlimited use is counted too.'),
      share: z
        .enum(['own', 'parent', 'both'])
        .prefault('both')
        .describe('A child account uses up its own quota, its parent’s, or both: then neither may be passed.'),
    }),
  )
  .describe(
    'Quotas by name. A route counts against one with `quota: NAME`; plans give amounts with `quotas: { NAME: 5 }`.',
  );

export const quotasSection = defineSection({
  at: 'top',
  key: 'quotas',
  schema: quotasOptions,
  compile(options, context): QuotaDefinitions {
    const names = Object.keys(options ?? {});
    const plans = (context.document?.['plans'] ?? {}) as Readonly<Record<string, { readonly quotas?: object }>>;
    for (const [plan, { quotas }] of Object.entries(plans)) {
      for (const quota of Object.keys(quotas ?? {})) {
        if (names.includes(quota)) continue;
        context.problem(`plan ${plan} gives an amount of a quota that is not defined`, { at: [quota], got: quota });
      }
    }
    return Object.fromEntries(
      Object.entries(options ?? {}).map(([name, { per, timeZone, limit, share }]) => {
        return [name, { per, timeZone, limit: limit === 'unlimited' ? null : limit, share }];
      }),
    );
  },
});
