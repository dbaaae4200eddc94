/** Options of `idempotency`. */
import * as z from 'zod';
import { duration, size } from '../../base/zod-units.ts';
import { headerName } from '../auth/schema-parts.options.ts';
import { definePolicyOptions } from '../contract/options.ts';
import type { IdempotencySettings } from './idempotency.ts';

/** What says how a response is to be read. Set-Cookie is not among them: a cookie is given once. */
const FIELDS = [
  'cache-control',
  'content-encoding',
  'content-language',
  'content-location',
  'content-type',
  'etag',
  'last-modified',
  'link',
  'location',
];

const idempotencySchema = z
  .strictObject({
    required: z.boolean().prefault(false).describe('A request without `Idempotency-Key` is answered 400.'),
    methods: z
      .array(z.enum(['POST', 'PUT', 'PATCH', 'DELETE']))
      .min(1)
      .max(4)
      .prefault(['POST', 'PATCH'])
      .describe('Methods of requests whose keys count.'),
    keepFor: duration({ min: 1_000, max: 30 * 86_400_000 })
      .prefault('24h')
      .describe('How long the same key gets the first response.'),
    inProgress: duration({ min: 1_000, max: 86_400_000 })
      .prefault('5m')
      .describe('A request that has not ended after this has died with its gateway: its key may be used again.'),
    strangers: z
      .enum(['byAddress', 'byKey'])
      .prefault('byAddress')
      .describe(
        'Whose a key is on public routes: of the address that sent it (IPv6: of its /64), or of each client that knows it. `byKey` works also when a client changes its address, and needs keys that cannot be guessed: a client that has one gets the response.',
      ),
    maxRequestSize: size({ min: 1, max: 64 * 1024 ** 2 })
      .prefault('1mb')
      .describe('Largest body of a request with a key; it is held in memory. Beyond it is 413.'),
    maxResponseSize: size({ min: 1, max: 16 * 1024 ** 2 })
      .prefault('1mb')
      .describe('Largest response that is kept. The same key after a longer one is 409.'),
    store: z
      .enum(['sql', 'redis'])
      .prefault('sql')
      .describe(
        'Where keys and responses are kept: `sql` in `stores.sql` (over several gateways with PostgreSQL), `redis` in `stores.redis`, over all gateways that share it.',
      ),
    headers: z
      .array(headerName())
      .max(50)
      .prefault([])
      .describe('Response fields that are kept beside those that say how a response is to be read.'),
  })
  .describe(
    'Carries out a request with an `Idempotency-Key` once: the same request gets the first response, another one with that key is 422, one that comes meanwhile 409.',
  );

export const idempotencyOptions = definePolicyOptions({
  key: 'idempotency',
  schema: idempotencySchema,
  levels: ['service', 'route'],
  compile(options, context) {
    const stores = context.document?.['stores'] as { readonly redis?: string } | undefined;
    if (options.store === 'redis' && context.document !== undefined && !stores?.redis)
      context.problem('needs the key stores.redis', { at: ['store'], got: '"redis"' });
    const settings: IdempotencySettings = {
      methods: options.methods,
      isRequired: options.required,
      keptIn: options.store,
      keptForMs: options.keepFor,
      inProgressMs: options.inProgress,
      bindsToAddress: options.strangers === 'byAddress',
      maxRequestBytes: options.maxRequestSize,
      maxResponseBytes: options.maxResponseSize,
      fields: [...new Set([...FIELDS, ...options.headers.map((name) => name.toLowerCase())])],
    };
    return [{ name: 'idempotency', options: settings }];
  },
});
