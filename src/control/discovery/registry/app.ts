/**
 * The registration API over HTTP. Everything needs the registration token; bodies are small and checked field by
 * field. The gateway serves it as the built-in service `builtin:registry`, so limits, logs and TLS are the gateway's.
 *
 *   POST   <path>/services/:name/instances                   register: 201 with the lease, 200 when the URL was there
 *   PUT    <path>/services/:name/instances/:id/heartbeat     keep alive; may change weight, zone, metadata
 *   DELETE <path>/services/:name/instances/:id               leave: 204
 *   GET    <path>/services/:name/instances                   list of one service
 *   GET    <path>/services                                   list of all
 */
import { hash, randomUUID, timingSafeEqual } from 'node:crypto';
import type { Context } from 'hono';
import { Hono } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import type { Clock } from '../../../base/clock.ts';
import type { ErrorFacts, ErrorFormat, FieldError } from '../../../base/error-body.ts';
import { errorBody } from '../../../base/error-body.ts';
import type { Logger } from '../../../base/log.ts';
import { readChanges, readRegistration } from './bodies.ts';
import type { Lease, RegisterResult } from './leases.ts';
import type { SharedRegistry } from './shared-registry.ts';

export interface RegistryAppDependencies {
  readonly registry: SharedRegistry;
  /** What may change with a reload is asked for with each request. */
  readonly current: () => {
    /** SHA-256 of each accepted token, hex. */
    readonly tokenHashes: readonly string[];
    readonly errorFormat: ErrorFormat;
  };
  readonly clock: Clock;
  readonly log: Logger;
  /** Default `/api/v1/registry`. */
  readonly path?: string;
}

/** A registration with the most metadata that is allowed fits. */
const MAX_BODY_BYTES = 16 * 1024;

type ApiError = ErrorFacts & { readonly status: 400 | 401 | 404 | 409 | 413 | 500 | 503 };

const UNAUTHENTICATED: ApiError = {
  status: 401,
  code: 'AUTHENTICATION_REQUIRED',
  message: 'a valid registration token is needed',
};
const TOO_LARGE: ApiError = {
  status: 413,
  code: 'PAYLOAD_TOO_LARGE',
  message: `the body is larger than ${MAX_BODY_BYTES} bytes`,
};
const UNSURE: ApiError = {
  status: 503,
  code: 'SERVICE_UNAVAILABLE',
  message:
    'this node does not know the registration, and the store of the cluster cannot be read to find out: try again',
};
/** Seconds. */
const TRY_AGAIN = '1';
const INTERNAL: ApiError = { status: 500, code: 'INTERNAL_ERROR', message: 'internal error' };

export function createRegistryApp(dependencies: RegistryAppDependencies): Hono {
  const { registry, log } = dependencies;
  const app = new Hono().basePath(dependencies.path ?? '/api/v1/registry');

  const refuse = (context: Context, error: ApiError): Response => {
    const { contentType, body } = errorBody(error, {
      format: dependencies.current().errorFormat,
      accept: context.req.header('accept'),
      requestId: context.req.header('x-request-id') ?? randomUUID(),
      path: context.req.path,
      wallMs: dependencies.clock.wallMs(),
    });
    const headers: Record<string, string> = { 'content-type': contentType };
    // RFC 9110 §11.6.1: a 401 names the scheme that would do.
    if (error.status === 401) headers['www-authenticate'] = 'Bearer realm="gatehouse registry"';
    if (error.status === 503) headers['retry-after'] = TRY_AGAIN;
    return context.body(body, error.status, headers);
  };

  app.onError((error, context) => {
    log.error('the registration API failed', { reason: error.message });
    return refuse(context, INTERNAL);
  });
  app.notFound((context) => refuse(context, notFound('there is no such endpoint')));

  app.use(async (context, next) => {
    context.header('cache-control', 'no-store');
    if (isAuthorized(context.req.header('authorization'), dependencies.current().tokenHashes)) return next();
    log.warn('registration refused: wrong or missing token', { path: context.req.path });
    return refuse(context, UNAUTHENTICATED);
  });
  app.use(bodyLimit({ maxSize: MAX_BODY_BYTES, onError: (context) => refuse(context, TOO_LARGE) }));

  app.post('/services/:name/instances', async (context) => {
    const body = await readJson(context);
    if ('problems' in body) return refuse(context, invalid(body.problems));
    const read = readRegistration(body.value, registry.settings);
    if ('problems' in read) return refuse(context, invalid(read.problems));
    const name = context.req.param('name');
    const result = await registry.register(name, read.value);
    if (!result.ok) return refuse(context, refusal(result, name, read.value.url));
    context.header('location', `${context.req.path}/${result.lease.id}`);
    return context.json(shown(result.lease), result.isNew ? 201 : 200);
  });

  app.put('/services/:name/instances/:id/heartbeat', async (context) => {
    const body = await readJson(context);
    if ('problems' in body) return refuse(context, invalid(body.problems));
    const read = readChanges(body.value);
    if ('problems' in read) return refuse(context, invalid(read.problems));
    const lease = await registry.heartbeat(context.req.param('name'), context.req.param('id'), read.value);
    if (lease === 'none' || lease === 'unsure') return refuse(context, lease === 'none' ? NO_LEASE : UNSURE);
    return context.json(shown(lease));
  });

  app.delete('/services/:name/instances/:id', async (context) => {
    const removed = await registry.remove(context.req.param('name'), context.req.param('id'));
    if (removed !== true) return refuse(context, removed === 'none' ? NO_LEASE : UNSURE);
    return context.body(null, 204);
  });

  app.get('/services/:name/instances', (context) => {
    const name = context.req.param('name');
    const leases = registry.list(name);
    if (leases === undefined) return refuse(context, noService(name));
    return context.json({ service: name, instances: leases.map(shown) });
  });

  app.get('/services', (context) => {
    const services = [...registry.listAll()].map(([service, leases]) => ({ service, instances: leases.map(shown) }));
    return context.json({ services });
  });

  return app;
}

