/**
 * The APIs of usage and bans in words, for API documents: at `/api/v1` for callers of the gateway, and below
 * `/api/features/limits` of the admin API. Queries and bodies are the schemas that check them.
 */
import * as z from 'zod';
import type { OperationText } from '../openapi-document.ts';
import { banBody, bansQuery } from './bans/bans-app.ts';
import { PERIODS } from './quotas/periods.ts';
import { exportQuery, historyQuery, usageQuery } from './quotas/usage-app.ts';

const time = z.iso.datetime();
const usage = z.object({
  quota: z.string(),
  per: z.enum(PERIODS),
  time_zone: z.string(),
  period: z.string(),
  start: time,
  end: time,
  used: z.int(),
  reserved: z.int().describe('Granted to workers and not reported yet.'),
  limit: z.int().nullable().describe('Null: unlimited.'),
  remaining: z.int().nullable(),
});
const usageResponse = z.object({ account: z.string(), plan: z.string().nullable(), quotas: z.array(usage) });
const historyResponse = z.object({
  account: z.string(),
  periods: z.array(z.object({ quota: z.string(), period: z.string(), used: z.int() })),
});
const exportResponse = z.object({
  id: z.string(),
  quota: z.string(),
  period: z.string(),
  start: time,
  end: time,
  final: z.boolean(),
  accounts: z.array(z.object({ account: z.string(), plan: z.string().nullable(), used: z.int(), late: z.int() })),
  total: z.int(),
});
const ban = z.object({
  id: z.string(),
  kind: z.enum(['address', 'user', 'key']),
  subject: z.string(),
  reason: z.string(),
  made_by: z.string(),
  made_at: time.nullable(),
  ends_at: time.nullable().describe('Null: never.'),
  lifted_at: time.nullable(),
  lifted_by: z.string().nullable(),
  strikes: z.int(),
});

/** `base` stands before each path; callers of the gateway may ask about themselves, operators must name the account. */
export function limitsOperations(base: string, who: 'callers' | 'operators'): Record<string, OperationText> {
  const ofCaller = who === 'callers' ? 'signed-in' : 'admin';
  const named = who === 'callers' ? {} : { account: z.string() };
  return {
    [`GET ${base}/usage`]: {
      summary: 'What an account has used and has left',
      who: ofCaller,
      query: usageQuery.extend(named),
      response: usageResponse,
    },
    [`GET ${base}/usage/history`]: {
      summary: 'What an account used in past periods',
      who: ofCaller,
      query: historyQuery.extend(named),
      response: historyResponse,
    },
    [`GET ${base}/usage/export`]: {
      summary: 'Usage of all accounts in a period',
      who: 'admin',
      query: exportQuery,
      response: exportResponse,
      otherTypes: ['text/csv'],
      ...(who === 'callers'
        ? { errors: { 400: 'Not a period of the quota', 404: 'There is no such quota', 409: 'The period is not over' } }
        : {}),
    },
    [`GET ${base}/bans`]: {
      summary: 'Bans that hold',
      who: 'admin',
      query: bansQuery,
      response: z.object({ bans: z.array(ban) }),
    },
    [`POST ${base}/bans`]: {
      summary: 'Bans an address, a user or a key',
      who: 'admin',
      status: 201,
      body: banBody,
      response: ban,
    },
    [`DELETE ${base}/bans/:id`]: { summary: 'Lifts a ban', who: 'admin', status: 204 },
  };
}
