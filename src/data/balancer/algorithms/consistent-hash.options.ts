/**
 * Options of consistent-hash in `loadBalancing`: what the key is, and how much more than its share one instance may
 * take.
 */
import * as z from 'zod';
import { defineBalancerOptions } from '../../contract/options.ts';
import type { ConsistentHashOptions } from './consistent-hash.ts';

const headerName = z.string().regex(/^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}$/, 'must be a field name');
const cookieName = z.string().regex(/^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}$/, 'must be a cookie name');
const queryName = z.string().regex(/^[^&=#\s]{1,128}$/, 'must be a query name, as it is written in the URL');

export const consistentHashOptions = defineBalancerOptions({
  algorithm: 'consistent-hash',
  schema: z.strictObject({
    by: z
      .union([
        z.enum(['path', 'user']),
        z.strictObject({ header: headerName.describe('Field of the request by whose value they are kept together.') }),
        z.strictObject({ cookie: cookieName.describe('Cookie by whose value.') }),
        z.strictObject({ query: queryName.describe('Parameter of the query by whose value.') }),
      ])
      .describe(
        'What keeps requests together: `path`, `user`, `{ header: X-Tenant }`, `{ cookie: basket }` or `{ query: id }`. A request without it goes by its address.',
      ),
    loadFactor: z
      .union([z.number().min(1.05).max(10), z.literal('off')])
      .prefault(1.25)
      .describe(
        'How many times its fair share of the requests in flight one instance may take before further keys go to their next choice. `off` keeps every key where it is, however uneven that is.',
      ),
  }),
  compile({ by, loadFactor }): ConsistentHashOptions {
    const bound = loadFactor === 'off' ? 0 : loadFactor;
    if (typeof by === 'string') return { by, name: '', loadFactor: bound };
    if ('header' in by) return { by: 'header', name: by.header.toLowerCase(), loadFactor: bound };
    if ('cookie' in by) return { by: 'cookie', name: by.cookie, loadFactor: bound };
    return { by: 'query', name: by.query, loadFactor: bound };
  },
});