const NO_LEASE = notFound('there is no such registration: it was never there, or it ran out; register again');

/** Compares digests, so that neither content nor length of a token shows in the time it takes. */
function isAuthorized(header: string | undefined, hashes: readonly string[]): boolean {
  const token = /^Bearer +(\S+)$/i.exec(header ?? '')?.[1];
  if (token === undefined) return false;
  const digest = hash('sha256', token, 'buffer');
  let found = false;
  for (const known of hashes) if (timingSafeEqual(digest, Buffer.from(known, 'hex'))) found = true;
  return found;
}

/** An empty body is no value; `null`, which JSON could also say, is none either. */
async function readJson(context: Context): Promise<{ value: unknown } | { problems: readonly FieldError[] }> {
  const text = await context.req.text();
  if (text === '') return { value: undefined };
  try {
    return { value: JSON.parse(text) };
  } catch {
    return { problems: [{ field: 'body', value: text.slice(0, 100), expected: 'a JSON object' }] };
  }
}

function invalid(fields: readonly FieldError[]): ApiError {
  const [first] = fields;
  const message =
    first === undefined ? 'the body is not valid' : `${first.field} is not valid: expected ${first.expected}`;
  return { status: 400, code: 'VALIDATION_ERROR', message, fields };
}

function notFound(message: string): ApiError {
  return { status: 404, code: 'RESOURCE_NOT_FOUND', message };
}

function noService(name: string): ApiError {
  return notFound(`there is no service ${JSON.stringify(name.slice(0, 100))} that takes registrations`);
}

function refusal(result: Extract<RegisterResult, { ok: false }>, name: string, url: string): ApiError {
  if (result.refusal === 'unknown') return noService(name);
  if (result.refusal === 'address') return invalid([{ field: 'url', value: url, expected: result.expected }]);
  return { status: 409, code: 'REGISTRY_FULL', message: `no more than ${result.most} instances can be registered` };
}

/** The lease as callers see it: times as ISO 8601, durations in milliseconds. */
function shown(lease: Lease): Record<string, unknown> {
  return {
    id: lease.id,
    service: lease.service,
    url: lease.url,
    weight: lease.weight,
    zone: lease.zone,
    metadata: lease.metadata,
    state: lease.state,
    heldUntil: lease.heldUntilMs === null ? null : new Date(lease.heldUntilMs).toISOString(),
    comebacks: lease.comebacks,
    leaseMs: lease.leaseMs,
    heartbeatMs: Math.floor(lease.leaseMs / 3),
    registeredAt: new Date(lease.registeredAtMs).toISOString(),
    expiresAt: new Date(lease.expiresAtMs).toISOString(),
  };
}
