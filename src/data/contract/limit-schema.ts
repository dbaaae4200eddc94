/**
 * The Zod types of limits, for the policies' options and for the control plane's `plans`: `60/1m` or an object in, a
 * `RuleSpec` out. Imported by option schemas only; workers never load zod.
 */
import * as z from 'zod';
import { duration } from '../../base/zod-units.ts';
import {
  ALGORITHMS,
  type Algorithm,
  MAX_LIMIT,
  MAX_WINDOW_MS,
  MIN_WINDOW_MS,
  parseLimit,
  type RuleSpec,
} from './limits.ts';

const EXPECTED = 'a limit such as 60/1m, or { limit: 60, window: 1m }';

/** Units: how many requests, or what they cost. */
const units = z.int().min(1).max(MAX_LIMIT);

const longForm = z.strictObject({
  limit: units.describe('Requests, or units of cost, per window.'),
  window: duration({ min: MIN_WINDOW_MS, max: MAX_WINDOW_MS }).describe('Length of the window, up to 31 days.'),
  algorithm: z
    .enum(ALGORITHMS)
    .optional()
    .describe(
      '`gcra` lets `burst` requests through at once and then one per window/limit; `sliding` counts the last window by the share that still overlaps; `fixed` starts anew at each full window of the day. Default: that of the block, then `gcra`.',
    ),
  burst: units.optional().describe('Requests at once, for `gcra`. Default: the limit.'),
});

type LimitOutput = (algorithm: Algorithm) => RuleSpec;

/** One limit. The result takes the algorithm that goes where the limit says none. */
export const limitSchema: z.ZodType<LimitOutput, string | z.input<typeof longForm>> = z
  .union([
    z
      .string()
      .meta({ pattern: '^\\d+\\s*/\\s*\\d+(\\.\\d+)?(ms|s|m|h|d)$' })
      .transform((text, context): LimitOutput => {
        const problem = parseLimit(text);
        if (typeof problem !== 'string') return (algorithm) => ({ ...problem, algorithm });
        context.issues.push({ code: 'custom', input: text, message: problem, params: { expected: EXPECTED } });
        return z.NEVER;
      }),
    longForm.transform(({ limit, window, algorithm, burst }): LimitOutput => {
      return (otherwise) => ({ limit, windowMs: window, algorithm: algorithm ?? otherwise, burst: burst ?? limit });
    }),
  ])
  .describe('A limit: `60/1m` is 60 requests a minute.');

/** Names of plans: they appear in fields of responses and in metrics. */
export const planName: z.ZodString = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/, 'must be letters, digits, `_`, `.` or `-`, at most 64');
