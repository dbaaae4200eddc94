/**
 * The API of the cache, for administrators.
 *
 *   GET  /cache          sizes, shares, the largest and the most used
 *   POST /cache/purge    exactly one of { url }, { prefix }, { tag }, { all: true }; 200 when it is gone for all
 *                        workers. With a second tier, or in a cluster, `gateways` is `all`, or `this` while Redis or
 *                        the store of the cluster is away (`waits_for`: `redis` or `cluster`): the others follow
 */
import * as z from 'zod';
import type { ErrorFacts, ErrorFormat } from '../../base/error-body.ts';
import { type CacheControl, type CacheSettings, MAX_PURGE_PREFIX } from '../../data/contract/cache.ts';
import type { PurgeKind } from '../../data/contract/cache-tier.ts';
import { fieldProblems } from '../field-problems.ts';
import { gatewayIdentity } from '../gateway-identity.ts';
import { refusalResponse } from '../refusal-response.ts';
import type { CacheCounts } from './counts.ts';
import type { PurgeShare } from './fact-purges.ts';
import { purgeHere } from './purge-here.ts';

export interface CacheApiParts {
  readonly cache: CacheControl;
  readonly counts: CacheCounts;
  /** Tells other gateways; null where the cache is of this one alone. */
  readonly shared: () => PurgeShare | null;
  /** How the routes of the live configuration make keys. */
  readonly keys: () => readonly CacheSettings['key'][];
  readonly errorFormat: () => ErrorFormat;
  readonly basePath: string;
  /** The socket of the command line: whoever may open it is an administrator. */
  readonly isLocal: boolean;
}

const MAX_BODY_BYTES = 8 * 1024;
const SHOWN = 10;
const ADMIN_SCOPE = 'cache:admin';

const httpUrl = z.url({ protocol: /^https?$/, error: 'must be a URL such as https://host/path' });
/** Body of `POST /cache/purge`. */
export const purgeBody = z
  .strictObject({
    url: httpUrl.optional(),
    prefix: httpUrl.max(MAX_PURGE_PREFIX, `must have at most ${MAX_PURGE_PREFIX} bytes`).optional(),
    tag: z
      .string()
      .min(1)
      .max(200)
      .regex(/^[^\s,]+$/, 'must be one tag without blanks and commas')
      .optional(),
    all: z.literal(true).optional(),
  })
  .refine((body) => Object.values(body).filter((value) => value !== undefined).length === 1, {
    error: 'must have exactly one of url, prefix, tag and all',
  });

export function cacheApi(parts: CacheApiParts): (request: Request) => Promise<Response> {
  return async (request) => {
    const no = (facts: ErrorFacts): Response => refusalResponse(request, facts, parts.errorFormat());
    const { pathname } = new URL(request.url);
    if (!parts.isLocal) {
      const caller = gatewayIdentity((name) => request.headers.get(name) ?? undefined);
      if (caller === null)
        return no({ status: 401, code: 'AUTHENTICATION_REQUIRED', message: 'authentication is required' });
      // Who is an administrator at another issuer is that issuer's business.
      const isAdmin = caller.issuer === null && (caller.roles.includes('admin') || caller.scopes.includes(ADMIN_SCOPE));
      if (!isAdmin)
        return no({
          status: 403,
          code: 'INSUFFICIENT_PERMISSIONS',
          message: `this needs the role admin or the scope ${ADMIN_SCOPE}`,
        });
    }
    if (pathname === `${parts.basePath}/cache` && request.method === 'GET') return json(200, contents(parts));
    if (pathname === `${parts.basePath}/cache/purge` && request.method === 'POST')
      return await purge(parts, request, no);
    return no({
      status: 404,
      code: 'RESOURCE_NOT_FOUND',
      message: `there are GET ${parts.basePath}/cache and POST ${parts.basePath}/cache/purge`,
    });
  };
}

function contents({ cache, counts }: CacheApiParts): unknown {
  const { objects, usedBytes, totalBytes, evictions, resets } = cache.stats();
  return {
    objects,
    used_bytes: usedBytes,
    total_bytes: totalBytes,
    evictions,
    resets,
    ...counts.totals(),
    largest: cache.top('bytes', SHOWN),
    most_used: cache.top('hits', SHOWN),
  };
}

async function purge(
  { cache, keys, shared }: CacheApiParts,
  request: Request,
  no: (facts: ErrorFacts) => Response,
): Promise<Response> {
  if (Number(request.headers.get('content-length') ?? 0) > MAX_BODY_BYTES)
    return no({ status: 413, code: 'PAYLOAD_TOO_LARGE', message: 'the body is too large' });
  const text = await request.text();
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    return no({ status: 400, code: 'VALIDATION_ERROR', message: 'the body is not JSON' });
  }
  const read = purgeBody.safeParse(body);
  if (!read.success)
    return no({
      status: 400,
      code: 'VALIDATION_ERROR',
      message: 'the request is not valid',
      fields: fieldProblems(read.error, body),
    });
  const { url, prefix, tag } = read.data;
  const wanted: (readonly [PurgeKind, string])[] =
    url !== undefined
      ? cache.firstKeysOf(new URL(url), keys()).map((key) => ['key', key] as const)
      : [prefix !== undefined ? ['prefix', canonicalPrefix(prefix)] : tag !== undefined ? ['tag', tag] : ['all', '']];
  // Redis first: nobody here can then get from there what has just been purged.
  const purges = shared();
  const sent = purges === null ? [] : await Promise.all(wanted.map(([kind, text]) => purges.purge(kind, text)));
  if (!wanted.every(([kind, text]) => purgeHere(cache, kind, text)))
    return no({ status: 503, code: 'SERVICE_UNAVAILABLE', message: 'the cache is busy, try again' });
  if (purges === null) return json(200, { purged: read.data });
  if (sent.every(Boolean)) return json(200, { purged: read.data, gateways: 'all' });
  return json(200, { purged: read.data, gateways: 'this', waits_for: purges.by });
}

/**
 * As keys begin: scheme and host in lower case, no default port. A prefix of nothing but a host ends with its slash.
 */
function canonicalPrefix(prefix: string): string {
  return new URL(prefix).href;
}

function json(status: number, body: unknown): Response {
  return new Response(JSON.stringify(body), {
    status,
    headers: { 'content-type': 'application/json', 'cache-control': 'no-store' },
  });
}
