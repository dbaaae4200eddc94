/**
 * `transform`: what the service gets of a request, and what the client gets of a response, in other words than they
 * were sent. Requests are changed behind all that checks them; of a response what the caller may not see is taken out
 * before anything else. Where a body that had to be changed cannot be (too large, not JSON), it is refused and not let
 * through.
 */
import { FAULTS, Fault } from '../../base/errors.ts';
import { unpackableCoding } from '../content/codings.ts';
import { readExactJson } from '../content/exact-json.ts';
import { EVENTS, isJsonType, LINE_TYPES, mediaTypeOf } from '../content/media-type.ts';
import { DIGESTS, makePrivate, sendsOtherBytes } from '../content/other-bytes.ts';
import { askForWholeBody, refuseResponse, unpackResponse } from '../content/plain-response.ts';
import { changedQuery } from '../content/query-changes.ts';
import { readJson } from '../content/read-json.ts';
import { EventRecords, LineRecords } from '../content/records.ts';
import { loadSearch, type Search } from '../content/reshape.ts';
import { RecordFilter, type ValueChange, WholeValueFilter } from '../content/value-filters.ts';
import { fieldErrors } from '../content/violation.ts';
import type { Outcome, PolicyContext, PolicyEnvironment, PolicyHooks } from '../contract/policy.ts';
import { definePolicy } from '../contract/policy.ts';
import type { BodyTransformSettings, TransformSettings } from '../contract/transform.ts';
import { type Changed, TransformSteps, valuesOf } from './transform-steps.ts';

const NOTHING = Buffer.alloc(0);

export const transform = definePolicy<TransformSettings, Search | null>({
  name: 'transform',
  phases: ['requestHead', 'requestBody', 'responseHead'],
  prepare: async ({ request, response }) =>
    [request?.body, response?.body].some((body) => body?.reshape?.select != null) ? loadSearch() : null,
  create({ request, response }, environment, search): PolicyHooks {
    const body = request?.body ?? null;
    const status = new Map(response?.status ?? []);
    const change =
      response?.body == null ? null : new ResponseChange(response.body, response.statuses, environment, search);
    return {
      ...(request?.query || change !== null
        ? {
            requestHead(exchange) {
              if (request?.query)
                exchange.setUpstreamQuery(changedQuery(exchange.upstreamQueryNow, request.query, valuesOf(exchange)));
              if (change !== null) askForWholeBody(exchange);
              return undefined;
            },
          }
        : {}),
      ...(body === null ? {} : { requestBody: requestHook(body, environment, search) }),
      ...(response === null
        ? {}
        : {
            responseHead(exchange) {
              if (exchange.fault !== null) return;
              change?.apply(exchange);
              const to = status.get(exchange.status);
              if (to !== undefined) exchange.setStatus(to);
            },
          }),
    };
  },
});

// --- requests
// ----------------------------------------------------------------------------------------------------------

function requestHook(
  settings: BodyTransformSettings,
  environment: PolicyEnvironment,
  search: Search | null,
): (exchange: PolicyContext) => Outcome | Promise<Outcome> {
  const wrong = (expected: string): Fault => new Fault(FAULTS.invalidRequest, { fields: [{ field: '', expected }] });
  const steps = new TransformSteps(settings, 'request', environment, search, wrong);
  const { count } = environment;
  const { maxBytes, maxDepth, otherTypes } = settings;
  const limits = { maxDepth, safeIntegers: false };
  const change = (bytes: Buffer, exchange: PolicyContext): Changed | Promise<Changed> => {
    // As strict as validation: what is checked, changed and read must be one and the same.
    const strict = readJson(bytes, limits);
    if (!strict.ok) return new Fault(FAULTS.invalidRequest, { fields: fieldErrors([strict.violation]) });
    const read = readExactJson(bytes, maxDepth);
    return steps.change(read.ok ? read.value : strict.value, exchange, true);
  };
  return (exchange) => {
    if (exchange.contentLength === 0) return undefined;
    const type = mediaTypeOf(exchange.header('content-type'));
    const isLines = LINE_TYPES.includes(type);
    if (!isJsonType(type) && !isLines) {
      if (otherTypes === 'pass') return undefined;
      return new Fault(FAULTS.unsupportedMediaType, { headers: { Accept: 'application/json' } });
    }
    if (!exchange.isBodyUnpacked && unpackableCoding(exchange.header('content-encoding')) !== null)
      return new Fault(FAULTS.unsupportedMediaType, { headers: { 'Accept-Encoding': 'identity' } });
    for (const name of DIGESTS) exchange.removeUpstreamHeader(name);
    count('transformed_bodies', 1);
    const tooLarge = (): Fault => new Fault(FAULTS.payloadTooLarge, { detail: `the limit is ${maxBytes} bytes` });
    if (isLines) {
      exchange.filterRequestBody(
        new RecordFilter((line) => change(line, exchange), new LineRecords(), maxBytes, tooLarge),
      );
      return undefined;
    }
    return exchange.readBody(maxBytes).then(
      async (bytes) => {
        const made = await change(bytes, exchange);
        if (made instanceof Fault) return made;
        exchange.replaceBody(made ?? NOTHING);
        return undefined;
      },
      (error: unknown) => {
        if (error instanceof Fault) return error;
        throw error;
      },
    );
  };
}

