/**
 * `validate` and `openapi`: is the request what the API describes. Parameters first, then the body, which is held back
 * until it is known to be right: nothing of a wrong request reaches the service. What is checked is what the service
 * reads, since JSON and query have one reading here (content/read-json.ts, content/parameters.ts). Responses, where
 * asked for, are checked by validate-response.ts.
 */
import { FAULTS, Fault } from '../../base/errors.ts';
import { type CheckedMultipart, MultipartCheck } from '../content/multipart-check.ts';
import { MultipartFilter } from '../content/multipart-filter.ts';
import { boundaryOf } from '../content/multipart-reader.ts';
import { askForWholeBody } from '../content/plain-response.ts';
import type { CheckedOperation } from '../content/request-check.ts';
import { RequestCheck } from '../content/request-check.ts';
import type { Violation } from '../content/violation.ts';
import { fieldErrors, violation } from '../content/violation.ts';
import type { Outcome, PolicyContext, PolicyHooks } from '../contract/policy.ts';
import { definePolicy } from '../contract/policy.ts';
import type { ValidateSettings } from '../contract/validation.ts';
import { ResponseValidation } from './validate-response.ts';

export const validate = definePolicy<ValidateSettings, RequestCheck>({
  name: 'validate',
  phases: ['requestHead', 'responseHead'],
  // Before transforms, and before policies of users that rely on it.
  first: true,
  prepare: (settings) => RequestCheck.prepare(settings),
  create({ response }, environment, check): PolicyHooks {
    if (response === null) return { requestHead: (exchange) => checked(check, exchange) };
    const responses = new ResponseValidation(response, check, environment);
    return {
      requestHead(exchange) {
        askForWholeBody(exchange);
        return checked(check, exchange);
      },
      responseHead: (exchange) => responses.look(exchange),
    };
  },
});

function checked(check: RequestCheck, exchange: PolicyContext): Outcome | Promise<Outcome> {
  if (check.single !== null) return checkedBy(check, check.single, exchange.params, exchange);
  const found = check.find(exchange.method, exchange.path);
  if ('operation' in found) return checkedBy(check, found.operation, found.params, exchange);
  if (check.settings.unknownOperations === 'pass') return undefined;
  if (check.settings.mode === 'report') return reported(exchange, 'operation');
  if (found.length === 0) return new Fault(FAULTS.routeNotFound, { detail: 'the API description has no such path' });
  const methods = found.includes('GET') && !found.includes('HEAD') ? [...found, 'HEAD'] : found;
  return new Fault(FAULTS.methodNotAllowed, { headers: { Allow: methods.join(', ') } });
}

function checkedBy(
  check: RequestCheck,
  operation: CheckedOperation,
  params: Readonly<Record<string, string>>,
  exchange: PolicyContext,
): Outcome | Promise<Outcome> {
  const violations = check.checkHead(operation, {
    query: exchange.query,
    params,
    header: (name) => exchange.header(name),
    cookie: (name) => exchange.cookie(name),
  });
  if (operation.body === null) return outcomeOf(check, violations, exchange);
  if (exchange.contentLength === 0) {
    if (operation.body.required) violations.push({ field: '', expected: 'required' });
    return outcomeOf(check, violations, exchange);
  }
  const type = check.bodyType(operation, exchange.header('content-type'));
  // RFC 9110 §15.5.16: what would be taken is said.
  if (type === undefined)
    return refusedType(check, exchange, { Accept: operation.body.types.map((each) => each.type).join(', ') });
  const { multipart } = type;
  if (type.check === null && multipart === null && type.kind !== 'json') return outcomeOf(check, violations, exchange);
  const coding = exchange.header('content-encoding');
  // A packed body would be checked by nobody.
  if (coding !== null && coding.toLowerCase() !== 'identity' && !exchange.isBodyUnpacked)
    return refusedType(check, exchange, { 'Accept-Encoding': 'identity' });
  if (multipart !== null) return outcomeOf(check, violations, exchange) ?? checkedParts(check, multipart, exchange);
  // Everything that is wrong is said at once, so the body is read also when a parameter is wrong.
  return exchange.readBody(check.settings.maxBodyBytes).then(
    (bytes) => outcomeOf(check, [...violations, ...check.checkBody(type, bytes)], exchange),
    (error: unknown) => {
      if (error instanceof Fault) return error;
      throw error;
    },
  );
}

/** Parts pass as they come while they are checked, so this only begins it. */
function checkedParts(check: RequestCheck, multipart: CheckedMultipart, exchange: PolicyContext): Outcome {
  const { maxBodyBytes, mode } = check.settings;
  const boundary = boundaryOf(exchange.header('content-type') ?? '');
  if (typeof boundary !== 'string')
    return outcomeOf(check, [violation('header.content-type', undefined, boundary.expected)], exchange);
  const length = exchange.isBodyUnpacked ? -1 : exchange.contentLength;
  const report = mode === 'report' ? (fault: Fault): void => reported(exchange, fault.cause ?? 'body') : null;
  exchange.filterRequestBody(
    new MultipartFilter(boundary, new MultipartCheck(multipart, maxBodyBytes), length, report),
    length,
  );
  return undefined;
}

function outcomeOf(check: RequestCheck, violations: readonly Violation[], exchange: PolicyContext): Outcome {
  const [first] = violations;
  if (first === undefined) return undefined;
  if (check.settings.mode === 'report') return reported(exchange, first.field === '' ? 'body' : first.field);
  return new Fault(FAULTS.invalidRequest, {
    message: violations.find(({ message }) => message !== undefined)?.message,
    fields: fieldErrors(violations),
    cause: `${first.field}: ${first.expected}`,
  });
}

function refusedType(check: RequestCheck, exchange: PolicyContext, headers: Record<string, string>): Outcome {
  if (check.settings.mode === 'report') return reported(exchange, 'content-type');
  return new Fault(FAULTS.unsupportedMediaType, { headers });
}

/** `mode: report`: the request passes, its record says what would have been refused. */
function reported(exchange: PolicyContext, field: string): undefined {
  exchange.logField('invalid', field.slice(0, 100));
  return undefined;
}
