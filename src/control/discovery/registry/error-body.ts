/**
 * Errors of the registration API in the shape that the gateway is configured for: `problem` (RFC 9457), `nested` or
 * `flat`, the same three that the data plane answers with, with the fields that were wrong added.
 */
import type { ErrorFormat } from '../../../data/contract/snapshot.ts';
import type { FieldProblem } from './bodies.ts';

export interface ApiError {
  readonly status: 400 | 401 | 404 | 409 | 413 | 500;
  readonly code: string;
  /** Lower case, no full stop, never a secret. */
  readonly message: string;
  readonly fields?: readonly FieldProblem[];
}

export interface ErrorFacts {
  readonly format: ErrorFormat;
  readonly accept: string | undefined;
  readonly requestId: string;
  readonly path: string;
  readonly wallMs: number;
}

export function errorBody(error: ApiError, facts: ErrorFacts): { contentType: string; body: string } {
  const { status, code, message, fields = [] } = error;
  const timestamp = new Date(facts.wallMs).toISOString();
  const common = { timestamp, request_id: facts.requestId };
  const problem = facts.format === 'problem' || facts.accept?.includes('application/problem+json') === true;
  if (problem) {
    const errors = fields.length === 0 ? {} : { errors: fields };
    const body = {
      type: 'about:blank',
      title: message,
      status,
      instance: facts.path,
      code,
      message,
      ...errors,
      ...common,
    };
    return { contentType: 'application/problem+json', body: JSON.stringify(body) };
  }
  // The CraftNudge document has one field, value and expectation in `details`; further ones stand beside them.
  const details =
    fields.length === 0 ? {} : { details: { ...fields[0], ...(fields.length > 1 ? { errors: fields } : {}) } };
  const body =
    facts.format === 'nested'
      ? { error: { code, message, ...details }, ...common }
      : { success: false, error_code: code, message, ...details, ...common };
  return { contentType: 'application/json; charset=utf-8', body: JSON.stringify(body) };
}
