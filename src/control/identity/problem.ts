/**
 * A refusal of the identity service, thrown anywhere below a route and written by app.ts in one of the three shapes of
 * `ErrorFormat`. A problem carries a documented `code`, a finer `reason`, and for bad input the fields with value and
 * expectation, never the value of a secret.
 */
import { type ErrorFormat, errorBody, type FieldError } from '../../base/error-body.ts';
import { isUnavailable } from '../store/faults.ts';
import type { TextKey } from './pages/texts-en.ts';

export interface ProblemMore {
  readonly fields?: readonly FieldError[];
  /** What pages say of such a field, where that depends on more than the field; in no body. */
  readonly rule?: { readonly text: TextKey; readonly count?: number };
  readonly retryAfterSeconds?: number;
  /** Further members of the body, such as the ticket of a second factor. */
  readonly members?: Readonly<Record<string, unknown>>;
  readonly headers?: Readonly<Record<string, string>>;
}

export class Problem extends Error {
  readonly status: number;
  readonly code: string;
  readonly reason: string;
  readonly more: ProblemMore;

  constructor(status: number, code: string, reason: string, message: string, more: ProblemMore = {}) {
    super(message);
    this.name = 'Problem';
    this.status = status;
    this.code = code;
    this.reason = reason;
    this.more = more;
  }
}

export const invalid = (fields: readonly FieldError[], rule?: ProblemMore['rule']): Problem =>
  new Problem(400, 'VALIDATION_ERROR', 'invalid_input', 'the request is not valid', {
    fields,
    ...(rule === undefined ? {} : { rule }),
  });

/** One field that is wrong for a reason that the schema cannot see. */
export const invalidField = (field: string, expected: string, value?: string): Problem =>
  invalid([value === undefined ? { field, expected } : { field, value: JSON.stringify(value), expected }]);

export const unauthenticated = (message = 'authentication is required', reason = 'authentication_required'): Problem =>
  new Problem(401, 'AUTHENTICATION_REQUIRED', reason, message, {
    headers: { 'www-authenticate': reason === 'authentication_required' ? 'Bearer' : 'Bearer error="invalid_token"' },
  });

/** The one answer to every failed sign-in: unknown name, wrong password, locked, disabled. */
export const badCredentials = (): Problem =>
  new Problem(
    401,
    'AUTHENTICATION_REQUIRED',
    'invalid_credentials',
    'the name or the password is wrong, or there were too many attempts; wait a little before the next',
  );

export const forbidden = (message: string, reason = 'insufficient_permissions'): Problem =>
  new Problem(403, 'INSUFFICIENT_PERMISSIONS', reason, message);

export const notFound = (what: string): Problem =>
  new Problem(404, 'RESOURCE_NOT_FOUND', 'not_found', `the ${what} does not exist`);

export const conflict = (reason: string, message: string): Problem => new Problem(409, 'CONFLICT', reason, message);

export const invalidCode = (): Problem =>
  new Problem(400, 'VALIDATION_ERROR', 'invalid_code', 'the code is wrong, expired or was used before');

export const unavailable = (message: string, retryAfterSeconds = 1): Problem =>
  new Problem(503, 'SERVICE_UNAVAILABLE', 'unavailable', message, { retryAfterSeconds });

/** Anything thrown, as the problem to answer with. Defects become 500 without their message. */
export function asProblem(error: unknown): Problem {
  if (error instanceof Problem) return error;
  if (isUnavailable(error)) return unavailable('accounts cannot be reached right now', 2);
  return new Problem(500, 'INTERNAL_ERROR', 'internal', 'the request could not be handled');
}

export type ErrorShape = ErrorFormat;

/** The response in the configured shape. `atMs` is the time of day. */
export function problemResponse(
  problem: Problem,
  format: ErrorShape,
  { requestId, accept }: { readonly requestId: string; readonly accept: string | null },
  atMs: number,
): Response {
  const { fields, members, retryAfterSeconds, headers } = problem.more;
  const { status, code, reason, message } = problem;
  const { contentType, body } = errorBody(
    { status, code, reason, message, fields, members },
    { format, accept, requestId, path: '', wallMs: atMs },
  );
  return new Response(body, {
    status,
    headers: {
      'content-type': contentType,
      'cache-control': 'no-store',
      ...(retryAfterSeconds === undefined ? {} : { 'retry-after': String(Math.ceil(retryAfterSeconds)) }),
      ...headers,
    },
  });
}
