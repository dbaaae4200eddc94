/**
 * What every operation of the admin API is made with: one Zod schema each for parameters, query, body and response,
 * from which the request is checked, the handler typed and the OpenAPI document written; a role; an audit entry for
 * what changes something. Errors have the shape of all other errors of the gateway (base/error-body.ts).
 */
import { createRoute, OpenAPIHono } from '@hono/zod-openapi';
import type { Context, Next } from 'hono';
import type * as z from 'zod';
import type { ErrorFacts } from '../../base/error-body.ts';
import { ERROR_RESPONSE } from '../error-schema.ts';
import type { OperatorHost } from '../feature.ts';
import { fieldProblems } from '../field-problems.ts';
import { refusalResponse } from '../refusal-response.ts';
import { mayAct, type Operator, type ReadOperator } from './access.ts';
import type { Role } from './section.ts';

/** Thrown by handlers. */
export class AdminError extends Error {
  readonly facts: ErrorFacts;

  constructor(status: number, code: string, message: string, more: Partial<ErrorFacts> = {}) {
    super(message);
    this.facts = { status, code, message, ...more };
  }
}

export const notThere = (what: string): AdminError =>
  new AdminError(404, 'RESOURCE_NOT_FOUND', `there is no such ${what}`);

export interface Variables {
  operator: Operator;
}
export type AdminEnv = { Variables: Variables };
export type AdminApp = OpenAPIHono<AdminEnv>;

export interface Kit {
  readonly app: AdminApp;
  readonly host: OperatorHost;
}

type Schema = z.ZodObject;
type Output<S> = S extends z.ZodType ? z.output<S> : Record<string, never>;

export interface OperationDefinition<P, Q, B> {
  readonly method: 'get' | 'post' | 'put' | 'patch' | 'delete';
  readonly path: string;
  readonly tag: string;
  readonly summary: string;
  readonly role: Role;
  readonly params?: P;
  readonly query?: Q;
  readonly body?: B;
  /** `text/event-stream`, or a file, instead of JSON. */
  readonly mediaType?: string;
  readonly response: z.ZodType;
  /** Statuses besides 200 and the errors that all have. */
  readonly errors?: Readonly<Record<number, string>>;
}

export interface Call<P, Q, B> {
  readonly params: Output<P>;
  readonly query: Output<Q>;
  readonly body: Output<B>;
  readonly operator: Operator;
  readonly context: Context<AdminEnv>;
}

/** Adds an operation. What the handler returns is the JSON body, unless it is a `Response`. */
export function operation<
  P extends Schema | undefined = undefined,
  Q extends Schema | undefined = undefined,
  B extends Schema | undefined = undefined,
>({ app }: Kit, definition: OperationDefinition<P, Q, B>, handler: (call: Call<P, Q, B>) => unknown): void {
  const {
    method,
    path,
    tag,
    summary,
    role,
    params,
    query,
    body,
    response,
    mediaType = 'application/json',
  } = definition;
  const failure = (description: string) => ({ $ref: ERROR_RESPONSE, description });
  const route = createRoute({
    method,
    path,
    // Before the schemas look at anything: who may not call learns nothing of what is asked for.
    middleware: (context: Context<AdminEnv>, next: Next) => {
      if (mayAct(context.get('operator').role, role)) return next();
      throw new AdminError(403, 'INSUFFICIENT_PERMISSIONS', `this needs the role ${role}`);
    },
    tags: [tag],
    summary,
    description: `Needs the role \`${role}\`.`,
    operationId: `${method}${path.replace(/[^A-Za-z0-9]+(.)?/g, (_, next: string | undefined) => (next ?? '').toUpperCase())}`,
    request: {
      ...(params === undefined ? {} : { params }),
      ...(query === undefined ? {} : { query }),
      ...(body === undefined ? {} : { body: { required: true, content: { 'application/json': { schema: body } } } }),
    },
    responses: {
      200: { description: 'Done', content: { [mediaType]: { schema: response } } },
      400: failure('The request is wrong'),
      401: failure('No user is signed in'),
      403: failure('The role is not enough'),
      ...Object.fromEntries(Object.entries(definition.errors ?? {}).map(([status, text]) => [status, failure(text)])),
    },
  });
  app.openapi(route, (async (context: Context<AdminEnv>) => {
    const operator = context.get('operator');
    const valid = (where: 'param' | 'query' | 'json'): unknown => context.req.valid(where as never);
    const result = await handler({
      params: (params === undefined ? {} : valid('param')) as Output<P>,
      query: (query === undefined ? {} : valid('query')) as Output<Q>,
      body: (body === undefined ? {} : valid('json')) as Output<B>,
      operator,
      context,
    });
    return result instanceof Response ? result : context.json(result as object);
  }) as never);
}

