/**
 * The action `aggregate` of one route: gives a composition (data/aggregate) what it needs of an exchange, and services
 * to call. Each part carries what every request to a service carries: identity, forwarding fields, request id, and the
 * client's own fields less those that are about the body, ranges, conditions or codings of the one request.
 */
import type { Cancellation } from '../../base/cancellation.ts';
import { FAULTS, Fault } from '../../base/errors.ts';
import type { Basis } from '../aggregate/cache-control.ts';
import type { ComposeContext, PartRequest, PartResponse } from '../aggregate/compose.ts';
import { ABOUT_CACHING, Composition, SHOWN_HEADERS } from '../aggregate/compose.ts';
import { compileCondition } from '../auth/authorize/expression.ts';
import { BodyVeil } from '../content/body-veil.ts';
import type { Values } from '../content/expression.ts';
import { referencesOf } from '../content/expression.ts';
import { readQuery } from '../content/parameters.ts';
import { readJson } from '../content/read-json.ts';
import { fieldErrors } from '../content/violation.ts';
import type { AggregateSettings, PartSettings, Reference } from '../contract/aggregate.ts';
import { FieldBlock } from '../contract/field-block.ts';
import type { Identity, PolicyContext, Reply } from '../contract/policy.ts';
import type { VisibilitySettings } from '../contract/transform.ts';
import type { PartObserver } from '../trace/exchange-trace.ts';
import type { UpstreamService } from './attempt.ts';
import { callWhole, type WantedFields, type WholeResponse } from './call-whole.ts';
import type { Exchange } from './exchange.ts';
import { MadeRequest } from './outgoing-request.ts';
import { ownRequestBlock } from './own-request-fields.ts';
import { RequestBody } from './request-body.ts';

/** The request's body may be referred to up to this size. */
const MAX_BODY_BYTES = 1_048_576;

export type Compose = (exchange: Exchange) => Promise<Reply | Fault>;

/** What a route's compositions have in common. */
interface Plan {
  readonly settings: AggregateSettings;
  readonly services: ReadonlyMap<string, UpstreamService>;
  readonly conditions: ReadonlyMap<string, (exchange: PolicyContext) => boolean>;
  readonly wanted: WantedFields;
  readonly basis: Basis;
}

/** Throws a `TypeError` when a service is not there. */
export function aggregateAction(settings: AggregateSettings, services: ReadonlyMap<string, UpstreamService>): Compose {
  for (const { service } of settings.parts)
    if (!services.has(service)) throw new TypeError(`there is no service "${service}"`);
  const conditions = new Map(
    settings.parts.flatMap(({ name, when }) => (when === null ? [] : [[name, compileCondition(when)] as const])),
  );
  const references = [...allReferences(settings)];
  const names = references.some(isPartsHeader) ? [...ABOUT_CACHING, ...SHOWN_HEADERS] : ABOUT_CACHING;
  const wanted = { names, cookies: settings.cookiesFrom.length > 0 };
  const plan = { settings, services, conditions, wanted, basis: basisOf(settings, references) };
  return (exchange) =>
    settings.readsBody && exchange.contentLength !== 0
      ? composeWithBody(exchange, plan)
      : compose(exchange, plan, undefined);
}

/** Of all templates, and the lists of `forEach`. */
function* allReferences({ parts, response }: AggregateSettings): Generator<Reference> {
  yield* referencesOf(response);
  for (const { path, query, headers, body, forEach } of parts) {
    yield* referencesOf(path);
    yield* referencesOf(body);
    for (const [, template] of [...query, ...headers]) yield* referencesOf(template);
    if (forEach !== null) yield forEach.list;
  }
}

const isPartsHeader = ({ path }: Reference): boolean => path[0] === 'parts' && path[2] === 'headers';

/** Conditions may ask for anything of the caller. */
function basisOf({ parts, readsBody }: AggregateSettings, references: readonly Reference[]): Basis {
  const isPersonal = parts.some(({ when }) => when !== null) || references.some(({ path }) => path[0] === 'auth');
  const fields = references.flatMap(({ path: [root, ...name] }) =>
    root === 'headers' ? [name.join('.').toLowerCase()] : [],
  );
  return { isPersonal, readsBody, fields: [...new Set(fields)] };
}

async function composeWithBody(exchange: Exchange, plan: Plan): Promise<Reply | Fault> {
  const reading = readJson(await exchange.readBody(MAX_BODY_BYTES));
  if (!reading.ok) return new Fault(FAULTS.invalidRequest, { fields: fieldErrors([reading.violation]) });
  return compose(exchange, plan, reading.value);
}

function compose(exchange: Exchange, plan: Plan, body: unknown): Promise<Reply | Fault> {
  const composition = new Composition(plan.settings, new AggregateContext(exchange, plan, body));
  exchange.onGone(composition);
  return composition.run();
}

class AggregateContext implements ComposeContext {
  readonly values: ExchangeValues;
  readonly #exchange: Exchange;
  readonly #plan: Plan;
  /** Of every part, made once. */
  readonly #shared: FieldBlock;

