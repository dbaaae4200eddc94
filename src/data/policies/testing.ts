/**
 * For tests of policies: an exchange that records what a policy did to it, a line to control that a test holds the
 * other end of, and an environment made of both. Each keeps the contract that the engine keeps (header names in lower
 * case, one value per name joined with `, `, a removed field gone), so that a policy cannot tell the difference.
 */
import { FakeClock } from '../../base/clock.ts';
import { FAULTS, Fault } from '../../base/errors.ts';
import { createLogger } from '../../base/log.ts';
import type { BodyFilter, ResponseFilterOptions } from '../contract/body-access.ts';
import type { ChannelCall } from '../contract/events.ts';
import type { FieldBlock } from '../contract/field-block.ts';
import type { FieldNames } from '../contract/field-names.ts';
import type {
  ClientCertificate,
  ControlLink,
  Identity,
  LimitNotice,
  Outcome,
  PolicyContext,
  PolicyDefinition,
  PolicyEnvironment,
  PolicyHooks,
  Reply,
} from '../contract/policy.ts';
import { checkNotFraming, checkStatus, checkTarget } from '../contract/policy-limits.ts';
import { FieldRecorder } from '../parser/field-recorder.ts';

export interface ExchangeFacts {
  readonly method?: string;
  readonly path?: string;
  readonly query?: string;
  readonly host?: string;
  readonly scheme?: 'http' | 'https';
  readonly address?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly params?: Readonly<Record<string, string>>;
  readonly clientCertificate?: ClientCertificate | null;
  readonly contentLength?: number;
  readonly identity?: Identity | null;
  readonly requestId?: string;
  readonly body?: Uint8Array;
}

/** Records every change; `upstreamHeaders` and `downstreamHeaders` are what the two sides would see. */
export class RecordingExchange implements PolicyContext {
  readonly requestId: string;
  readonly routeId = 'route';
  readonly method: string;
  readonly path: string;
  readonly query: string;
  readonly host: string;
  readonly scheme: 'http' | 'https';
  readonly address: string;
  readonly clientCertificate: ClientCertificate | null;
  readonly params: Readonly<Record<string, string>>;
  readonly contentLength: number;
  identity: Identity | null;
  channel: ChannelCall | null = null;
  status = 0;
  fault: Fault | null = null;
  readonly logged: Record<string, string | number> = {};
  /** Fields of the request as the upstream would get them; starts as a copy of the caller's. */
  readonly upstreamHeaders: Map<string, string>;
  /** Fields set or added for the response, names in lower case. */
  readonly downstreamHeaders = new Map<string, string[]>();
  /** Fields of the upstream's response; a test fills it before `responseHead`. */
  readonly upstreamResponse = new Map<string, string>();
  readonly #headers: ReadonlyMap<string, string>;
  readonly #notices: LimitNotice[] = [];
  /** The request body; what `replaceBody` says is sent on. */
  body: Buffer;
  readonly requestFilters: BodyFilter[] = [];
  readonly responseFilters: { readonly filter: BodyFilter; readonly options: ResponseFilterOptions }[] = [];
  /** What `setUpstreamTarget` says, or null. */
  upstreamTarget: string | null = null;

