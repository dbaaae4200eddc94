/** From a hook `requestBody` or `responseBody` of a user's policy to those that the engine calls. */
import { FAULTS, Fault } from '../../base/errors.ts';
import { unpackableCoding } from '../content/codings.ts';
import { readExactJson } from '../content/exact-json.ts';
import { isJsonType, matchesType, mediaTypeOf } from '../content/media-type.ts';
import { DIGESTS, sendsOtherBytes } from '../content/other-bytes.ts';
import { askForWholeBody, refuseResponse, unpackResponse } from '../content/plain-response.ts';
import { readJson } from '../content/read-json.ts';
import { WholeValueFilter } from '../content/value-filters.ts';
import { fieldErrors } from '../content/violation.ts';
import type { Outcome, PolicyContext, PolicyHook, ResponseHook } from '../contract/policy.ts';
import {
  BODY_KIND,
  type BodyHook,
  type BodyStreamChange,
  type JsonBodyRules,
  type RequestBodyHook,
  type ResponseBodyHook,
} from '../contract/user-body.ts';
import { isRefusal, type PolicyCall, type PolicyRequest } from '../contract/user-policy.ts';
import { BodyStreamFilter } from './body-stream-filter.ts';
import type { HookGuard } from './hook-guard.ts';

const DEFAULT_DEPTH = 64;
/** A stream has no bound of its own. */
const UNBOUNDED = Number.MAX_SAFE_INTEGER;

export function isBodyHook(hook: unknown): hook is BodyHook<PolicyRequest> {
  return typeof hook === 'object' && hook !== null && Object.hasOwn(hook, BODY_KIND);
}

/** What is wrong with the rules of a hook, or undefined. */
export function rulesProblem(hook: BodyHook<PolicyRequest>): string | undefined {
  if (typeof hook.change !== 'function') return 'it was given no function';
  if (hook[BODY_KIND] === 'stream') return undefined;
  const { maxBytes } = hook.rules;
  return Number.isSafeInteger(maxBytes) && maxBytes > 0 ? undefined : 'maxBytes must be a number of bytes above 0';
}

// --- requests ----------------------------------------------------------------------------------------------------

export function requestBodyHook(hook: RequestBodyHook, guard: HookGuard): PolicyHook {
  return (exchange) => {
    if (guard.isBroken) return guard.broken;
    if (exchange.contentLength === 0) return undefined;
    if (!isMeant(hook, exchange.header('content-type')))
      return hook.rules.otherTypes === 'pass' ? undefined : new Fault(FAULTS.unsupportedMediaType);
    if (hook[BODY_KIND] === 'stream') return requestStream(hook.change, guard, exchange);
    const isJson = hook[BODY_KIND] === 'json';
    if (isJson && !exchange.isBodyUnpacked && unpackableCoding(exchange.header('content-encoding')) !== null)
      return new Fault(FAULTS.unsupportedMediaType, { headers: { 'Accept-Encoding': 'identity' } });
    const change = changeOf(hook, guard, 'requestBody', exchange, (expected) => wrongRequest(expected));
    return exchange.readBody(hook.rules.maxBytes).then(async (body) => {
      const made = await change(body);
      if (made instanceof Fault) return made;
      if (made === body) return undefined;
      forgetDigests(exchange);
      exchange.replaceBody(made);
      return undefined;
    });
  };
}

function requestStream(change: BodyStreamChange<PolicyRequest>, guard: HookGuard, exchange: PolicyContext): Outcome {
  const filter = streamFilter(change, guard, 'requestBody', exchange);
  if (filter === undefined || filter instanceof Fault) return filter;
  forgetDigests(exchange);
  exchange.filterRequestBody(filter);
  return undefined;
}

function forgetDigests(exchange: PolicyContext): void {
  for (const name of DIGESTS) exchange.removeUpstreamHeader(name);
}

function wrongRequest(expected: string): Fault {
  return new Fault(FAULTS.invalidRequest, { fields: [{ field: 'body', expected }] });
}

// --- responses ---------------------------------------------------------------------------------------------------

/** In `requestHead`, before the service is asked. */
export function responseBodyAsk(guard: HookGuard): PolicyHook {
  return (exchange) => {
    if (guard.isBroken) return guard.broken;
    askForWholeBody(exchange);
    return undefined;
  };
}

