/** The API of the cache in words, for API documents: that of the gateway, and that of operators in the admin API. */
import * as z from 'zod';
import { PRODUCT_VERSION } from '../config/version.ts';
import { describeApi, inlinePaths, type Mapping, type OperationText } from '../openapi-document.ts';
import { purgeBody } from './api.ts';

const objects = z.array(
  z.object({
    key: z.string(),
    bytes: z.int(),
    hits: z.int(),
    ageSeconds: z.number(),
    freshSeconds: z.number().describe('Negative: stale.'),
  }),
);
const contents = z.object({
  objects: z.int(),
  used_bytes: z.int(),
  total_bytes: z.int(),
  evictions: z.int(),
  resets: z.int(),
  requests: z.int(),
  hitShare: z.number(),
  results: z.record(z.string(), z.int()),
  redis: z.object({ reads: z.record(z.string(), z.int()), writes: z.record(z.string(), z.int()) }).optional(),
  largest: objects,
  most_used: objects,
});
const purged = z.object({
  purged: z.record(z.string(), z.union([z.string(), z.boolean()])),
  gateways: z.enum(['all', 'this']).optional().describe('`this`: the others follow when they can be reached.'),
});

export function cacheOperations(base: string): Record<string, OperationText> {
  return {
    [`GET ${base}`]: { summary: 'Sizes and contents of the cache', who: 'admin', response: contents },
    [`POST ${base}/purge`]: {
      summary: 'Removes responses from the cache',
      who: 'admin',
      body: purgeBody,
      response: purged,
    },
  };
}

export function operatorPaths(): Mapping {
  return inlinePaths(describeApi('cache', PRODUCT_VERSION, cacheOperations('')));
}