/** An application that knows who asks, with one exit for everything that goes wrong. */
export function adminApp(host: OperatorHost, read: ReadOperator): AdminApp {
  const refuse = (context: Context, facts: ErrorFacts): Response => {
    const response = refusalResponse(context.req.raw, facts, host.configuration.snapshot.gateway.errorFormat);
    if (facts.status === 401) response.headers.set('www-authenticate', 'Bearer');
    return response;
  };
  const app = new OpenAPIHono<AdminEnv>({
    defaultHook: (result, context) => {
      if (result.success) return undefined;
      const fields = fieldProblems(result.error, 'data' in result ? result.data : undefined);
      return refuse(context, { status: 400, code: 'VALIDATION_ERROR', message: 'the request is not valid', fields });
    },
  });
  app.use('*', async (context, next) => {
    const found = await read(context.req.raw);
    if (found === 'unknown' || found === 'forbidden')
      host.security.tell('admin.refused', { method: context.req.method, path: context.req.path, reason: found });
    if (found === 'unknown')
      return refuse(context, { status: 401, code: 'AUTHENTICATION_REQUIRED', message: 'authentication is required' });
    if (found === 'forbidden')
      return refuse(context, {
        status: 403,
        code: 'INSUFFICIENT_PERMISSIONS',
        message: 'this account may not do this',
      });
    context.set('operator', found);
    await next();
    if (!context.res.headers.has('cache-control')) context.res.headers.set('cache-control', 'no-store');
    return undefined;
  });
  app.onError((error, context) => {
    if (error instanceof AdminError) return refuse(context, error.facts);
    if ('status' in error && typeof error.status === 'number' && error.status < 500)
      return refuse(context, { status: error.status, code: 'VALIDATION_ERROR', message: error.message.toLowerCase() });
    host.log.error('the admin API failed', { path: context.req.path, problem: error.message });
    return refuse(context, { status: 500, code: 'INTERNAL_ERROR', message: 'the request could not be handled' });
  });
  return app;
}

/** The router decodes what it can; what cannot be decoded as a whole has no one reading. */
export function unescaped(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    throw new AdminError(400, 'VALIDATION_ERROR', 'the path has an escape that is none');
  }
}

const MOST_STREAMS = 50;
const KEEP_ALIVE_MS = 15_000;
/** A browser whose stream broke off connects again so soon. */
const RETRY_MS = 1_000;
/** A reader that is so many bytes behind loses events rather than costing memory. */
const MOST_WAITING = 1024 ** 2;
let openStreams = 0;

/** Data that is a text is JSON already. False: the event is lost, because the reader is too slow. */
export type SendEvent = (event: string, data: unknown, id?: number) => boolean;

/** Server-sent events. `start` gets the sender and what ends the stream, and returns what is done when it has ended. */
export function eventStream(start: (send: SendEvent, end: () => void) => () => void): Response {
  if (openStreams >= MOST_STREAMS)
    throw new AdminError(503, 'SERVICE_UNAVAILABLE', `${MOST_STREAMS} streams are open already`);
  openStreams++;
  let stop = (): void => {};
  let timer: NodeJS.Timeout | undefined;
  let isOpen = true;
  const close = (): void => {
    if (!isOpen) return;
    isOpen = false;
    openStreams--;
    clearInterval(timer);
    stop();
  };
  const text = new TextEncoder();
  const body = new ReadableStream<Uint8Array>(
    {
      start(controller) {
        const write = (chunk: string): boolean => {
          if (!isOpen || (controller.desiredSize ?? 0) <= 0) return false;
          controller.enqueue(text.encode(chunk));
          return true;
        };
        const end = (): void => {
          if (!isOpen) return;
          close();
          controller.close();
        };
        write(`retry: ${RETRY_MS}\n\n`);
        stop = start((event, data, id) => {
          const json = typeof data === 'string' ? data : JSON.stringify(data);
          return write(`${id === undefined ? '' : `id: ${id}\n`}event: ${event}\ndata: ${json}\n\n`);
        }, end);
        timer = setInterval(() => write(': still here\n\n'), KEEP_ALIVE_MS);
        timer.unref();
      },
      cancel: close,
    },
    new ByteLengthQueuingStrategy({ highWaterMark: MOST_WAITING }),
  );
  return new Response(body, { headers: { 'content-type': 'text/event-stream', 'cache-control': 'no-store' } });
}
