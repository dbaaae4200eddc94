/**
 * What the HTTP side of the event bridge needs in common, on Node's own request and response, since connections of
 * subscribers live long and are many: errors in the gateway's shape, JSON, bodies up to a size.
 */
import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { errorBody, type FieldError } from '../../base/error-body.ts';
import type { ErrorFormat } from '../../data/contract/snapshot.ts';

export interface Refusal {
  readonly status: number;
  readonly code: string;
  readonly message: string;
  readonly fields?: readonly FieldError[];
  readonly headers?: Readonly<Record<string, string>>;
}

export const REFUSALS = {
  unauthenticated: { status: 401, code: 'AUTHENTICATION_REQUIRED', message: 'authentication is required' },
  notFound: { status: 404, code: 'RESOURCE_NOT_FOUND', message: 'there is no such endpoint' },
  tooLarge: { status: 413, code: 'PAYLOAD_TOO_LARGE', message: 'the event is too large' },
  internal: { status: 500, code: 'INTERNAL_ERROR', message: 'internal error' },
} as const satisfies Record<string, Refusal>;

export function methodNotAllowed(allowed: string): Refusal {
  return {
    status: 405,
    code: 'METHOD_NOT_ALLOWED',
    message: `only ${allowed} is allowed here`,
    headers: { allow: allowed },
  };
}

export function unavailable(message: string, retryAfterSeconds: number): Refusal {
  return { status: 503, code: 'SERVICE_UNAVAILABLE', message, headers: { 'retry-after': String(retryAfterSeconds) } };
}

export function invalid(status: 400 | 422, field: string, value: string, expected: string): Refusal {
  return {
    status,
    code: 'VALIDATION_ERROR',
    message: `${field} is not valid`,
    fields: [{ field, value: value.slice(0, 200), expected }],
  };
}

export function refuse(
  request: IncomingMessage,
  response: ServerResponse,
  refusal: Refusal,
  format: ErrorFormat,
): void {
  if (response.headersSent) {
    response.destroy();
    return;
  }
  const { contentType, body } = errorBody(refusal, {
    format,
    accept: request.headers.accept,
    requestId: textOf(request.headers['x-request-id']) ?? randomUUID(),
    path: request.url?.split('?')[0] ?? '/',
    wallMs: Date.now(),
  });
  // What is left of a body nobody reads would be taken for the next request.
  const left = request.complete ? {} : { connection: 'close' };
  response.writeHead(refusal.status, {
    'content-type': contentType,
    'content-length': Buffer.byteLength(body),
    'cache-control': 'no-store',
    ...refusal.headers,
    ...left,
  });
  response.end(request.method === 'HEAD' ? '' : body);
}

export function sendJson(
  response: ServerResponse,
  status: number,
  body: unknown,
  headers: Readonly<Record<string, string>> = {},
): void {
  const text = JSON.stringify(body);
  response.writeHead(status, {
    'content-type': 'application/json; charset=utf-8',
    'content-length': Buffer.byteLength(text),
    'cache-control': 'no-store',
    ...headers,
  });
  response.end(text);
}

export function textOf(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value.join(', ') : value;
}
