/** The API of certificates in words, for the document of the admin API. */
import * as z from 'zod';
import { PRODUCT_VERSION } from '../config/version.ts';
import { describeApi, inlinePaths, type Mapping } from '../openapi-document.ts';

const certificate = z.object({
  name: z.string(),
  source: z.literal('acme'),
  validUntil: z.iso.datetime().nullable().describe('Null: there is no certificate yet.'),
  renewAt: z.iso.datetime().nullable(),
  ordering: z.boolean().describe('An order is under way, or is the next one.'),
  failures: z.int().describe('Orders that failed since the last that did not.'),
  nextTryAt: z.iso.datetime().nullable(),
  problem: z.string().nullable().describe('Why the last order failed.'),
});

export function operatorPaths(): Mapping {
  return inlinePaths(
    describeApi('certificates', PRODUCT_VERSION, {
      'GET ': {
        summary: 'Certificates from an authority, and why one is missing',
        who: 'admin',
        response: z.object({ certificates: z.array(certificate) }),
      },
      'POST /{name}/order': {
        summary: 'Orders a certificate now',
        who: 'admin',
        status: 202,
        response: z.object({ name: z.string(), ordering: z.literal(true) }),
      },
    }),
  );
}
