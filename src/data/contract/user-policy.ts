/**
 * The package's `gatehouse/policy`: what a policy in a user's own file is made of. Stable and small on purpose: a
 * user's policy sees this part of an exchange, returns a plain response or a refusal, and knows nothing of the
 * engine. How such a file is loaded, guarded and counted is in data/user-policies; the key that names it is `use`.
 */
import type { Clock } from '../../base/clock.ts';
import type { Logger } from '../../base/log.ts';
import type { PolicyContext } from './policy.ts';
import type { RequestBodyHook, ResponseBodyHook } from './user-body.ts';

export type { Clock } from '../../base/clock.ts';
export type { Logger } from '../../base/log.ts';
export type { ClientCertificate, Identity } from './policy.ts';

/** What a policy sees of a request, and what it may change on the way to the service and back. */
export type PolicyRequest = Pick<
  PolicyContext,
  | 'requestId'
  | 'routeId'
  | 'method'
  | 'path'
  | 'query'
  | 'host'
  | 'scheme'
  | 'address'
  | 'clientCertificate'
  | 'params'
  | 'header'
  | 'cookie'
  | 'contentLength'
  | 'readBody'
  | 'setUpstreamHeader'
  | 'removeUpstreamHeader'
  | 'addResponseHeader'
  | 'setResponseHeader'
  | 'removeResponseHeader'
  | 'logField'
> & {
  /** Who is calling, as `auth` found out; null if anonymous. */
  readonly identity: PolicyContext['identity'];
};

/** In `responseHead` and `finish` there is a response to look at, too. */
export type PolicyExchange = PolicyRequest & Pick<PolicyContext, 'status' | 'responseHeader'>;

/** A response of the policy's own. It ends the request: nothing is sent to the service. */
export interface PolicyResponse {
  /** 200 to 599. */
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** A string is sent as UTF-8. Default: empty. */
  readonly body?: string | Uint8Array;
}

/** Known by this mark and not by its class, since a bundled policy brings a class of its own. */
const REFUSAL = Symbol.for('gatehouse.refusal');

/** What `refuse` gives: an error in the shape that the gateway's own errors have. */
export class Refusal {
  readonly [REFUSAL] = true;
  readonly status: number;
  readonly code: string;
  readonly message: string;
  readonly detail: string | undefined;
  readonly headers: Readonly<Record<string, string>> | undefined;
  readonly retryAfterSeconds: number | undefined;

  constructor(status: number, more: RefusalOptions) {
    if (!Number.isInteger(status) || status < 400 || status > 599)
      throw new TypeError(`a refusal has a status from 400 to 599, not ${status}`);
    this.status = status;
    this.code = more.code ?? CODES[status] ?? (status < 500 ? 'REQUEST_REFUSED' : 'SERVICE_UNAVAILABLE');
    this.message = more.message ?? 'a policy refused the request';
    this.detail = more.detail;
    this.headers = more.headers;
    this.retryAfterSeconds = more.retryAfterSeconds;
  }
}

export interface RefusalOptions {
  /** What programs match on, such as `TENANT_UNKNOWN`. Default: the gateway's own code for the status. */
  readonly code?: string;
  /** One sentence for people, the same for every request. */
  readonly message?: string;
  /** What this client may know of this request. Never a secret. */
  readonly detail?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent as `Retry-After`. */
  readonly retryAfterSeconds?: number;
}

const CODES: Readonly<Record<number, string>> = {
  400: 'VALIDATION_ERROR',
  401: 'AUTHENTICATION_REQUIRED',
  403: 'INSUFFICIENT_PERMISSIONS',
  404: 'RESOURCE_NOT_FOUND',
  413: 'PAYLOAD_TOO_LARGE',
  429: 'RATE_LIMIT_EXCEEDED',
  502: 'BAD_GATEWAY',
  504: 'GATEWAY_TIMEOUT',
};

export function isRefusal(value: object): value is Refusal {
  return (value as { readonly [REFUSAL]?: unknown })[REFUSAL] === true;
}

/** Refuses the request with an error body in the configured format: `return refuse(403, { code: 'WRONG_TENANT' })`. */
export function refuse(status: number, options: RefusalOptions = {}): Refusal {
  return new Refusal(status, options);
}

/** A response with this value as JSON: `return json(200, { ok: true })`. */
export function json(status: number, value: unknown, headers: Readonly<Record<string, string>> = {}): PolicyResponse {
  return {
    status,
    headers: { 'Content-Type': 'application/json; charset=utf-8', ...headers },
    body: JSON.stringify(value),
  };
}