export function responseBodyHook(hook: ResponseBodyHook, guard: HookGuard): ResponseHook {
  return (exchange) => {
    const { status } = exchange;
    if (guard.isBroken || exchange.fault !== null || status < 200) return;
    if (status === 204 || status === 205 || status === 304 || exchange.method === 'HEAD') return;
    const type = exchange.sentHeader('content-type');
    if (!isMeant(hook, type)) {
      if (hook.rules.otherTypes === 'refuse' && exchange.responseLength !== 0)
        refuseResponse(exchange, unusable(`a response of type ${mediaTypeOf(type) || '(none)'}`));
      return;
    }
    if (status === 206 && hook[BODY_KIND] !== 'stream') {
      refuseResponse(exchange, unusable('a part of a response'));
      return;
    }
    const maxBytes = hook[BODY_KIND] === 'stream' ? UNBOUNDED : hook.rules.maxBytes;
    if (!unpackResponse(exchange, maxBytes, unusable)) return;
    if (hook[BODY_KIND] === 'stream') {
      const filter = streamFilter(hook.change, guard, 'responseBody', exchange);
      if (filter instanceof Fault) throw filter;
      if (filter === undefined) return;
      sendsOtherBytes(exchange);
      exchange.filterResponseBody(filter, { holdHead: hook.rules.holdHead === true });
      return;
    }
    const change = changeOf(hook, guard, 'responseBody', exchange, unusable);
    const changed = (made: Buffer | Fault, body: Buffer): Buffer | Fault => {
      // The head waits, so this is in time.
      if (!(made instanceof Fault) && made !== body) sendsOtherBytes(exchange);
      return made;
    };
    const filter = new WholeValueFilter(
      (body) => {
        const made = change(body);
        return made instanceof Promise ? made.then((one) => changed(one, body)) : changed(made, body);
      },
      maxBytes,
      () => unusable(`a response of more than ${maxBytes} bytes`),
    );
    exchange.filterResponseBody(filter, { holdHead: true });
  };
}

function unusable(cause: string): Fault {
  return new Fault(FAULTS.transformFailed, { cause });
}

// --- both --------------------------------------------------------------------------------------------------------

function isMeant({ [BODY_KIND]: kind, rules }: BodyHook<never>, contentType: string | null): boolean {
  const type = mediaTypeOf(contentType);
  if (rules.types !== undefined) return rules.types.some((pattern) => matchesType(pattern, type));
  return kind !== 'json' || isJsonType(type);
}

type Whole = BodyHook<PolicyContext> & { readonly [BODY_KIND]: 'whole' | 'json' };
type Changed = Buffer | Fault;

/** Gives the same buffer where nothing is changed. */
function changeOf(
  hook: Whole,
  guard: HookGuard,
  phase: 'requestBody' | 'responseBody',
  exchange: PolicyContext,
  wrong: (expected: string) => Fault,
): (body: Buffer) => Changed | Promise<Changed> {
  return (body) => {
    if (hook[BODY_KIND] === 'whole')
      return guard.run<unknown, Changed>(
        phase,
        (call: PolicyCall) => hook.change(body, exchange, call),
        (made) => wholeResult(made, body, guard),
      );
    // A response without body, whatever its type.
    if (body.length === 0 && phase === 'responseBody') return body;
    const value = jsonOf(body, hook.rules, phase, wrong);
    if (value instanceof Fault) return value;
    return guard.run<unknown, Changed>(
      phase,
      (call: PolicyCall) => hook.change(value.value, exchange, call),
      (made) => jsonResult(made, body, guard),
    );
  };
}

function wholeResult(made: unknown, body: Buffer, guard: HookGuard): Changed {
  if (made === undefined || made === null) return body;
  if (typeof made === 'string') return Buffer.from(made, 'utf8');
  if (made instanceof Uint8Array) return Buffer.from(made.buffer, made.byteOffset, made.length);
  if (typeof made === 'object' && isRefusal(made)) return guard.refused(made);
  throw new TypeError('it returned neither nothing, a refusal, a string nor a Uint8Array');
}

function jsonResult(made: unknown, body: Buffer, guard: HookGuard): Changed {
  if (made === undefined) return body;
  if (typeof made === 'object' && made !== null && isRefusal(made)) return guard.refused(made);
  const text = JSON.stringify(made);
  if (text === undefined) throw new TypeError('it returned what is no JSON');
  return Buffer.from(text, 'utf8');
}

/** Requests are read as strictly as validation reads them: what is checked and what is read must be the same. */
function jsonOf(
  body: Buffer,
  { maxDepth = DEFAULT_DEPTH }: JsonBodyRules,
  phase: string,
  wrong: (expected: string) => Fault,
): { readonly value: unknown } | Fault {
  if (phase === 'requestBody') {
    const strict = readJson(body, { maxDepth, safeIntegers: false });
    if (!strict.ok) return new Fault(FAULTS.invalidRequest, { fields: fieldErrors([strict.violation]) });
  }
  const read = readExactJson(body, maxDepth);
  return read.ok ? read : wrong(read.expected);
}

/** Undefined: the hook leaves this body alone. */
function streamFilter(
  change: BodyStreamChange<PolicyContext>,
  guard: HookGuard,
  phase: 'requestBody' | 'responseBody',
  exchange: PolicyContext,
): BodyStreamFilter | Fault | undefined {
  const filter = new BodyStreamFilter((onLate) => guard.attend(phase, onLate));
  const made = guard.run(
    phase,
    () => change(filter, exchange),
    (generator) => {
      if (generator === undefined) return undefined;
      if (typeof generator?.[Symbol.asyncIterator] !== 'function')
        throw new TypeError('it returned no async generator');
      filter.run(generator);
      return filter;
    },
  );
  return made instanceof Promise ? guard.faultOf(phase, new TypeError('it returned a promise and no generator')) : made;
}
