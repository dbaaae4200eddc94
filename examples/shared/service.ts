/**
 * What the services of CraftNudge and AIVillage share: who is asking (from the fields that the gateway writes), input
 * checked by a schema, refusals in the error format of their document, `/health` and `/status`, registration with a
 * lease, and a drill switch that makes one fail. Callers reach the services through the gateway only, so its
 * `X-Auth-*` fields are believed.
 */
import type { Server } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { serve } from '@hono/node-server';
import type { Context } from 'hono';
import { Hono } from 'hono';
import * as z from 'zod';
// In a project of your own: import { register } from 'gatehouse/registry';
import { type Lease, register } from '../../src/registry/index.ts';

export interface FieldProblem {
  readonly field: string;
  readonly value?: unknown;
  readonly expected: string;
}

export class Refusal extends Error {
  readonly status: number;
  readonly code: string;
  readonly field: FieldProblem | undefined;

  constructor(status: number, code: string, message: string, field?: FieldProblem) {
    super(message);
    this.status = status;
    this.code = code;
    this.field = field;
  }
}

export const notFound = (message: string): Refusal => new Refusal(404, 'RESOURCE_NOT_FOUND', message);

/** `nested` is the shape of the CraftNudge document, `flat` that of AIVillage's. */
export type ErrorShape = 'nested' | 'flat';

/** `errors`: every call answers 500. `slow`: answers late. `/health` says `down` in both. */
const drill = z.strictObject({
  mode: z.enum(['off', 'errors', 'slow']),
  delayMs: z.int().min(1).max(60_000).default(5_000),
});

export interface Caller {
  readonly id: string;
  readonly roles: readonly string[];
}

export function createApp(name: string, shape: ErrorShape): Hono {
  const started = Date.now();
  let state: z.output<typeof drill> = { mode: 'off', delayMs: 0 };
  const app = new Hono();
  app.use(async (context, next) => {
    await next();
    context.header('Served-By', process.env['INSTANCE'] ?? name);
  });
  app.get('/health', (context) =>
    state.mode === 'off' ? context.json({ status: 'ok' }) : context.json({ status: 'down' }, 503),
  );
  app.get('/status', (context) =>
    context.json({ status: 'running', uptime_seconds: Math.floor((Date.now() - started) / 1_000) }),
  );
  // On the service's own port only: the gateway has no route that leads here.
  app.put('/drill', async (context) => {
    state = await readBody(context, drill);
    return context.json(state);
  });
  app.use(async (context, next) => {
    if (state.mode === 'errors') throw new Refusal(500, 'INTERNAL_ERROR', `a drill: ${name} fails on request`);
    if (state.mode === 'slow')
      await delay(state.delayMs, undefined, { signal: context.req.raw.signal }).catch(() => {
        throw new Refusal(503, 'SERVICE_UNAVAILABLE', 'the client is gone');
      });
    await next();
  });
  app.notFound((context) => refused(context, shape, notFound('there is nothing at this path')));
  app.onError((error, context) => {
    if (error instanceof Refusal) return refused(context, shape, error);
    console.error(error);
    return refused(context, shape, new Refusal(500, 'INTERNAL_ERROR', 'the request could not be handled'));
  });
  return app;
}

function refused(context: Context, shape: ErrorShape, { status, code, message, field }: Refusal): Response {
  const common = {
    timestamp: new Date().toISOString(),
    request_id: context.req.header('x-request-id') ?? null,
  };
  const details = field === undefined ? {} : { details: field };
  const body =
    shape === 'nested'
      ? { error: { code, message, ...details }, ...common }
      : { success: false, error_code: code, message, ...details, ...common };
  return context.json(body, status as 400);
}

/**
 * Without the gateway's field there is no caller, and every request is refused: a route that forgot `auth` stays
 * closed.
 */
