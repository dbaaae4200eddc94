/**
 * What the five services share: a SQLite database that all instances of a service use together, `/health`, the name of
 * the instance in `Served-By`, problems of the input as 400, and the drill switch that makes an instance fail.
 * Run as a program by each service's file: PORT, INSTANCE and SERVICE_DATA say where it listens, who it is and where it
 * keeps its data; with GATEWAY and GATEHOUSE_REGISTRY_TOKEN it registers itself with the gateway.
 */
import { mkdirSync } from 'node:fs';
import type { Server } from 'node:http';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { serve } from '@hono/node-server';
import type { Context } from 'hono';
import { Hono } from 'hono';
import { HTTPException } from 'hono/http-exception';
import * as z from 'zod';
// In a project of your own: import { register } from 'gatehouse/registry';
import { register } from '../../../src/registry/index.ts';

export interface ServiceDefinition {
  readonly name: string;
  /** Statements that make its tables where they are missing. */
  readonly tables: string;
  /** Mounted at the root; the gateway asks for paths that begin with /api. */
  routes(database: DatabaseSync): Hono;
}

export interface Instance {
  readonly url: string;
  readonly port: number;
  close(): Promise<void>;
}

/** `errors`: every call answers 500 and /health is fine. `slow`: answers late. `down`: /health answers 503 as well. */
const drill = z.strictObject({
  mode: z.enum(['off', 'errors', 'slow', 'down']),
  delayMs: z.int().min(1).max(60_000).default(5_000),
});

export function createService(definition: ServiceDefinition, instance: string, database: DatabaseSync): Hono {
  let state: z.output<typeof drill> = { mode: 'off', delayMs: 0 };
  const app = new Hono();
  app.use(async (context, next) => {
    await next();
    context.header('Served-By', instance);
  });
  app.get('/health', (context) => {
    if (state.mode === 'down') return context.json({ status: 'down', service: definition.name, instance }, 503);
    database.prepare('SELECT 1').get();
    return context.json({ status: 'ok', service: definition.name, instance });
  });
  // On the instance's own port only: the gateway has no route that leads here.
  app.put('/drill', async (context) => {
    state = await input(context, drill);
    return context.json(state);
  });
  app.use('/api/*', async (context, next) => {
    if (state.mode === 'errors' || state.mode === 'down')
      throw new HTTPException(500, { message: `a drill: ${instance} fails on request` });
    if (state.mode === 'slow') {
      const { signal } = context.req.raw;
      await delay(state.delayMs, undefined, { signal }).catch(() => {
        throw new HTTPException(503, { message: 'the client is gone' });
      });
    }
    await next();
  });
  app.route('/', definition.routes(database));
  app.notFound((context) => context.json({ error: 'NOT_FOUND', message: 'there is nothing at this path' }, 404));
  app.onError((error, context) => {
    if (error instanceof InputError) {
      return context.json({ error: 'VALIDATION_ERROR', message: error.message, problems: error.problems }, 400);
    }
    const status = error instanceof HTTPException ? error.status : 500;
    if (!(error instanceof HTTPException)) console.error(`${instance}: ${error.stack}`);
    const message = error instanceof HTTPException ? error.message : 'the service failed';
    return context.json({ error: status === 500 ? 'INTERNAL_ERROR' : 'REFUSED', message }, status);
  });
  return app;
}

class InputError extends Error {
  readonly problems: readonly { readonly field: string; readonly problem: string }[];

  constructor(problems: InputError['problems']) {
    super('the input is not valid');
    this.problems = problems;
  }
}

/** One thing of the input that is wrong for a reason that no schema sees. */
export function invalid(field: string, problem: string): Error {
  return new InputError([{ field, problem }]);
}

export function refused(status: 404 | 409, message: string): Error {
  return new HTTPException(status, { message });
}

/** The JSON body, or the query, as the schema says; anything else is answered with 400 and every problem in it. */
export async function input<Schema extends z.ZodType>(context: Context, schema: Schema): Promise<z.output<Schema>> {
  if (!/^application\/json\b/i.test(context.req.header('content-type') ?? ''))
    throw invalid('Content-Type', 'must be application/json');
  const body: unknown = await context.req.json().catch(() => {
    throw invalid('', 'the body is not JSON');
  });
  return checked(body, schema);
}

export function query<Schema extends z.ZodType>(context: Context, schema: Schema): z.output<Schema> {
  return checked(context.req.query(), schema);
}

function checked<Schema extends z.ZodType>(value: unknown, schema: Schema): z.output<Schema> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  throw new InputError(
    result.error.issues.map(({ path, message }) => ({ field: path.map(String).join('.'), problem: message })),
  );
}

/** A whole number in the path, or undefined, which finds nothing. */
export function idOf(context: Context): number | null {
  const text = context.req.param('id') ?? '';
  return /^[1-9]\d{0,14}$/.test(text) ? Number(text) : null;
}

/** Starts one instance and resolves when it listens. Port 0 lets the system choose. */
export async function startInstance(
  definition: ServiceDefinition,
  { instance, port, folder }: { instance: string; port: number; folder: string },
): Promise<Instance> {
  mkdirSync(folder, { recursive: true });
  const database = new DatabaseSync(`${folder}/${definition.name}.db`, { timeout: 5_000 });
  database.exec(`PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; ${definition.tables}`);
  const app = createService(definition, instance, database);
  const { server, address } = await new Promise<{ server: Server; address: { port: number } }>((resolve, reject) => {
    const made = serve({ fetch: app.fetch, port, hostname: '127.0.0.1' }, (info) =>
      resolve({ server: made as Server, address: info }),
    );
    made.once('error', reject);
  });
  // Ctrl-C in a terminal and the launcher both say so.
  let closed: Promise<void> | undefined;
  const close = (): Promise<void> =>
    new Promise((resolve) => {
      server.close(() => {
        database.close();
        resolve();
      });
      server.closeIdleConnections();
    });
  return {
    url: `http://127.0.0.1:${address.port}`,
    port: address.port,
    close: () => {
      closed ??= close();
      return closed;
    },
  };
}

/** The program that each service's file is. */
export async function run(definition: ServiceDefinition): Promise<void> {
  const { PORT, INSTANCE, SERVICE_DATA, GATEWAY, GATEHOUSE_REGISTRY_TOKEN } = process.env;
  const instance = await startInstance(definition, {
    instance: INSTANCE ?? `${definition.name}-1`,
    port: Number(PORT ?? 0),
    folder: SERVICE_DATA ?? fileURLToPath(new URL('../data', import.meta.url)),
  });
  const lease =
    GATEWAY === undefined
      ? undefined
      : await register({
          gateway: GATEWAY,
          token: GATEHOUSE_REGISTRY_TOKEN ?? '',
          service: definition.name,
          url: instance.url,
        });
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => void (lease?.close() ?? Promise.resolve()).then(() => instance.close()));
  }
}
