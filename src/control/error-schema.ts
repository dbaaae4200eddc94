/** The JSON Schema of an error's body in each shape that `gateway.errorFormat` has (base/error-body.ts), for documents. */
import type { ErrorFormat } from '../base/error-body.ts';
import type { Mapping } from './openapi-document.ts';

const TIMES = { timestamp: { type: 'string', format: 'date-time' }, request_id: { type: 'string' } };
const FIELD = {
  type: 'object',
  properties: { field: { type: 'string' }, value: {}, expected: { type: 'string' } },
};

/** The body of an error in the configured shape (base/error-body.ts). */
export function errorSchema(format: ErrorFormat): { readonly mediaType: string; readonly schema: Mapping } {
  const code = { type: 'string', description: 'Such as `RATE_LIMIT_EXCEEDED`.' };
  const message = { type: 'string' };
  if (format === 'problem') {
    const problem = { type: { type: 'string' }, title: message, status: { type: 'integer' }, detail: message };
    const errors = { type: 'array', items: FIELD };
    return {
      mediaType: 'application/problem+json',
      schema: {
        type: 'object',
        description: 'Problem details (RFC 9457).',
        required: ['type', 'title', 'status', 'code', 'message', 'request_id'],
        properties: { ...problem, instance: message, code, reason: message, message, errors, ...TIMES },
      },
    };
  }
  if (format === 'nested') {
    const inner = {
      type: 'object',
      required: ['code', 'message'],
      properties: { code, message, details: { type: 'object' } },
    };
    return {
      mediaType: 'application/json',
      schema: { type: 'object', required: ['error'], properties: { error: inner, ...TIMES } },
    };
  }
  return {
    mediaType: 'application/json',
    schema: {
      type: 'object',
      required: ['success', 'error_code', 'message'],
      properties: { success: { const: false }, error_code: code, message, details: { type: 'object' }, ...TIMES },
    },
  };
}
