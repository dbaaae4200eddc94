/**
 * What the StoryVerse services share: who is asking (from the fields that the gateway writes), bodies checked by a
 * schema, answers to what is wrong in the same shape as the gateway's own, and a start that ends cleanly. Callers reach
 * the services through the gateway only, so its `X-Auth-*` and `X-Account-*` fields are believed.
 */
import { serve } from '@hono/node-server';
import type { Context } from 'hono';
import { Hono } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import type * as z from 'zod';

export interface Caller {
  readonly id: string;
  /** The parent's account, for a child's. */
  readonly parent: string | undefined;
  /** Highest age rating that may be shown; undefined for grown-ups. */
  readonly maxRating: number | undefined;
  readonly blockedTopics: readonly string[];
}

interface FieldProblem {
  readonly field: string;
  readonly value?: string;
  readonly expected: string;
}

export class Refusal extends Error {
  readonly status: number;
  readonly code: string;
  readonly errors: readonly FieldProblem[];

  constructor(status: number, code: string, message: string, errors: readonly FieldProblem[] = []) {
    super(message);
    this.status = status;
    this.code = code;
    this.errors = errors;
  }
}

export const notFound = (what: string): Refusal => new Refusal(404, 'RESOURCE_NOT_FOUND', `there is no such ${what}`);

const MAX_BODY = 256 * 1024;
const MAX_SHOWN = 80;

/** An application that answers every refusal and every defect with a problem (RFC 9457). */
export function createApp(name: string): Hono {
  const app = new Hono();
  app.use(async (context, next) => {
    await next();
    context.header('Served-By', process.env['INSTANCE'] ?? name);
  });
  app.use(
    bodyLimit({
      maxSize: MAX_BODY,
      onError: (context) => problem(context, new Refusal(413, 'PAYLOAD_TOO_LARGE', 'the body is too large')),
    }),
  );
  app.notFound((context) => problem(context, notFound('path')));
  app.onError((error, context) => {
    if (error instanceof Refusal) return problem(context, error);
    console.error(error);
    return problem(context, new Refusal(500, 'INTERNAL_ERROR', 'the request could not be handled'));
  });
  return app;
}

function problem(context: Context, { status, code, message, errors }: Refusal): Response {
  return context.body(
    JSON.stringify({
      type: 'about:blank',
      title: message,
      status,
      code,
      message,
      ...(errors.length === 0 ? {} : { errors }),
      timestamp: new Date().toISOString(),
      request_id: context.req.header('x-request-id') ?? null,
    }),
    status as 400,
    { 'Content-Type': 'application/problem+json' },
  );
}

/**
 * Without the gateway's field there is no caller, and every request is refused: a route that forgot `auth` stays
 * closed.
 */
export function callerOf(context: Context): Caller {
  const id = field(context, 'x-auth-subject');
  if (id === undefined) throw new Refusal(401, 'AUTHENTICATION_REQUIRED', 'authentication is required');
  const parent = field(context, 'x-account-parent');
  const rating = field(context, 'x-account-rating');
  const isChild = (field(context, 'x-auth-roles') ?? '').split(',').includes('child');
  // A child whose rating did not come through sees only what is for everybody.
  const maxRating = rating !== undefined && /^\d{1,2}$/.test(rating) ? Number(rating) : isChild ? 0 : undefined;
  const topics = field(context, 'x-account-blocked-topics');
  return { id, parent, maxRating, blockedTopics: topics === undefined || topics === '' ? [] : topics.split(',') };
}

function field(context: Context, name: string): string | undefined {
  const value = context.req.header(name);
  return value === undefined || value === '' ? undefined : decodeURIComponent(value);
}

export function maySee(caller: Caller, { rating, topics }: { rating: number; topics: readonly string[] }): boolean {
  if (caller.maxRating !== undefined && rating > caller.maxRating) return false;
  return !topics.some((topic) => caller.blockedTopics.includes(topic));
}

export async function readBody<Schema extends z.ZodType>(context: Context, schema: Schema): Promise<z.output<Schema>> {
  const type = context.req.header('content-type') ?? '';
  if (!/^application\/json\b/i.test(type)) {
    throw new Refusal(415, 'UNSUPPORTED_MEDIA_TYPE', 'the body must be application/json');
  }
  let body: unknown;
  try {
    body = JSON.parse(await context.req.text());
  } catch {
    throw new Refusal(400, 'VALIDATION_ERROR', 'the body is not JSON');
  }
  return check(body, schema);
}

export function readQuery<Schema extends z.ZodType>(context: Context, schema: Schema): z.output<Schema> {
  return check(context.req.query(), schema);
}

function check<Schema extends z.ZodType>(input: unknown, schema: Schema): z.output<Schema> {
  const result = schema.safeParse(input);
  if (result.success) return result.data;
  const errors = result.error.issues.map(({ path, message }): FieldProblem => {
    let value = input;
    for (const key of path) value = (value as Record<PropertyKey, unknown> | undefined)?.[key];
    const shown = value === undefined ? undefined : JSON.stringify(value);
    const short = shown !== undefined && shown.length > MAX_SHOWN ? `${shown.slice(0, MAX_SHOWN)}…` : shown;
    return { field: path.join('.') || '(body)', ...(short === undefined ? {} : { value: short }), expected: message };
  });
  throw new Refusal(400, 'VALIDATION_ERROR', 'the request is not valid', errors);
}

/** Listens on `PORT` of the loopback (or `HOST`), until SIGINT or SIGTERM. */
export function start(app: Hono, close: () => void = () => {}): void {
  const port = Number(process.env['PORT']);
  const server = serve({ fetch: app.fetch, port, hostname: process.env['HOST'] ?? '127.0.0.1' });
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      server.close(close);
      if ('closeIdleConnections' in server) server.closeIdleConnections();
    });
  }
}