  constructor(facts: ExchangeFacts = {}) {
    this.method = facts.method ?? 'GET';
    this.path = facts.path ?? '/';
    this.query = facts.query ?? '';
    this.host = facts.host ?? 'gateway.example';
    this.scheme = facts.scheme ?? 'https';
    this.address = facts.address ?? '192.0.2.1';
    this.clientCertificate = facts.clientCertificate ?? null;
    this.params = facts.params ?? {};
    this.body = Buffer.from(facts.body ?? []);
    this.contentLength = facts.contentLength ?? this.body.length;
    this.identity = facts.identity ?? null;
    this.requestId = facts.requestId ?? 'req-1';
    const headers = Object.entries({ host: this.host, ...facts.headers });
    this.#headers = new Map(headers.map(([name, value]) => [name.toLowerCase(), value]));
    this.upstreamHeaders = new Map(this.#headers);
  }

  header(name: string): string | null {
    return this.#headers.get(name) ?? null;
  }

  /** What `setUpstreamQuery` says; undefined: it was not called. */
  upstreamQuery: string | null | undefined = undefined;
  isBodyUnpacked = false;
  isOnce = false;
  readonly mayHaveActed = false;
  responseLength = -1;

  readBody(maxBytes: number): Promise<Buffer> {
    if (this.body.length <= maxBytes) return Promise.resolve(this.body);
    return Promise.reject(new Fault(FAULTS.payloadTooLarge));
  }

  cookie(name: string): string | null {
    for (const pair of (this.header('cookie') ?? '').split(';')) {
      const equals = pair.indexOf('=');
      if (equals > 0 && pair.slice(0, equals).trim() === name) return pair.slice(equals + 1).trim();
    }
    return null;
  }

  replaceBody(bytes: Uint8Array): void {
    this.body = Buffer.from(bytes);
  }

  filterRequestBody(filter: BodyFilter): void {
    this.requestFilters.push(filter);
  }

  filterResponseBody(filter: BodyFilter, options: ResponseFilterOptions = {}): void {
    this.responseFilters.push({ filter, options });
  }

  setStatus(status: number): void {
    checkStatus(status);
    this.status = status;
  }

  setUpstreamTarget(path: string, query: string | null): void {
    checkTarget(path, query);
    this.upstreamTarget = query === null ? path : `${path}?${query}`;
  }

  get upstreamQueryNow(): string {
    return this.upstreamQuery === undefined ? this.query : (this.upstreamQuery ?? '');
  }

  setUpstreamQuery(query: string | null): void {
    this.upstreamQuery = query;
  }

  sentUpstream(name: string): string | null {
    return this.upstreamHeaders.get(name) ?? null;
  }

  setUpstreamHeader(name: string, value: string): void {
    checkNotFraming(name);
    this.upstreamHeaders.set(name.toLowerCase(), value);
  }

  removeUpstreamHeader(name: string): void {
    checkNotFraming(name);
    this.upstreamHeaders.delete(name.toLowerCase());
  }

  addResponseHeader(name: string, value: string): void {
    checkNotFraming(name);
    const values = this.downstreamHeaders.get(name.toLowerCase()) ?? [];
    this.downstreamHeaders.set(name.toLowerCase(), [...values, value]);
  }

  setResponseHeader(name: string, value: string): void {
    checkNotFraming(name);
    this.upstreamResponse.delete(name.toLowerCase());
    this.downstreamHeaders.set(name.toLowerCase(), [value]);
  }

  removeResponseHeader(name: string): void {
    checkNotFraming(name);
    this.upstreamResponse.delete(name.toLowerCase());
    this.downstreamHeaders.delete(name.toLowerCase());
  }

  setUpstreamFields({ names, values }: FieldBlock): void {
    for (const [i, name] of names.entries()) this.setUpstreamHeader(name, values[i]!);
  }

  setResponseFields({ names, values }: FieldBlock): void {
    for (const [i, name] of names.entries()) this.setResponseHeader(name, values[i]!);
  }

  setMissingFields({ names, values }: FieldBlock): void {
    for (const [i, name] of names.entries())
      if (this.responseHeader(name.toLowerCase()) === null) this.setResponseHeader(name, values[i]!);
  }

  removeServiceFields({ lower }: FieldNames): void {
    for (const name of lower) if (this.responseHeader(name) !== null) this.removeResponseHeader(name);
  }

  addResponseFields({ names, values }: FieldBlock): void {
    for (const [i, name] of names.entries()) this.addResponseHeader(name, values[i]!);
  }

  noteLimit(notice: LimitNotice): void {
    this.#notices.push(notice);
    const recorder = new FieldRecorder();
    const told = this.#notices.filter(({ hasLegacy }) => hasLegacy);
    told.sort((one, other) => one.nearness - other.nearness);
    told[0]?.writeLegacy(recorder);
    for (const each of this.#notices) each.writeStandard(recorder);
    const { names, values } = recorder.block();
    const fields = names.map((name, i) => [name, values[i]!] as const);
    for (const [name] of fields) this.downstreamHeaders.delete(name.toLowerCase());
    for (const [name, value] of fields) {
      if (name.startsWith('X-')) this.upstreamResponse.delete(name.toLowerCase());
      this.addResponseHeader(name, value);
    }
  }

  responseHeader(name: string): string | null {
    return this.upstreamResponse.get(name) ?? null;
  }

  sentHeader(name: string): string | null {
    return this.downstreamHeader(name);
  }

  logField(name: string, value: string | number): void {
    this.logged[name] = value;
  }

  /** A field of the response as the caller would see it: the upstream's own, then what was added. */
  downstreamHeader(name: string): string | null {
    const own = this.upstreamResponse.get(name);
    const values = [...(own === undefined ? [] : [own]), ...(this.downstreamHeaders.get(name) ?? [])];
    return values.length === 0 ? null : values.join(', ');
  }
}

/**
 * The control plane's end in the hands of a test: publishes at once, replies as set up, remembers what it was asked.
 */
export class HandheldControl implements ControlLink {
  readonly asked: { readonly topic: string; readonly data: unknown }[] = [];
  readonly told: { readonly topic: string; readonly data: unknown }[] = [];
  readonly #latest = new Map<string, unknown>();
  readonly #listeners = new Map<string, Set<(data: unknown) => void>>();
  readonly #answers = new Map<string, (data: unknown) => unknown>();

  publish(topic: string, data: unknown): void {
    const copy: unknown = structuredClone(data);
    this.#latest.set(topic, copy);
    for (const listener of this.#listeners.get(topic) ?? []) listener(copy);
  }

  /** How questions of a topic are answered; a throw rejects the question. */
  answer(topic: string, how: (data: unknown) => unknown): void {
    this.#answers.set(topic, how);
  }

  subscribe(topic: string, listener: (data: unknown) => void): () => void {
    const listeners = this.#listeners.get(topic) ?? new Set();
    this.#listeners.set(topic, listeners.add(listener));
    if (this.#latest.has(topic)) listener(this.#latest.get(topic));
    return () => listeners.delete(listener);
  }

  tell(topic: string, data: unknown): void {
    this.told.push({ topic, data });
  }

  async ask(topic: string, data: unknown, _timeoutMs: number): Promise<unknown> {
    this.asked.push({ topic, data });
    const how = this.#answers.get(topic);
    if (how === undefined) throw new Error(`nobody answers to ${topic}`);
    return structuredClone(await how(data));
  }
}

export interface TestEnvironment extends PolicyEnvironment {
  readonly clock: FakeClock;
  readonly control: HandheldControl;
}

/** An environment whose `perWorker` things last as long as it does; give two routes the same one to share a worker. */
export function testEnvironment(
  more: { readonly secrets?: Readonly<Record<string, string>>; readonly clock?: FakeClock } = {},
): TestEnvironment {
  const things = new Map<string, unknown>();
  const memory = new SharedArrayBuffer(1_024);
  return {
    routeId: 'route',
    routeSlot: 1,
    clock: more.clock ?? new FakeClock(),
    log: createLogger('silent'),
    shared: { metrics: memory, instances: memory, limits: memory, cache: memory },
    secrets: more.secrets ?? {},
    perWorker<T>(name: string, make: () => T): T {
      if (!things.has(name)) things.set(name, make());
      return things.get(name) as T;
    },
    control: new HandheldControl(),
    count() {},
  };
}

/** Runs the hooks of the phases before the upstream in their order, as the engine does, until one ends the exchange. */
export async function runRequestPhases(
  hooks: PolicyHooks,
  exchange: PolicyContext,
): Promise<Reply | Fault | undefined> {
  for (const phase of ['arrival', 'authenticate', 'authorize', 'limit', 'requestHead'] as const) {
    const outcome: Outcome = await hooks[phase]?.(exchange);
    if (outcome !== undefined) return outcome;
  }
  return undefined;
}

/** `create` with options of the type that the definition asks for. */
export function createPolicy<Options>(
  definition: PolicyDefinition<Options>,
  options: Options,
  environment: PolicyEnvironment = testEnvironment(),
): PolicyHooks {
  return definition.create(options, environment);
}
