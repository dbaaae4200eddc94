/** The API for operators in the document of the admin API: paths as the feature has them. */
import * as z from 'zod';
import { PRODUCT_VERSION } from '../config/version.ts';
import { describeApi, type Mapping } from '../openapi-document.ts';
import { banBody } from './bans/bans-app.ts';

export function operatorPaths(): Mapping {
  return describeApi('limits', PRODUCT_VERSION, {
    'GET /usage': {
      summary: 'What an account has used and has left',
      who: 'admin',
      query: z.object({ account: z.string(), plan: z.string().optional() }),
    },
    'GET /usage/history': {
      summary: 'What an account used in past periods',
      who: 'admin',
      query: z.object({ account: z.string(), quota: z.string().optional() }),
    },
    'GET /usage/export': {
      summary: 'Usage of all accounts in a period',
      who: 'admin',
      query: z.object({
        quota: z.string(),
        period: z.string(),
        format: z.enum(['json', 'csv']).optional(),
        partial: z.enum(['true', 'false']).optional(),
      }),
    },
    'GET /bans': { summary: 'Bans that hold', who: 'admin' },
    'POST /bans': {
      summary: 'Bans an address, a user or a key',
      who: 'admin',
      status: 201,
      ...(banBody === undefined ? {} : { body: banBody }),
    },
    'DELETE /bans/:id': { summary: 'Lifts a ban', who: 'admin', status: 204 },
  })['paths'] as Mapping;
}
