/**
 * What is public about handlers and transforms of users, beside policies (user-policy.ts): a handler makes the response
 * of a route with the web's own `Request` and `Response`; a transform makes one JSON value of another.
 */
import type { Clock } from '../../base/clock.ts';
import type { Logger } from '../../base/log.ts';
import type { PolicyContext } from './policy.ts';
import type { JsonSchema, StandardSchema } from './user-policy.ts';

/** Known by this mark and not by a class, since a bundled module brings classes of its own. */
export const MODULE_KIND = Symbol.for('gatehouse.kind');

/** What a handler and a transform know of the exchange. */
export interface ModuleContext<Options = unknown> {
  /** From the configuration, checked by the module's own schema. */
  readonly options: Options;
  readonly requestId: string;
  readonly routeId: string;
  /** Of the match, decoded. */
  readonly params: Readonly<Record<string, string>>;
  /** Who is calling, as `auth` found out; null if anonymous. */
  readonly identity: PolicyContext['identity'];
  readonly log: Logger;
  readonly clock: Clock;
  /** Aborted when the client leaves or the time is over. */
  readonly signal: AbortSignal;
}

export interface HandlerContext<Options = unknown> extends ModuleContext<Options> {
  /** The caller's address, behind trusted proxies. */
  readonly address: string;
  /**
   * `fetch('service:users/v1/users/7')` asks a service of the configuration: through its balancer, breaker, retries,
   * limits and time-outs, with the caller's identity, forwarding fields and request id. Rejects with a `ServiceError`
   * when there is no response. Everything else goes to the web's own `fetch`.
   */
  fetch(input: string | URL | Request, init?: RequestInit): Promise<Response>;
  /** Adds a field to the access record. Bounded names only, no secrets. */
  logField(name: string, value: string | number): void;
}

export type Handle<Options = unknown> = (
  request: Request,
  context: HandlerContext<Options>,
) => Response | Promise<Response>;

export interface HandlerDefinition<Options = unknown> {
  readonly [MODULE_KIND]: 'handler';
  readonly options: StandardSchema<Options> | JsonSchema | undefined;
  readonly handle: Handle<Options>;
}

interface WithOptions<Options> {
  /** What the options must be: a JSON Schema, or a schema of a library. */
  readonly options: StandardSchema<Options> | JsonSchema;
}

/**
 * Types a handler. The file's default export:
 *
 *     export default defineHandler(async (request, context) => {
 *       const user = await context.fetch(`service:users/users/${context.params.id}`);
 *       return Response.json({ user: await user.json() });
 *     });
 */
export function defineHandler<Options = unknown>(
  handler: Handle<Options> | (WithOptions<Options> & { readonly handle: Handle<Options> }),
): HandlerDefinition<Options> {
  return typeof handler === 'function'
    ? { [MODULE_KIND]: 'handler', options: undefined, handle: handler }
    : { [MODULE_KIND]: 'handler', options: handler.options, handle: handler.handle };
}

export interface TransformContext<Options = unknown> extends ModuleContext<Options> {
  /** Which way the value goes. */
  readonly side: 'request' | 'response';
  /** Of the response; 0 in a request. */
  readonly status: number;
}

/** `undefined` leaves a line or an event out, and makes a whole body empty. */
export type Change<Options = unknown> = (value: unknown, context: TransformContext<Options>) => unknown;

export interface TransformDefinition<Options = unknown> {
  readonly [MODULE_KIND]: 'transform';
  readonly options: StandardSchema<Options> | JsonSchema | undefined;
  readonly change: Change<Options>;
}

/** Types a transform: `export default defineTransform((value) => ({ ...value, seen: true }))`. */
export function defineTransform<Options = unknown>(
  transform: Change<Options> | (WithOptions<Options> & { readonly change: Change<Options> }),
): TransformDefinition<Options> {
  return typeof transform === 'function'
    ? { [MODULE_KIND]: 'transform', options: undefined, change: transform }
    : { [MODULE_KIND]: 'transform', options: transform.options, change: transform.change };
}

/**
 * A service gave no response. A handler that does not catch it responds with `status`, as a route to the service would.
 */
export class ServiceError extends Error {
  override readonly name = 'ServiceError';
  /** As in `docs/errors.md`: `connect_failed`, `circuit_open`, `first_byte_timeout` ... */
  readonly reason: string;
  readonly status: number;
  /** The engine's. */
  readonly fault: unknown;

  constructor(fault: {
    readonly kind: { readonly reason: string; readonly status: number; readonly message: string };
  }) {
    super(fault.kind.message);
    this.reason = fault.kind.reason;
    this.status = fault.kind.status;
    this.fault = fault;
  }
}
