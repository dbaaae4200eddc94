/** Options of `hygiene`. */
import * as z from 'zod';
import { definePolicyOptions } from '../contract/options.ts';
import type { HygieneSettings } from './hygiene.ts';

const SERVER_FIELDS = ['server', 'x-powered-by', 'x-aspnet-version', 'x-aspnetmvc-version', 'x-runtime', 'x-generator'];

export const hygieneOptions = definePolicyOptions({
  key: 'hygiene',
  schema: z
    .strictObject({
      contentTypes: z
        .array(z.string().regex(/^[a-z0-9*.+-]+\/[a-z0-9*.+-]+$/, 'must be a content type such as application/json'))
        .min(1)
        .max(50)
        .optional()
        .describe(
          'Content types that a body may have, such as `application/json` or `image/*`; others are 415. Default: any.',
        ),
      maxQueryLength: z
        .int()
        .min(0)
        .max(65_536)
        .prefault(0)
        .describe(
          'Most characters of the query, beyond which it is 414. 0, the default, leaves it to the limit of the head.',
        ),
      maxQueryParameters: z
        .int()
        .min(0)
        .max(10_000)
        .prefault(0)
        .describe('Most query parameters. 0, the default, is any.'),
      duplicateParameters: z
        .enum(['pass', 'refuse'])
        .prefault('pass')
        .describe('A query parameter that stands twice, which one service reads as the first and another as the last.'),
      hideServer: z
        .boolean()
        .prefault(false)
        .describe('Takes fields such as `Server` and `X-Powered-By` out of responses of services.'),
    })
    .describe('Refuses what no request of an API needs, and hides what responses tell about the software behind.'),
  levels: ['gateway', 'service', 'route'],
  compile(options) {
    const settings: HygieneSettings = {
      contentTypes: options.contentTypes ?? null,
      maxQueryLength: options.maxQueryLength,
      maxQueryParameters: options.maxQueryParameters,
      refuseDuplicates: options.duplicateParameters === 'refuse',
      hiddenFields: options.hideServer ? SERVER_FIELDS : [],
    };
    return [{ name: 'hygiene', options: settings }];
  },
});
