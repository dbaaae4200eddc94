/**
 * Every fault the gateway can answer with, as one table, and the record that carries one to the error exit.
 * A `Fault` is returned, never thrown: refusing a request must cost less than serving it, so it has no stack.
 * Programmer mistakes are ordinary `TypeError`s. docs/errors.md lists the table; a test keeps the two equal.
 */
import type { FieldError } from './error-body.ts';
import type { Phase, Side } from './vocabulary.ts';

/** May the same request be tried again? `idempotent`: only if its effect is the same when it happens twice. */
export type RetryAdvice = 'never' | 'always' | 'idempotent';

export interface FaultKind {
  /** Stable, fine-grained name: log field `fault`, metric label, `reason` in error bodies. */
  readonly reason: string;
  /** Documented code that programs match on. */
  readonly code: string;
  readonly status: number;
  readonly phase: Phase;
  readonly side: Side;
  readonly retry: RetryAdvice;
  /** Lower case, no full stop, never a secret. */
  readonly message: string;
}

const REASONS: string[] = [];

function kind(
  reason: string,
  status: number,
  code: string,
  phase: Phase,
  side: Side,
  retry: RetryAdvice,
  message: string,
): FaultKind {
  REASONS.push(reason);
  return Object.freeze({ reason, status, code, phase, side, retry, message });
}

