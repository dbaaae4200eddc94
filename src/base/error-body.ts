/**
 * The body of an error in the shape that is configured: `problem` (RFC 9457), or `nested` and `flat`, the formats of
 * the CraftNudge and AIVillage documents. The one renderer for faults of the gateway, the account API, registration,
 * limits and admin, so that a client reads all of them alike: each has code, message, timestamp and request id, and,
 * for bad input, the fields with value and expectation.
 */

export type ErrorFormat = 'problem' | 'nested' | 'flat';

export interface FieldError {
  readonly field: string;
  /** As it was sent; long texts are cut. Absent for secrets and what is missing. */
  readonly value?: unknown;
  readonly expected: string;
}

export interface ErrorFacts {
  readonly status: number;
  /** Documented in docs/errors.md, such as `VALIDATION_ERROR`. */
  readonly code: string;
  /** Lower case, no full stop, never a secret. */
  readonly message: string;
  /** Finer than the code. */
  readonly reason?: string | undefined;
  readonly detail?: string | undefined;
  readonly fields?: readonly FieldError[] | undefined;
  /** Further members of the body. */
  readonly members?: Readonly<Record<string, unknown>> | undefined;
}

export interface ErrorRequest {
  /** What is configured; a client that accepts `application/problem+json` gets that. */
  readonly format: ErrorFormat;
  readonly accept: string | null | undefined;
  readonly requestId: string;
  /** Path of the request, or empty. */
  readonly path: string;
  readonly wallMs: number;
}

export interface ErrorBody {
  readonly contentType: string;
  readonly body: string;
}

export function errorBody(error: ErrorFacts, request: ErrorRequest): ErrorBody {
  const { status, code, message, reason, detail, fields = [], members } = error;
  const common = { timestamp: new Date(request.wallMs).toISOString(), request_id: request.requestId };
  const finer = reason === undefined ? {} : { reason };
  const errors = fields.length === 0 ? {} : { errors: fields };
  const said = detail === undefined ? {} : { detail };
  const asked = request.accept?.includes('application/problem+json') === true;
  if (asked || request.format === 'problem') {
    const instance = request.path === '' ? {} : { instance: request.path };
    const body = { type: 'about:blank', title: message, status, ...said, ...instance, code, ...finer, message };
    return {
      contentType: 'application/problem+json',
      body: JSON.stringify({ ...body, ...errors, ...members, ...common }),
    };
  }
  // The CraftNudge document has one field, value and expectation, by plain names; where there are more, all of them
  // stand beside it.
  const named = fields.map((each) => ({ ...each, field: plainName(each.field) }));
  const details = { ...named[0], ...(named.length > 1 ? { errors: named } : {}) };
  if (request.format === 'nested') {
    const all = { ...(named.length > 0 ? {} : finer), ...said, ...details, ...members };
    const inner = Object.keys(all).length === 0 ? { code, message } : { code, message, details: all };
    return json({ error: inner, ...common });
  }
  const whole = detail === undefined ? message : `${message}: ${detail}`;
  const more = fields.length === 0 ? {} : { details };
  return json({ success: false, error_code: code, message: whole, ...finer, ...more, ...members, ...common });
}

/** `/items/0/price`, which is a JSON Pointer, as `items.0.price`. */
function plainName(field: string): string {
  if (!field.startsWith('/')) return field;
  return field.slice(1).replaceAll('/', '.').replaceAll('~1', '/').replaceAll('~0', '~');
}

function json(value: unknown): ErrorBody {
  return { contentType: 'application/json; charset=utf-8', body: JSON.stringify(value) };
}