  get basis(): Basis {
    const { basis, services, settings } = this.#plan;
    const isVeiled = settings.parts.some(({ service }) => services.get(service)?.settings.visibility !== undefined);
    return isVeiled ? { ...basis, isPersonal: true } : basis;
  }

  constructor(exchange: Exchange, plan: Plan, body: unknown) {
    this.#exchange = exchange;
    this.#plan = plan;
    this.values = new ExchangeValues(exchange, body);
    this.#shared = ownRequestBlock(exchange);
  }

  call(request: PartRequest, cancellation: Cancellation): Promise<PartResponse> {
    const exchange = this.#exchange;
    const { runtime } = exchange;
    const { settings, services, wanted } = this.#plan;
    const observer = exchange.observer?.part() ?? null;
    const own = ownFields(request);
    const made = new MadeRequest({
      observer,
      method: request.method,
      path: request.path,
      query: request.query,
      sharedFields: request.headers.length === 0 ? this.#shared : without(this.#shared, own),
      fields: own,
      bodyLength: request.body?.length ?? 0,
      address: exchange.address,
      source: exchange.source,
      subject: exchange.subject,
    });
    const whole = request.body === null ? NO_BODY : RequestBody.whole([request.body]);
    runtime.asked.add('part', exchange.routeId, request.name, request.service);
    const service = services.get(request.service)!;
    const limits = { maxBytes: settings.maxPartBytes, timeoutMs: request.timeoutMs, wanted, cancellation };
    const called = callWhole(runtime, this.#plan, service, made, whole, limits);
    const { visibility } = service.settings;
    const calling = visibility === undefined ? called : this.#veiled(called, visibility);
    return observer === null ? calling : this.#observed(calling, request.name, observer);
  }

  /**
   * As a route to the service would show it. What is no JSON cannot be looked into; for a part it is no use either. Of
   * a part that failed the status is used alone.
   */
  async #veiled(calling: Promise<WholeResponse>, visibility: VisibilitySettings): Promise<WholeResponse> {
    const roles = this.#exchange.identity?.roles ?? [];
    const response = await calling;
    if (response.status < 200 || response.status > 299) return response;
    return { ...response, body: BodyVeil.of(visibility).apply(response.body, roles) };
  }

  async #observed(calling: Promise<WholeResponse>, part: string, observer: PartObserver): Promise<WholeResponse> {
    const { clock } = this.#exchange.runtime;
    const sinceMs = clock.monotonicMs();
    const ended = (failed: string): void => observer.end(`part ${part}`, sinceMs, clock.monotonicMs(), failed);
    try {
      const response = await calling;
      ended(response.status >= 400 ? String(response.status) : '');
      return response;
    } catch (error) {
      ended(error instanceof Fault ? error.kind.reason : 'failed');
      throw error;
    }
  }

  holds(part: PartSettings): boolean {
    return this.#plan.conditions.get(part.name)?.(this.#exchange) ?? true;
  }

  nowMs(): number {
    return this.#exchange.runtime.clock.monotonicMs();
  }

  failed(part: string, code: string): void {
    this.#exchange.runtime.asked.add('failed', this.#exchange.routeId, part, code);
    this.#exchange.logField(`part_${part}`, code);
  }
}

const NO_BODY = RequestBody.whole([]);
const JSON_FIELDS: readonly (readonly [string, string])[] = [
  ['Accept', 'application/json'],
  ['Accept-Encoding', 'identity'],
];
const PLAIN_FIELDS = FieldBlock.of(JSON_FIELDS);
const WRITING_FIELDS = FieldBlock.of([...JSON_FIELDS, ['Content-Type', 'application/json']]);

/** Those that are the part's own. */
function ownFields({ headers, body }: PartRequest): FieldBlock {
  if (headers.length === 0) return body === null ? PLAIN_FIELDS : WRITING_FIELDS;
  const accepts = headers.some(([name]) => name.toLowerCase() === 'accept');
  return FieldBlock.of([
    ...(accepts ? JSON_FIELDS.slice(1) : JSON_FIELDS),
    ...headers,
    ...(body === null ? [] : [['Content-Type', 'application/json'] as const]),
  ]);
}

function without({ names, values }: FieldBlock, own: FieldBlock): FieldBlock {
  const kept = names.flatMap((name, i) => (own.valueOf(name.toLowerCase()) === null ? [i] : []));
  return new FieldBlock(
    kept.map((i) => names[i]!),
    kept.map((i) => values[i]!),
  );
}

/** What templates see of the exchange, found out when one asks. */
class ExchangeValues {
  readonly request: Values['request'];
  readonly #exchange: Exchange;
  #query: Values['query'] | null = null;
  #auth: Values['auth'] | undefined;

  constructor(exchange: Exchange, body: unknown) {
    this.#exchange = exchange;
    this.request = { body };
  }

  get params(): Values['params'] {
    return this.#exchange.params;
  }

  get query(): Values['query'] {
    this.#query ??= queryOf(this.#exchange.query);
    return this.#query;
  }

  get auth(): Values['auth'] {
    const { identity } = this.#exchange;
    this.#auth ??= identity === null ? null : authOf(identity);
    return this.#auth;
  }

  header(name: string): string | null {
    return this.#exchange.header(name);
  }
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