/** Nothing lets the request go on. */
// biome-ignore lint/suspicious/noConfusingVoidType: a hook that ends without `return` is right
export type PolicyOutcome = PolicyResponse | Refusal | undefined | void;

/** The second argument of a hook that takes one. */
export interface PolicyCall {
  /** Aborted when the hook's `timeout` is over; its result no longer counts then. Hand it to `fetch` and the like. */
  readonly signal: AbortSignal;
}

/** Runs on the way to the service. Return nothing, or a promise of nothing, to go on. */
export type RequestHook = (request: PolicyRequest, call: PolicyCall) => PolicyOutcome | Promise<PolicyOutcome>;
/** Looks at the response and decorates it; must not be asynchronous. */
export type ExchangeHook = (exchange: PolicyExchange) => void;

/** Named as the phases of a request, in their order. A policy has those that it needs. */
export interface UserPolicyHooks {
  /** Before the route is known, so for every request; `routeId` is empty and `params` has nothing. */
  readonly arrival?: RequestHook;
  readonly authenticate?: RequestHook;
  readonly authorize?: RequestHook;
  readonly limit?: RequestHook;
  /** The last one before the service, and the right place for most policies. */
  readonly requestHead?: RequestHook;
  /**
   * Reads or changes the request body, behind validation and transforms: made with `wholeBody`, `jsonBody` or
   * `bodyStream`. Not called for requests without one.
   */
  readonly requestBody?: RequestBodyHook;
  readonly responseHead?: ExchangeHook;
  /** The same for the response body, before it is compressed. Not called for errors of the gateway. */
  readonly responseBody?: ResponseBodyHook;
  /** After the last byte: for counting. */
  readonly finish?: ExchangeHook;
  /** Frees what `create` took (timers, connections), when the policy or its options are no longer used. */
  readonly dispose?: () => void;
}

/** What `create` may use. */
export interface PolicyTools {
  /** Carries the policy's name. */
  readonly log: Logger;
  /** Use it instead of `Date.now` and `performance.now`, so that tests can set the time. */
  readonly clock: Clock;
  /** Absolute path of a file that the options name, relative to the policy's own file. */
  resolve(file: string): string;
}

/**
 * Options are checked by it before `create` sees them. Zod, Valibot and ArkType schemas are ones (Standard Schema v1).
 */
export interface StandardSchema<Options> {
  readonly '~standard': {
    readonly version: 1;
    readonly vendor: string;
    readonly validate: (value: unknown) => unknown;
    readonly types?: { readonly input: unknown; readonly output: Options } | undefined;
  };
}

export type JsonSchema = boolean | { readonly [keyword: string]: unknown };

export interface UserPolicyDefinition<Options> {
  /** In logs and metrics. Lower case, with hyphens; no two files of a configuration may have the same. */
  readonly name: string;
  /** What the options must be: a JSON Schema, or a schema of a library. Default: anything is handed on unchecked. */
  readonly options?: StandardSchema<Options> | JsonSchema;
  /** Called once per file, options and worker, not per request: check and precompute here. */
  create(options: Options, tools: PolicyTools): UserPolicyHooks;
}

/**
 * Types a policy. The file's default export:
 *
 *     export default definePolicy<{ claim: string }>({
 *       name: 'tenant',
 *       create: ({ claim }) => ({
 *         requestHead(request) {
 *           const tenant = request.identity?.claims[claim];
 *           if (typeof tenant !== 'string') return refuse(403, { code: 'TENANT_UNKNOWN' });
 *           request.setUpstreamHeader('X-Tenant', tenant);
 *         },
 *       }),
 *     });
 */
export function definePolicy<Options = unknown>(
  definition: UserPolicyDefinition<Options>,
): UserPolicyDefinition<Options> {
  return definition;
}

export type {
  BodyHook,
  BodyStreamChange,
  BodyStreamRules,
  JsonBodyChange,
  JsonBodyRules,
  RequestBodyHook,
  ResponseBodyHook,
  WholeBodyChange,
  WholeBodyResult,
  WholeBodyRules,
} from './user-body.ts';
export { bodyStream, jsonBody, wholeBody } from './user-body.ts';
export type {
  Change,
  Handle,
  HandlerContext,
  HandlerDefinition,
  ModuleContext,
  TransformContext,
  TransformDefinition,
} from './user-handler.ts';
export { defineHandler, defineTransform, ServiceError } from './user-handler.ts';