/** The table. Order is the order of phases. */
export const FAULTS = {
  // accept: what the parser refuses (RFC 9112); the connection closes after each of these
  malformedRequest: kind(
    'malformed_request',
    400,
    'VALIDATION_ERROR',
    'accept',
    'downstream',
    'never',
    'the request is not valid HTTP/1.1',
  ),
  ambiguousFraming: kind(
    'ambiguous_framing',
    400,
    'VALIDATION_ERROR',
    'accept',
    'downstream',
    'never',
    'the length of the request body is ambiguous',
  ),
  uriTooLong: kind(
    'uri_too_long',
    414,
    'URI_TOO_LONG',
    'accept',
    'downstream',
    'never',
    'the request target is too long',
  ),
  headTooLarge: kind(
    'head_too_large',
    431,
    'HEADERS_TOO_LARGE',
    'accept',
    'downstream',
    'never',
    'the request header fields are too large',
  ),
  unknownTransferCoding: kind(
    'unknown_transfer_coding',
    501,
    'NOT_IMPLEMENTED',
    'accept',
    'downstream',
    'never',
    'the transfer coding is not supported',
  ),
  methodNotImplemented: kind(
    'method_not_implemented',
    501,
    'NOT_IMPLEMENTED',
    'accept',
    'downstream',
    'never',
    'the request method is not supported',
  ),
  versionNotSupported: kind(
    'version_not_supported',
    505,
    'VERSION_NOT_SUPPORTED',
    'accept',
    'downstream',
    'never',
    'the HTTP version is not supported',
  ),
  expectationFailed: kind(
    'expectation_failed',
    417,
    'EXPECTATION_FAILED',
    'accept',
    'downstream',
    'never',
    'the expectation is not supported',
  ),
  headTimeout: kind(
    'head_timeout',
    408,
    'REQUEST_TIMEOUT',
    'accept',
    'downstream',
    'never',
    'the request head did not arrive in time',
  ),
  tooManyConnections: kind(
    'too_many_connections',
    503,
    'SERVICE_UNAVAILABLE',
    'accept',
    'internal',
    'always',
    'the gateway holds as many connections as it may',
  ),
  // route
  unsafePath: kind(
    'unsafe_path',
    400,
    'VALIDATION_ERROR',
    'route',
    'downstream',
    'never',
    'the path could be read in two ways',
  ),
  loopDetected: kind(
    'loop_detected',
    508,
    'LOOP_DETECTED',
    'route',
    'downstream',
    'never',
    'the request goes in a circle',
  ),
  routeNotFound: kind(
    'route_not_found',
    404,
    'RESOURCE_NOT_FOUND',
    'route',
    'downstream',
    'never',
    'no route matches the request',
  ),
  methodNotAllowed: kind(
    'method_not_allowed',
    405,
    'METHOD_NOT_ALLOWED',
    'route',
    'downstream',
    'never',
    'the route does not take this method',
  ),
  versionNotAcceptable: kind(
    'version_not_acceptable',
    406,
    'NOT_ACCEPTABLE',
    'route',
    'downstream',
    'never',
    'the requested API version does not exist',
  ),
  banned: kind(
    'banned',
    403,
    'INSUFFICIENT_PERMISSIONS',
    'arrival',
    'downstream',
    'never',
    'this address is banned for now',
  ),
  addressDenied: kind(
    'address_denied',
    403,
    'INSUFFICIENT_PERMISSIONS',
    'arrival',
    'downstream',
    'never',
    'this address is not allowed',
  ),
  // authenticate, authorize, limit
  authenticationRequired: kind(
    'authentication_required',
    401,
    'AUTHENTICATION_REQUIRED',
    'authenticate',
    'downstream',
    'never',
    'authentication is required',
  ),
  invalidCredentials: kind(
    'invalid_credentials',
    401,
    'AUTHENTICATION_REQUIRED',
    'authenticate',
    'downstream',
    'never',
    'the credentials are not valid',
  ),
  credentialOver: kind(
    'credential_over',
    401,
    'AUTHENTICATION_REQUIRED',
    'responseBody',
    'downstream',
    'never',
    'the credential of an open stream expired or was revoked',
  ),
  authenticationUnavailable: kind(
    'authentication_unavailable',
    503,
    'SERVICE_UNAVAILABLE',
    'authenticate',
    'internal',
    'always',
    'credentials cannot be checked right now',
  ),
  insufficientPermissions: kind(
    'insufficient_permissions',
    403,
    'INSUFFICIENT_PERMISSIONS',
    'authorize',
    'downstream',
    'never',
    'the credentials do not allow this',
  ),
  mfaRequired: kind(
    'mfa_required',
    403,
    'MFA_REQUIRED',
    'authorize',
    'downstream',
    'never',
    'a second factor is required',
  ),
  notOwner: kind(
    'not_owner',
    404,
    'RESOURCE_NOT_FOUND',
    'authorize',
    'downstream',
    'never',
    'the resource does not exist',
  ),
  rateLimitExceeded: kind(
    'rate_limit_exceeded',
    429,
    'RATE_LIMIT_EXCEEDED',
    'limit',
    'downstream',
    'always',
    'too many requests',
  ),
  quotaExceeded: kind('quota_exceeded', 429, 'QUOTA_EXCEEDED', 'limit', 'downstream', 'never', 'the quota is used up'),
  limiterUnavailable: kind(
    'limiter_unavailable',
    503,
    'SERVICE_UNAVAILABLE',
    'limit',
    'internal',
    'always',
    'limits cannot be checked right now',
  ),
  // requestHead, requestBody
  payloadTooLarge: kind(
    'payload_too_large',
    413,
    'PAYLOAD_TOO_LARGE',
    'requestBody',
    'downstream',
    'never',
    'the request body is too large',
  ),
  malformedBody: kind(
    'malformed_body',
    400,
    'VALIDATION_ERROR',
    'requestBody',
    'downstream',
    'never',
    'the request body is not framed correctly',
  ),
  bodyTimeout: kind(
    'body_timeout',
    408,
    'REQUEST_TIMEOUT',
    'requestBody',
    'downstream',
    'never',
    'the request body did not arrive in time',
  ),
  downstreamAborted: kind(
    'downstream_aborted',
    499,
    'CLIENT_CLOSED_REQUEST',
    'requestBody',
    'downstream',
    'never',
    'the caller went away',
  ),
  upgradeNotAllowed: kind(
    'upgrade_not_allowed',
    426,
    'UPGRADE_NOT_ALLOWED',
    'requestHead',
    'downstream',
    'never',
    'the route does not allow this upgrade',
  ),
  invalidRequest: kind(
    'invalid_request',
    400,
    'VALIDATION_ERROR',
    'requestHead',
    'downstream',
    'never',
    'the request does not fit what the API describes',
  ),
  unsupportedMediaType: kind(
    'unsupported_media_type',
    415,
    'UNSUPPORTED_MEDIA_TYPE',
    'requestHead',
    'downstream',
    'never',
    'the route does not take this content type',
  ),
  invalidResponse: kind(
    'invalid_response',
    502,
    'BAD_GATEWAY',
    'responseBody',
    'upstream',
    'never',
    'the response of the service does not fit what the API describes',
  ),
  faultInjected: kind(
    'fault_injected',
    503,
    'SERVICE_UNAVAILABLE',
    'requestHead',
    'internal',
    'never',
    'the request failed on purpose',
  ),
  idempotencyInProgress: kind(
    'idempotency_in_progress',
    409,
    'CONFLICT',
    'requestBody',
    'downstream',
    'never',
    'a request with this Idempotency-Key is in progress',
  ),
  idempotencyMismatch: kind(
    'idempotency_mismatch',
    422,
    'VALIDATION_ERROR',
    'requestBody',
    'downstream',
    'never',
    'this Idempotency-Key was used for another request',
  ),
  idempotencyLost: kind(
    'idempotency_response_lost',
    409,
    'CONFLICT',
    'requestBody',
    'downstream',
    'never',
    'the request with this Idempotency-Key may have been carried out, and its response is not known',
  ),
  idempotencyUnavailable: kind(
    'idempotency_unavailable',
    503,
    'SERVICE_UNAVAILABLE',
    'requestBody',
    'internal',
    'never',
    'idempotency keys cannot be looked up now',
  ),
  transformFailed: kind(
    'transform_failed',
    502,
    'BAD_GATEWAY',
    'responseBody',
    'upstream',
    'never',
    'the response of the service cannot be transformed',
  ),
  policyRefused: kind(
    'policy_refused',
    403,
    'INSUFFICIENT_PERMISSIONS',
    'requestHead',
    'downstream',
    'never',
    'a policy refused the request',
  ),
  policyFailed: kind(
    'policy_failed',
    500,
    'INTERNAL_ERROR',
    'requestHead',
    'internal',
    'never',
    'a policy of the gateway failed',
  ),
  policyTimeout: kind(
    'policy_timeout',
    504,
    'GATEWAY_TIMEOUT',
    'requestHead',
    'internal',
    'never',
    'a policy of the gateway took too long',
  ),
  handlerFailed: kind(
    'handler_failed',
    500,
    'INTERNAL_ERROR',
    'requestBody',
    'internal',
    'never',
    'a handler of the gateway failed',
  ),
  handlerTimeout: kind(
    'handler_timeout',
    504,
    'GATEWAY_TIMEOUT',
    'requestBody',
    'internal',
    'never',
    'a handler of the gateway took too long',
  ),
  policyBroken: kind(
    'policy_broken',
    503,
    'SERVICE_UNAVAILABLE',
    'requestHead',
    'internal',
    'never',
    'a policy of the gateway is out of use',
  ),
  // pick
  noInstance: kind(
    'no_instance',
    503,
    'SERVICE_UNAVAILABLE',
    'pick',
    'upstream',
    'always',
    'the service has no healthy instance',
  ),
  circuitOpen: kind(
    'circuit_open',
    503,
    'SERVICE_UNAVAILABLE',
    'pick',
    'upstream',
    'always',
    'the service fails at the moment and is given time',
  ),
  overloaded: kind(
    'overloaded',
    503,
    'SERVICE_UNAVAILABLE',
    'pick',
    'upstream',
    'always',
    'the service has as many requests in flight as it may',
  ),
  queueTimeout: kind(
    'queue_timeout',
    503,
    'SERVICE_UNAVAILABLE',
    'pick',
    'upstream',
    'always',
    'no connection to the service became free in time',
  ),
  // connect: nothing was sent, so another try is always safe
  connectRefused: kind(
    'connect_failed',
    502,
    'BAD_GATEWAY',
    'connect',
    'upstream',
    'always',
    'the service cannot be reached',
  ),
  connectTimeout: kind(
    'connect_timeout',
    504,
    'GATEWAY_TIMEOUT',
    'connect',
    'upstream',
    'always',
    'the connection to the service was not made in time',
  ),
  upstreamTlsFailed: kind(
    'upstream_tls_failed',
    502,
    'BAD_GATEWAY',
    'connect',
    'upstream',
    'always',
    'no trusted TLS connection to the service',
  ),
  // send and later: bytes were sent, so only what is idempotent may be tried again
  upstreamRefused: kind(
    'upstream_refused',
    503,
    'SERVICE_UNAVAILABLE',
    'send',
    'upstream',
    'always',
    'the service refused the request before it looked at it',
  ),
  upstreamReset: kind(
    'upstream_reset',
    502,
    'BAD_GATEWAY',
    'send',
    'upstream',
    'idempotent',
    'the service closed the connection before it answered',
  ),
  tunnelNotOffered: kind(
    'tunnel_not_offered',
    502,
    'BAD_GATEWAY',
    'send',
    'downstream',
    'never',
    'the service takes no WebSocket over HTTP/2',
  ),
  uploadCutOff: kind(
    'upload_cut_off',
    502,
    'BAD_GATEWAY',
    'send',
    'downstream',
    'idempotent',
    'the service did not take the whole request and did not respond',
  ),
  notCached: kind(
    'not_cached',
    504,
    'GATEWAY_TIMEOUT',
    'requestHead',
    'downstream',
    'never',
    'only a stored response was asked for, and there is none',
  ),
  firstByteTimeout: kind(
    'first_byte_timeout',
    504,
    'GATEWAY_TIMEOUT',
    'upstreamHead',
    'upstream',
    'idempotent',
    'the service did not answer in time',
  ),
  totalTimeout: kind(
    'total_timeout',
    504,
    'GATEWAY_TIMEOUT',
    'upstreamHead',
    'upstream',
    'never',
    'the exchange took longer than it may',
  ),
  upstreamMalformed: kind(
    'upstream_malformed',
    502,
    'BAD_GATEWAY',
    'upstreamHead',
    'upstream',
    'idempotent',
    'the service did not answer with valid HTTP/1.1',
  ),
  upstreamIdleTimeout: kind(
    'upstream_idle_timeout',
    504,
    'GATEWAY_TIMEOUT',
    'responseBody',
    'upstream',
    'never',
    'the service stopped sending',
  ),
  upstreamTruncated: kind(
    'upstream_truncated',
    502,
    'BAD_GATEWAY',
    'responseBody',
    'upstream',
    'never',
    'the service closed the connection inside its answer',
  ),
  partFailed: kind(
    'part_failed',
    502,
    'BAD_GATEWAY',
    'upstreamHead',
    'upstream',
    'never',
    'a part of the response could not be had',
  ),
  downstreamStalled: kind(
    'downstream_stalled',
    499,
    'CLIENT_CLOSED_REQUEST',
    'responseBody',
    'downstream',
    'never',
    'the caller stopped reading',
  ),
  // finish
  shuttingDown: kind(
    'shutting_down',
    503,
    'SERVICE_UNAVAILABLE',
    'accept',
    'internal',
    'always',
    'the gateway is shutting down',
  ),
  internal: kind(
    'internal',
    500,
    'INTERNAL_ERROR',
    'finish',
    'internal',
    'never',
    'the gateway failed to handle the request',
  ),
} as const satisfies Record<string, FaultKind>;

