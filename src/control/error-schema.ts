/**
 * The JSON Schema of an error's body in each shape that `gateway.errorFormat` has (base/error-body.ts), for documents.
 */
import type { ErrorFormat } from '../base/error-body.ts';

type Mapping = Readonly<Record<string, unknown>>;

const TIMES = { timestamp: { type: 'string', format: 'date-time' }, request_id: { type: 'string' } };
const FIELD = {
  type: 'object',
  required: ['field', 'expected'],
  properties: {
    field: { type: 'string' },
    value: { description: 'As it was sent; long texts are cut. Absent for secrets and what is missing.' },
    expected: { type: 'string' },
  },
};
const CODE = { type: 'string', description: 'Such as `RATE_LIMIT_EXCEEDED`.' };
const REASON = { type: 'string', description: 'Finer than the code.' };
const TEXT = { type: 'string' };
/** The first field that is wrong; `errors` where there are more. */
const DETAILS = { ...FIELD.properties, errors: { type: 'array', items: FIELD } };

const PROBLEM = {
  type: 'object',
  description: 'Problem details (RFC 9457).',
  required: ['type', 'title', 'status', 'code', 'message', 'timestamp', 'request_id'],
  properties: {
    type: TEXT,
    title: TEXT,
    status: { type: 'integer' },
    detail: TEXT,
    instance: TEXT,
    code: CODE,
    reason: REASON,
    message: TEXT,
    errors: { type: 'array', items: FIELD },
    ...TIMES,
  },
};
const NESTED = {
  type: 'object',
  required: ['error', 'timestamp', 'request_id'],
  properties: {
    error: {
      type: 'object',
      required: ['code', 'message'],
      properties: {
        code: CODE,
        message: TEXT,
        details: { type: 'object', properties: { reason: REASON, detail: TEXT, ...DETAILS } },
      },
    },
    ...TIMES,
  },
};
const FLAT = {
  type: 'object',
  required: ['success', 'error_code', 'message', 'timestamp', 'request_id'],
  properties: {
    success: { const: false },
    error_code: CODE,
    message: TEXT,
    reason: REASON,
    details: { type: 'object', properties: DETAILS },
    ...TIMES,
  },
};
/** Named by its shape, since the account API may have another one than the gateway. */
const NAMES = { problem: 'ProblemDetails', nested: 'NestedError', flat: 'FlatError' } as const;
const SCHEMAS = { problem: PROBLEM, nested: NESTED, flat: FLAT } as const;
export const ERROR_SCHEMAS: ReadonlySet<string> = new Set(Object.values(NAMES));

/** Of what the gateway and its APIs respond with: a reference to this where `components` of a document have it. */
export const ERROR_RESPONSE = '#/components/responses/GatewayError';

/** What a document has to have for `errorContent` and references to `ERROR_RESPONSE`. */
export function errorComponents(format: ErrorFormat): {
  readonly schemas: Mapping;
  readonly responses: { readonly GatewayError: Mapping };
} {
  return {
    schemas: { [NAMES.problem]: PROBLEM, [NAMES[format]]: SCHEMAS[format] },
    responses: { GatewayError: { description: 'The gateway responded itself', content: errorContent(format) } },
  };
}

/**
 * By media type: the configured shape, and problem details for clients that accept them. `members` are what this error
 * says beyond all others, such as the ticket of a second factor.
 */
export function errorContent(format: ErrorFormat, members?: Mapping): Mapping {
  const problem = { 'application/problem+json': { schema: withMembers('problem', members) } };
  return format === 'problem' ? problem : { 'application/json': { schema: withMembers(format, members) }, ...problem };
}

function withMembers(format: ErrorFormat, members: Mapping | undefined): Mapping {
  const reference = { $ref: `#/components/schemas/${NAMES[format]}` };
  if (members === undefined) return reference;
  const details = { type: 'object', properties: { details: members } };
  return {
    allOf: [reference, format === 'nested' ? { type: 'object', properties: { error: details } } : members],
  };
}
