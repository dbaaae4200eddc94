/**
 * The key `quota` of a route: which of the quotas defined at the top level its requests count against, and what they
 * cost.
 */
import * as z from 'zod';
import { duration } from '../../base/zod-units.ts';
import type { QuotaSettings } from '../contract/limits.ts';
import { definePolicyOptions, type OptionContext } from '../contract/options.ts';

const name = z
  .string()
  .regex(/^[a-z][A-Za-z0-9-]{0,39}$/, 'must be a name such as stories')
  .describe('A quota that the key `quotas` defines.');

const one = z.strictObject({
  name,
  cost: z.int().min(1).max(1_000_000).prefault(1).describe('How much one request reserves.'),
  costHeader: z
    .string()
    .regex(/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/, 'must be a field name')
    .optional()
    .describe(
      'Field of the service’s answer that tells what the request cost in the end; it is charged instead of `cost`.',
    ),
  counts: z
    .enum(['success', 'answered', 'always'])
    .prefault('success')
    .describe(
      'Which requests count: those answered below 400, below 500, or all. The others give back what they reserved.',
    ),
  timeout: duration({ min: 10, max: 30_000 })
    .prefault('2s')
    .describe('Longest wait for the count, when it is not known here.'),
  whenAway: z
    .enum(['open', 'closed'])
    .prefault('closed')
    .describe('When the count cannot be had: let requests pass uncounted, or refuse them with 503.'),
  headers: z.boolean().prefault(true).describe('Tell callers with `RateLimit` and `RateLimit-Policy`.'),
});

const written = z.union([name, one]);

export const quotaOptions = definePolicyOptions({
  key: 'quota',
  schema: z
    .union([written, z.array(written).min(1).max(4)])
    .describe('Quota that each request of the route uses up, such as `stories`; several are all needed.'),
  levels: ['route'],
  policy: 'quota',
  compile(options, context) {
    const list = Array.isArray(options) ? options : [options];
    if (isPublic(context)) context.problem('a public route has no caller to count', { expected: 'no `auth: public`' });
    const settings = list.map((each, index): QuotaSettings => {
      const full = typeof each === 'string' ? one.parse({ name: each }) : each;
      checkName(full.name, context, Array.isArray(options) ? [index] : []);
      return {
        quota: full.name,
        cost: full.cost,
        costHeader: full.costHeader?.toLowerCase() ?? null,
        counts: full.counts,
        timeoutMs: full.timeout,
        whenAway: full.whenAway,
        headers: full.headers,
      };
    });
    return [{ name: 'quota', options: settings }];
  },
});

function isPublic({ path, document }: OptionContext): boolean {
  const routes = document?.['routes'] as readonly { readonly auth?: unknown }[] | undefined;
  return routes?.[Number(path[1])]?.auth === 'public';
}

function checkName(quota: string, context: OptionContext, at: (string | number)[]): void {
  if (context.document === undefined) return;
  const defined = Object.keys((context.document['quotas'] ?? {}) as object);
  if (defined.includes(quota)) return;
  const expected = defined.length === 0 ? 'a quota defined under `quotas`' : `one of ${defined.join(', ')}`;
  context.problem('there is no such quota', { at, got: quota, expected });
}