export const FAULT_REASONS: readonly string[] = REASONS;

/** How one exchange, or one attempt of it, failed. */
export class Fault {
  readonly kind: FaultKind;
  /** Instead of the message of its kind, where the configuration has one. */
  readonly message: string | undefined;
  /** What the caller may know beyond the message: the field, the value, the expectation. Never a secret. */
  readonly detail: string | undefined;
  /** For the log only: errno, address, cause. */
  readonly cause: string | undefined;
  /** Seconds for `Retry-After`, where waiting helps. */
  readonly retryAfterSeconds: number | undefined;
  /** Further response fields, such as `Allow` with 405 or `WWW-Authenticate` with 401. */
  readonly headers: Readonly<Record<string, string>> | undefined;
  /** What is wrong with the request, field by field. */
  readonly fields: readonly FieldError[] | undefined;

  constructor(
    kind: FaultKind,
    more: {
      message?: string | undefined;
      detail?: string;
      cause?: string;
      retryAfterSeconds?: number;
      headers?: Record<string, string>;
      fields?: readonly FieldError[];
    } = NOTHING,
  ) {
    this.kind = kind;
    this.message = more.message;
    this.detail = more.detail;
    this.cause = more.cause;
    this.retryAfterSeconds = more.retryAfterSeconds;
    this.headers = more.headers;
    this.fields = more.fields;
  }
}

const NOTHING = Object.freeze({});

/** The message of whatever was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
