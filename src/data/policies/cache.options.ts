/** Options of `cache` and what they compile to. */
import * as z from 'zod';
import { duration, ratio, size } from '../../base/zod-units.ts';
import { headerName } from '../auth/schema-parts.options.ts';
import type { CacheSettings } from '../contract/cache.ts';
import { definePolicyOptions } from '../contract/options.ts';

const parameter = () =>
  z
    .string()
    .min(1)
    .max(200)
    .regex(/^[^&=#]+$/, 'must be the name of a query parameter, decoded');

const query = z.union([
  z.literal('all'),
  z.strictObject({ only: z.array(parameter()).max(100).describe('Parameters that count; all others are ignored.') }),
  z.strictObject({ without: z.array(parameter()).min(1).max(100).describe('Parameters that are ignored.') }),
]);

const key = z.strictObject({
  query: query
    .prefault('all')
    .describe(
      'What of the query counts: `all` of it as it stands, `{ only: [page] }` or `{ without: [utm_source] }`, where the order of parameters does not count either.',
    ),
  headers: z
    .array(headerName())
    .max(20)
    .prefault([])
    .describe('Request fields that count beside those that `Vary` of the response names.'),
  cookies: z
    .array(
      z
        .string()
        .min(1)
        .max(200)
        .regex(/^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/, 'must be the name of a cookie'),
    )
    .max(20)
    .prefault([])
    .describe('Cookies that count.'),
});

/** RFC 9110 §15: final statuses but 206 and 304. */
const cachedStatus = z
  .string()
  .regex(/^([2345]\d\d)$/, 'must be a status from 200 to 599')
  .refine((text) => text !== '206' && text !== '304', 'is never stored');

export const cacheSchema = z
  .union([
    z.literal('off'),
    z.strictObject({
      by: z
        .enum(['everyone', 'user', 'plan'])
        .prefault('everyone')
        .describe(
          'Who shares responses: `everyone`, the callers of one `plan`, or none: each `user` has its own responses, and `private` ones are stored too.',
        ),
      key: key.prefault({}).describe('What tells requests apart, beside scheme, host and path.'),
      lifetimes: z
        .record(cachedStatus, duration({ min: 1_000 }))
        .prefault({})
        .describe(
          'How long responses are fresh that do not say so themselves, by status: `{ 200: 1m, 404: 10s }`. Default: they are not stored, or validated at each use if they have a validator.',
        ),
      heuristics: z
        .union([z.literal('off'), ratio({ min: 0.001, max: 1 })])
        .prefault('off')
        .describe(
          'How long responses are fresh that say nothing and have no lifetime above: this share of the time between `Last-Modified` and `Date`, such as `10%`, a day at most (RFC 9111 §4.2.2). Default: no guesses.',
        ),
      staleWhileRevalidate: duration()
        .prefault('0s')
        .describe(
          'A response that has been stale for less than this is sent at once and refreshed beside, if it does not say otherwise (RFC 5861).',
        ),
      staleIfError: duration()
        .prefault('0s')
        .describe(
          'A response that has been stale for less than this is sent when the service fails, if it does not say otherwise (RFC 5861).',
        ),
      maxObjectSize: size({ min: 1_024, max: 1024 ** 3 })
        .prefault('8mb')
        .describe('Largest body that is stored; never more than an eighth of `stores.cacheMemory`.'),
      targetedFields: z
        .array(headerName())
        .max(10)
        .prefault(['Gatehouse-Cache-Control', 'CDN-Cache-Control'])
        .describe(
          'Response fields that replace `Cache-Control` and `Expires` for this cache; the first that is valid holds (RFC 9213).',
        ),
      requestDirectives: z
        .enum(['obey', 'ignore'])
        .prefault('obey')
        .describe(
          '`ignore`: `Cache-Control` of requests changes nothing, so that clients cannot make the service work. RFC 9111 §5.2.1 wants `obey`.',
        ),
      setCookie: z
        .enum(['refuse', 'store'])
        .prefault('refuse')
        .describe(
          '`store`: responses with `Set-Cookie` are stored and the cookie is given to everyone who gets them. Security: a session cookie in one makes all of them one user.',
        ),
      cacheStatus: z
        .boolean()
        .prefault(true)
        .describe('Says in the field `Cache-Status` how the cache handled the request (RFC 9211).'),
      wait: duration({ max: 60_000 })
        .prefault('10s')
        .describe('How long a request waits for another that fetches the same; `0s`: every one fetches for itself.'),
      countHits: z
        .boolean()
        .prefault(true)
        .describe(
          '`false`: requests that are answered from memory do not count in the limits and quotas of callers, and are answered when these are used up. Limits that are checked before authentication count all; `phase: limit` moves one behind it.',
        ),
      store: z
        .enum(['memory', 'redis'])
        .prefault('memory')
        .describe(
          '`memory`: of this machine. `redis`: there too (`stores.redis`), so that all gateways share what one of them fetched; while Redis is away responses come from memory and the service.',
        ),
      passFor: duration({ max: 3_600_000 })
        .prefault('2m')
        .describe('How long requests for a URL do not wait for each other after its response could not be stored.'),
    }),
  ])
  .describe(
    'Stores responses of the service, handler or aggregation and sends them again (RFC 9111). `{}`: by the rules of the RFC alone.',
  );

export const cacheOptions = definePolicyOptions({
  key: 'cache',
  schema: cacheSchema,
  levels: ['gateway', 'service', 'route'],
  compile(options, context, route) {
    if (options === 'off') return [];
    const { action = 'service' } = route;
    if (action === 'respond' || action === 'redirect') {
      // Of a wider level it is meant for the other routes.
      if (route.level === 'route')
        context.problem(`a route with ${action} has nothing to store: its response is made without asking anything`, {
          expected: 'a route with service, aggregate or handler',
        });
      return [];
    }
    if (action !== 'service' && route.level === 'route' && options.staleWhileRevalidate > 0)
      context.problem(`what a route with ${action} sends is never refreshed beside a request`, {
        at: ['staleWhileRevalidate'],
        expected: 'a route with service, or staleIfError',
      });
    if (options.by !== 'everyone' && route.isPublic === true)
      context.problem('a route with auth: public knows no caller', { at: ['by'], got: options.by });
    const stores = context.document?.['stores'] as { readonly redis?: string } | undefined;
    if (options.store === 'redis' && context.document !== undefined && (stores?.redis ?? '') === '')
      context.warning('there is no stores.redis, so responses are stored in the memory of this machine alone', {
        at: ['store'],
      });
    const { query: wanted } = options.key;
    const settings: CacheSettings = {
      key: {
        query:
          wanted === 'all'
            ? null
            : 'only' in wanted
              ? { mode: 'only', names: wanted.only }
              : { mode: 'without', names: wanted.without },
        headers: options.key.headers.map((name) => name.toLowerCase()).sort(),
        cookies: [...options.key.cookies].sort(),
        user: options.by === 'user',
        plan: options.by === 'plan',
        partition: '',
      },
      targets: options.targetedFields.map((name) => name.toLowerCase()),
      lifetimes: Object.entries(options.lifetimes).map(([status, ms]) => [Number(status), ms / 1_000]),
      heuristicShare: options.heuristics === 'off' ? 0 : options.heuristics,
      staleWhileRevalidateS: Math.floor(options.staleWhileRevalidate / 1_000),
      staleIfErrorS: Math.floor(options.staleIfError / 1_000),
      maxObjectBytes: options.maxObjectSize,
      storesSetCookie: options.setCookie === 'store',
      obeysRequests: options.requestDirectives === 'obey',
      tellsStatus: options.cacheStatus,
      waitMs: options.wait,
      passMs: options.passFor,
      countsHits: options.countHits,
      inRedis: options.store === 'redis',
    };
    return [{ name: 'cache', options: settings }];
  },
});
