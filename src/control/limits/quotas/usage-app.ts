/**
 * The usage API: what a caller has used and has left, and exports for billing.
 *
 *   GET /usage           own usage in the present periods; administrators: ?account=ID&plan=NAME
 *   GET /usage/history   past periods; ?quota=NAME, administrators: ?account=ID
 *   GET /usage/export    ?quota=NAME&period=ID: all accounts of a period, for administrators; ?format=csv|json,
 *                        ?partial=true
 */
import { hash } from 'node:crypto';
import { type Context, Hono } from 'hono';
import * as z from 'zod';
import type { Clock } from '../../../base/clock.ts';
import type { ErrorFormat } from '../../../data/contract/snapshot.ts';
import { fieldProblems } from '../../field-problems.ts';
import { type ApiCaller, REFUSALS, type ReadCaller, type Refusal, refuse } from '../http.ts';
import { type ExportProblem, exportCsv, GRACE_MS, type UsageExport, type UsageReader } from './usage.ts';

/** What each operation is asked; the API document is made of them. */
export const usageQuery = z.object({ account: z.string().optional(), plan: z.string().optional() });
export const historyQuery = z.object({ account: z.string().optional(), quota: z.string().optional() });
export const exportQuery = z.object({
  quota: z.string('the name of a quota'),
  period: z.string('a period such as 2026-07-01, 2026-W27 or 2026-07'),
  format: z.enum(['json', 'csv'], 'json or csv').optional(),
  partial: z.enum(['true', 'false'], 'true or false').optional(),
});

export interface UsageAppParts {
  readonly usage: UsageReader;
  readonly caller: ReadCaller;
  readonly errorFormat: () => ErrorFormat;
  readonly clock: Clock;
}

const EXPORT_REFUSALS: Readonly<Record<ExportProblem, Refusal>> = {
  unknownQuota: { status: 404, code: 'RESOURCE_NOT_FOUND', message: 'there is no such quota' },
  unknownPeriod: {
    status: 400,
    code: 'VALIDATION_ERROR',
    message: 'that is no past or present period of the quota: 2026-07-01, 2026-W27 or 2026-07',
  },
  notOver: {
    status: 409,
    code: 'PERIOD_NOT_OVER',
    message: `the period is not over for ${GRACE_MS / 60_000} minutes; partial=true exports what there is`,
  },
};

export function createUsageApp({ usage, caller, errorFormat, clock }: UsageAppParts): Hono {
  const app = new Hono();
  const no = (context: Context, refusal: Refusal): Response => refuse(context, refusal, errorFormat(), clock.wallMs());

  /** The account that is asked about, or why not. */
  const accountFor = (context: Context, who: ApiCaller): string | Refusal => {
    const named = context.req.query('account');
    if (named === undefined || named === who.account) {
      if (who.account !== null) return who.account;
      return { status: 400, code: 'VALIDATION_ERROR', message: 'account is needed' };
    }
    return who.isAdmin ? named : REFUSALS.forbidden;
  };

  app.get('/usage', async (context) => {
    const who = caller(context);
    if (who === null) return no(context, REFUSALS.unauthenticated);
    const account = accountFor(context, who);
    if (typeof account !== 'string') return no(context, account);
    // The plan of a quota that an account has not used yet is not stored.
    const plan = account === who.account ? who.plan : (context.req.query('plan') ?? null);
    context.header('cache-control', 'no-store');
    return context.json({ account, plan, quotas: await usage.present(account, plan) });
  });

  app.get('/usage/history', async (context) => {
    const who = caller(context);
    if (who === null) return no(context, REFUSALS.unauthenticated);
    const account = accountFor(context, who);
    if (typeof account !== 'string') return no(context, account);
    context.header('cache-control', 'no-store');
    return context.json({ account, periods: await usage.history(account, context.req.query('quota') ?? null) });
  });

  app.get('/usage/export', async (context) => {
    const who = caller(context);
    if (who === null) return no(context, REFUSALS.unauthenticated);
    if (!who.isAdmin) return no(context, REFUSALS.forbidden);
    const asked = context.req.query();
    const read = exportQuery.safeParse(asked);
    if (!read.success) {
      const fields = fieldProblems(read.error, asked);
      const message = `${fields[0]?.field ?? 'the query'} is not valid`;
      return no(context, { status: 400, code: 'VALIDATION_ERROR', message, fields });
    }
    const { quota, period, format = 'json', partial } = read.data;
    const found = await usage.export(quota, period, partial === 'true');
    return typeof found === 'string' ? no(context, EXPORT_REFUSALS[found]) : exportResponse(context, found, format);
  });

  return app;
}

/** The same bytes and the same tag each time, once the period is final. */
function exportResponse(context: Context, found: UsageExport, format: 'json' | 'csv'): Response {
  const body = format === 'csv' ? exportCsv(found) : `${JSON.stringify(found)}\n`;
  const tag = `"${hash('sha256', body, 'base64url')}"`;
  const name = `usage-${found.quota}-${found.period}.${format}`;
  const headers = {
    'content-type': format === 'csv' ? 'text/csv; charset=utf-8; header=present' : 'application/json',
    'content-disposition': `attachment; filename="${name}"`,
    'cache-control': 'no-store',
    etag: tag,
  };
  if (context.req.header('if-none-match') === tag) return context.body(null, 304, headers);
  return context.body(body, 200, headers);
}