export function callerOf(context: Context): Caller {
  const id = field(context, 'x-auth-subject');
  if (id === undefined) throw new Refusal(401, 'AUTHENTICATION_REQUIRED', 'authentication is required');
  return { id, roles: (field(context, 'x-auth-roles') ?? '').split(',').filter(Boolean) };
}

function field(context: Context, name: string): string | undefined {
  const value = context.req.header(name);
  return value === undefined || value === '' ? undefined : decodeURIComponent(value);
}

export async function readBody<Schema extends z.ZodType>(context: Context, schema: Schema): Promise<z.output<Schema>> {
  const body: unknown = await context.req.json().catch(() => {
    throw new Refusal(400, 'VALIDATION_ERROR', 'the body is not JSON');
  });
  return check(body, schema);
}

export function readQuery<Schema extends z.ZodType>(context: Context, schema: Schema): z.output<Schema> {
  return check(context.req.query(), schema);
}

function check<Schema extends z.ZodType>(input: unknown, schema: Schema): z.output<Schema> {
  const result = schema.safeParse(input);
  if (result.success) return result.data;
  const { path, message } = result.error.issues[0]!;
  let value = input;
  for (const key of path) value = (value as Record<PropertyKey, unknown> | undefined)?.[key];
  const isShown = ['string', 'number', 'boolean'].includes(typeof value);
  const shown = isShown ? { value: typeof value === 'string' ? value.slice(0, 80) : value } : {};
  throw new Refusal(400, 'VALIDATION_ERROR', 'Invalid request', {
    field: path.join('.') || 'body',
    ...shown,
    expected: message,
  });
}

export interface Registration {
  readonly gateway: string;
  readonly token: string;
  readonly service: string;
  readonly weight?: number;
}

export interface Running {
  readonly url: string;
  /** Undefined while the gateway has not taken it. */
  lease(): Lease | undefined;
  /** Leaves the registry, then stops listening. */
  close(): Promise<void>;
}

/**
 * Listens on the loopback and, if asked, registers: it retries until the gateway is there. Port 0 lets the system
 * choose.
 */
export async function run(app: Hono, port: number, registration?: Registration): Promise<Running> {
  const { server, port: bound } = await new Promise<{ server: Server; port: number }>((resolve, reject) => {
    const made = serve({ fetch: app.fetch, port, hostname: '127.0.0.1' }, (info) =>
      resolve({ server: made as Server, port: info.port }),
    );
    made.once('error', reject);
  });
  const url = `http://127.0.0.1:${bound}`;
  const registered = registration === undefined ? undefined : registerSoon(registration, url);
  return {
    url,
    lease: () => registered?.lease(),
    async close() {
      await registered?.close();
      await new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeIdleConnections();
      });
    },
  };
}

/** Registers a URL as soon as the gateway is there; `close` ends that, and leaves. */
export function registerSoon(registration: Registration, url: string): Pick<Running, 'lease' | 'close'> {
  const ended = new AbortController();
  let lease: Lease | undefined;
  const registering = register({ ...registration, url, signal: ended.signal }).then(
    (made) => {
      lease = made;
    },
    (error: unknown) => {
      if (!ended.signal.aborted) throw error;
    },
  );
  return {
    lease: () => lease,
    async close() {
      ended.abort();
      await registering;
      await lease?.close();
    },
  };
}

/** Where a service registers, when it runs as a program: GATEWAY, GATEHOUSE_REGISTRY_TOKEN, WEIGHT. */
export function registrationOf(service: string): Registration {
  const { GATEWAY = 'http://127.0.0.1:8000', GATEHOUSE_REGISTRY_TOKEN = '', WEIGHT } = process.env;
  const weight = WEIGHT === undefined ? {} : { weight: Number(WEIGHT) };
  return { gateway: GATEWAY, token: GATEHOUSE_REGISTRY_TOKEN, service, ...weight };
}

/** Ends a program at SIGINT and SIGTERM. */
export function endOnSignal(close: () => Promise<void>): void {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void close());
}