// --- responses
// ---------------------------------------------------------------------------------------------------------

class ResponseChange {
  readonly #settings: BodyTransformSettings;
  readonly #statuses: 'success' | 'all';
  readonly #steps: TransformSteps;
  readonly #isMore: boolean;
  readonly #count: PolicyEnvironment['count'];

  constructor(
    settings: BodyTransformSettings,
    statuses: 'success' | 'all',
    environment: PolicyEnvironment,
    search: Search | null,
  ) {
    this.#settings = settings;
    this.#statuses = statuses;
    this.#steps = new TransformSteps(settings, 'response', environment, search, failed);
    this.#isMore = settings.script !== null || settings.reshape !== null;
    this.#count = environment.count;
  }

  apply(exchange: PolicyContext): void {
    const { status } = exchange;
    if (status < 200 || status === 204 || status === 205 || status === 304) {
      if (status === 304) {
        sendsOtherBytes(exchange);
        if (this.#steps.veil !== null) makePrivate(exchange);
      }
      return;
    }
    const isWholly = this.#isMore && (this.#statuses === 'all' || status < 300);
    const { veil } = this.#steps;
    if (!isWholly && veil === null) return;
    if (veil !== null) makePrivate(exchange);
    const type = mediaTypeOf(exchange.sentHeader('content-type'));
    const isWhole = isJsonType(type);
    if (!isWhole && !LINE_TYPES.includes(type) && type !== EVENTS) {
      if (this.#settings.otherTypes === 'refuse' && exchange.responseLength !== 0)
        refuseResponse(exchange, failed(`a response of type ${type || '(none)'} cannot be transformed`));
      return;
    }
    if (status === 206) {
      refuseResponse(exchange, failed('a part of a response cannot be transformed'));
      return;
    }
    if (!unpackResponse(exchange, this.#settings.maxBytes, failed)) return;
    sendsOtherBytes(exchange);
    this.#count('transformed_bodies', 1);
    const { maxBytes } = this.#settings;
    const change = this.#changeFor(exchange, isWholly);
    const tooLarge = (): Fault => failed(`longer than ${maxBytes} bytes`);
    if (isWhole) exchange.filterResponseBody(new WholeValueFilter(change, maxBytes, tooLarge), { holdHead: true });
    else {
      const records = type === EVENTS ? new EventRecords() : new LineRecords();
      exchange.filterResponseBody(new RecordFilter(change, records, maxBytes, tooLarge));
    }
  }

  #changeFor(exchange: PolicyContext, isWholly: boolean): ValueChange {
    const { maxDepth } = this.#settings;
    return (bytes) => {
      // A response without body, whatever its type.
      if (bytes.length === 0) return bytes;
      const read = readExactJson(bytes, maxDepth);
      return read.ok ? this.#steps.change(read.value, exchange, isWholly) : failed(`it is not ${read.expected}`);
    };
  }
}

function failed(cause: string): Fault {
  return new Fault(FAULTS.transformFailed, { cause });
}
