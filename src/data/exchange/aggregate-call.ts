/**
 * The action `aggregate` of one route: gives a composition (data/aggregate) what it needs of an exchange, and services
 * to call. Each part carries what every request to a service carries: identity, forwarding fields, request id, and the
 * client's own fields less those that are about the body, ranges, conditions or codings of the one request.
 */
import { FAULTS, Fault } from '../../base/errors.ts';
import type { ComposeContext, PartRequest, PartResponse } from '../aggregate/compose.ts';
import { Composition } from '../aggregate/compose.ts';
import { compileCondition } from '../auth/authorize/expression.ts';
import { readQuery } from '../content/parameters.ts';
import { readJson } from '../content/read-json.ts';
import { fieldErrors } from '../content/violation.ts';
import type { AggregateSettings } from '../contract/aggregate.ts';
import { FieldBlock } from '../contract/field-block.ts';
import type { Identity, PolicyContext, Reply } from '../contract/policy.ts';
import type { UpstreamService } from './attempt.ts';
import { callWhole } from './call-whole.ts';
import type { Exchange } from './exchange.ts';
import { MadeRequest } from './outgoing-request.ts';
import { fieldsOfOwnRequests } from './own-request-fields.ts';
import { RequestBody } from './request-body.ts';

/** The request's body may be referred to up to this size. */
const MAX_BODY_BYTES = 1_048_576;

export type Compose = (exchange: Exchange) => Promise<Reply | Fault>;

/** Throws a `TypeError` when a service is not there. */
export function aggregateAction(settings: AggregateSettings, services: ReadonlyMap<string, UpstreamService>): Compose {
  for (const { service } of settings.parts)
    if (!services.has(service)) throw new TypeError(`there is no service "${service}"`);
  const conditions = new Map(
    settings.parts.flatMap(({ name, when }) => (when === null ? [] : [[name, compileCondition(when)] as const])),
  );
  return async (exchange) => {
    const { body, violation } = await bodyOf(exchange, settings.readsBody);
    if (violation !== undefined) return new Fault(FAULTS.invalidRequest, { fields: fieldErrors([violation]) });
    const context = contextOf(exchange, settings, services, conditions, body);
    const composition = new Composition(settings, context);
    exchange.onGone(composition);
    return composition.run();
  };
}

function contextOf(
  exchange: Exchange,
  { maxPartBytes }: AggregateSettings,
  services: ReadonlyMap<string, UpstreamService>,
  conditions: ReadonlyMap<string, (exchange: PolicyContext) => boolean>,
  body: unknown,
): ComposeContext {
  const { runtime, params, identity } = exchange;
  const names = fieldsOfOwnRequests(exchange);
  const call = async (request: PartRequest, signal: AbortSignal): Promise<PartResponse> => {
    const own = new Set(request.headers.map(([name]) => name.toLowerCase()));
    const fields: [string, string][] = names.filter(([name]) => !own.has(name.toLowerCase()));
    if (!own.has('accept')) fields.push(['Accept', 'application/json']);
    fields.push(
      ['Accept-Encoding', 'identity'],
      ...request.headers.map(([name, value]) => [name, value] as [string, string]),
    );
    if (request.body !== null) fields.push(['Content-Type', 'application/json']);
    const observer = exchange.trace?.part() ?? null;
    const made = new MadeRequest({
      observer,
      method: request.method,
      path: request.path,
      query: request.query,
      fields: FieldBlock.of(fields),
      bodyLength: request.body?.length ?? 0,
      address: exchange.address,
      source: exchange.source,
      subject: identity?.subject ?? null,
    });
    const whole = RequestBody.whole(request.body === null ? [] : [request.body]);
    runtime.metrics.add('aggregate_parts', 1);
    const service = services.get(request.service)!;
    const limits = { maxBytes: maxPartBytes, timeoutMs: request.timeoutMs, signal };
    const sinceMs = observer === null ? 0 : runtime.clock.monotonicMs();
    const ended = (failed: string): void =>
      observer?.end(`part ${request.name}`, sinceMs, runtime.clock.monotonicMs(), failed);
    const calling = callWhole(runtime, { services }, service, made, whole, limits);
    const {
      status,
      fields: got,
      body: bytes,
    } = await calling.catch((error: unknown) => {
      ended(error instanceof Fault ? error.kind.reason : 'failed');
      throw error;
    });
    ended(status >= 400 ? String(status) : '');
    return {
      status,
      header: (name) => fieldOf(got, name),
      cookies: got.flatMap(([name, value]) => (name.toLowerCase() === 'set-cookie' ? [value] : [])),
      body: bytes,
    };
  };
  return {
    values: {
      params,
      query: queryOf(exchange.query),
      auth: identity === null ? null : authOf(identity),
      request: { body },
      header: (name) => exchange.header(name),
    },
    call,
    holds: (part) => conditions.get(part.name)?.(exchange) ?? true,
    nowMs: () => runtime.clock.monotonicMs(),
    setCookie: (value) => exchange.addResponseHeader('Set-Cookie', value),
    failed: (part, code) => {
      runtime.metrics.add('aggregate_parts_failed', 1);
      exchange.logField(`part_${part}`, code);
    },
  };
}

async function bodyOf(
  exchange: Exchange,
  isWanted: boolean,
): Promise<{ readonly body: unknown; readonly violation?: Parameters<typeof fieldErrors>[0][number] }> {
  if (!isWanted || exchange.contentLength === 0) return { body: undefined };
  const reading = readJson(await exchange.readBody(MAX_BODY_BYTES));
  return reading.ok ? { body: reading.value } : { body: undefined, violation: reading.violation };
}

/** A parameter that stands twice has no one value, so it has none. */
function queryOf(query: string): Record<string, string> {
  if (query === '') return {};
  const entries = [...readQuery(query, [])].filter(([, values]) => values.length === 1);
  return Object.fromEntries(entries.map(([name, values]) => [name, values[0] ?? '']));
}

function authOf({ subject, roles, scopes, plan, method, claims }: Identity): Record<string, unknown> {
  return { sub: subject, subject, roles, scopes, plan, method, claims };
}

function fieldOf(fields: readonly (readonly [string, string])[], name: string): string | null {
  const values = fields.filter(([each]) => each.toLowerCase() === name).map(([, value]) => value);
  return values.length === 0 ? null : values.join(', ');
}
