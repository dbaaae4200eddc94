/**
 * One response out of several: runs the parts, each as soon as those that it needs are there, within one deadline, and
 * puts their bodies together. A required part that fails ends all others and is the response; an optional one is left
 * out and named, in the body (`partial`) and in the field `Gatehouse-Partial`. Knows services only as a function to
 * call.
 */
import { Cancellation } from '../../base/cancellation.ts';
import { FAULTS, Fault } from '../../base/errors.ts';
import type { Values } from '../content/expression.ts';
import { lookUp, MissingValue, pathText, scalarOf, valueOfTemplate } from '../content/expression.ts';
import { readJson } from '../content/read-json.ts';
import type { AggregateSettings, PartSettings } from '../contract/aggregate.ts';
import type { Reply } from '../contract/policy.ts';
import { type Basis, VaryOfParts, weakest } from './cache-control.ts';

export interface PartRequest {
  /** Of the part. */
  readonly name: string;
  readonly service: string;
  readonly method: string;
  readonly path: string;
  readonly query: string | null;
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly body: Buffer | null;
  readonly timeoutMs: number;
}

export interface PartResponse {
  readonly status: number;
  /** Of `ABOUT_CACHING` and, where expressions name them, of `SHOWN_HEADERS`; several of one name joined. */
  readonly values: readonly (string | null)[];
  readonly cookies: readonly string[];
  readonly body: Buffer;
}

/** Rejects with a `Fault`. Ends early when the result is not wanted any more. */
export type CallService = (request: PartRequest, cancellation: Cancellation) => Promise<PartResponse>;

export interface ComposeContext {
  readonly values: Omit<Values, 'parts' | 'item'>;
  readonly call: CallService;
  /** Does the part's `when` hold? */
  holds(part: PartSettings): boolean;
  /** What of the request, beside its URL, the response depends on by what is configured. */
  readonly basis: Basis;
  nowMs(): number;
  /** Told of each part that failed. */
  failed(part: string, code: string): void;
}

/** A part's result as references see it (`parts.user.status`, `.headers`, `.body`). */
interface PartResult {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: unknown;
}

interface Outcome extends PartResult {
  /** The body as it came, which is JSON read in one way; null where it did not come. */
  readonly text: Buffer | null;
}

class PartFailure extends Error {
  /** In `partial` and the log: `timeout`, `status_500`, `not_json`, `missing_value` ... */
  readonly code: string;
  readonly fault: Fault;

  constructor(code: string, fault: Fault) {
    super(code);
    this.code = code;
    this.fault = fault;
  }
}

/** Fields that are read of each part's response, in this order. */
export const ABOUT_CACHING: readonly string[] = ['cache-control', 'vary'];
/** Those that parts show to references. */
export const SHOWN_HEADERS: readonly string[] = [
  'content-type',
  'etag',
  'last-modified',
  'link',
  'location',
  'x-total-count',
];
/** Statuses of a required part that are the client's business and so become the response's own. */
const PASSED: Readonly<Record<number, string>> = {
  400: 'VALIDATION_ERROR',
  401: 'AUTHENTICATION_REQUIRED',
  403: 'INSUFFICIENT_PERMISSIONS',
  404: 'RESOURCE_NOT_FOUND',
  409: 'CONFLICT',
  410: 'RESOURCE_NOT_FOUND',
  422: 'VALIDATION_ERROR',
  429: 'RATE_LIMIT_EXCEEDED',
  503: 'SERVICE_UNAVAILABLE',
};

export class Composition {
  readonly #settings: AggregateSettings;
  readonly #context: ComposeContext;
  readonly #cancellation = new Cancellation();
  readonly #results: Record<string, Outcome> = Object.create(null) as Record<string, Outcome>;
  /** What templates see that stand in no `forEach`. */
  readonly #values: PartValues;
  readonly #running = new Map<string, Promise<void>>();
  readonly #partial: { readonly part: string; readonly code: string }[] = [];
  readonly #cacheControl: (string | null)[] = [];
  readonly #vary = new VaryOfParts();
  readonly #cookies: string[] = [];
  readonly #waiting: (() => void)[] = [];
  #free: number;
  #deadlineMs = 0;
  #isOver = false;

  constructor(settings: AggregateSettings, context: ComposeContext) {
    this.#settings = settings;
    this.#context = context;
    this.#values = new PartValues(context.values, this.#results, undefined);
    this.#free = settings.concurrency;
  }

  /** Nobody wants the response any more. */
  onGone(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#cancellation.cancel();
  }

  async run(): Promise<Reply | Fault> {
    const { parts, timeoutMs } = this.#settings;
    this.#deadlineMs = this.#context.nowMs() + timeoutMs;
    for (const part of parts) this.#running.set(part.name, this.#part(part));
    try {
      await Promise.all(this.#running.values());
    } catch (error) {
      this.onGone();
      if (error instanceof PartFailure) return error.fault;
      throw error;
    }
    this.#isOver = true;
    return this.#reply();
  }

  /** Settles when the part has its result or is left out; rejects when the whole fails by it. */
  async #part(part: PartSettings): Promise<void> {
    if (part.needs.length > 0) await Promise.all(part.needs.map((name) => this.#running.get(name)));
    // What the request said may not be there any more.
    if (this.#isOver) throw abandoned();
    if (!this.#context.holds(part)) return;
    try {
      this.#results[part.name] =
        part.forEach === null ? await this.#once(part) : await this.#forEach(part, part.forEach);
    } catch (error) {
      if (!(error instanceof PartFailure) || this.#cancellation.isCancelled) throw error;
      this.#context.failed(part.name, error.code);
      const { onFailure } = part;
      if (onFailure.kind === 'fail') throw error;
      this.#partial.push({ part: part.name, code: error.code });
      if (onFailure.kind === 'default')
        this.#results[part.name] = { status: 0, headers: {}, body: onFailure.value, text: null };
    }
  }

  async #forEach(
    part: PartSettings,
    { list, max, concurrency }: NonNullable<PartSettings['forEach']>,
  ): Promise<Outcome> {
    const items = lookUp(list, this.#values);
    if (!Array.isArray(items)) throw new PartFailure('no_list', unusable(part, `${list.path.join('.')} is no list`));
    if (items.length > max) throw new PartFailure('too_many', unusable(part, `${items.length} items, at most ${max}`));
    const bodies: unknown[] = Array.from({ length: items.length }, () => null);
    let next = 0;
    const worker = async (): Promise<void> => {
      while (next < items.length) {
        const index = next++;
        try {
          bodies[index] = (await this.#once(part, items[index])).body;
        } catch (error) {
          if (!(error instanceof PartFailure) || part.onFailure.kind === 'fail') throw error;
          this.#context.failed(part.name, error.code);
          this.#partial.push({ part: `${part.name}.${index}`, code: error.code });
          if (part.onFailure.kind === 'default') bodies[index] = part.onFailure.value;
        }
      }
    };
    await Promise.all(Array.from({ length: Math.min(concurrency, items.length) }, worker));
    return { status: 200, headers: {}, body: bodies, text: null };
  }

  async #once(part: PartSettings, item?: unknown): Promise<Outcome> {
    if (this.#free > 0) this.#free--;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    try {
      if (this.#isOver) throw abandoned();
      const values = item === undefined ? this.#values : new PartValues(this.#context.values, this.#results, item);
      const request = this.#request(part, values);
      if (request.timeoutMs <= 0) throw new PartFailure('timeout', new Fault(FAULTS.totalTimeout));
      return this.#read(part, await this.#context.call(request, this.#cancellation));
    } catch (error) {
      throw this.#failureOf(part, error);
    } finally {
      this.#giveTurn();
    }
  }

  #request(part: PartSettings, values: Values): PartRequest {
    const query = part.query.flatMap(([name, template]) => {
      const value = scalarOf(template, values);
      return value === undefined ? [] : [`${encodeURIComponent(name)}=${encodeURIComponent(value)}`];
    });
    const target = pathText(part.path, values);
    const mark = target.indexOf('?');
    const written = mark < 0 ? [] : [target.slice(mark + 1)];
    const all = [...written, ...query];
    const body = part.body === null ? null : Buffer.from(JSON.stringify(valueOfTemplate(part.body, values) ?? null));
    return {
      name: part.name,
      service: part.service,
      method: part.method,
      path: mark < 0 ? target : target.slice(0, mark),
      query: all.length === 0 ? null : all.join('&'),
      headers: part.headers.flatMap(([name, template]) => {
        const value = scalarOf(template, values);
        return value === undefined ? [] : [[name, value] as const];
      }),
      body,
      timeoutMs: Math.min(part.timeoutMs, this.#deadlineMs - this.#context.nowMs()),
    };
  }

  #read(part: PartSettings, response: PartResponse): Outcome {
    const { status, values } = response;
    if (status < 200 || status > 299) throw new PartFailure(`status_${status}`, faultOfStatus(part, status));
    if (part.method === 'GET') this.#cacheControl.push(values[0] ?? null);
    else this.#cacheControl.push('no-store');
    this.#vary.add(values[1] ?? null, part);
    if (this.#settings.cookiesFrom.includes(part.name)) this.#cookies.push(...response.cookies);
    const headers = values.length > ABOUT_CACHING.length ? shownHeaders(values) : NO_HEADERS;
    if (response.body.length === 0) return { status, headers, body: null, text: null };
    const reading = readJson(response.body);
    if (!reading.ok) throw new PartFailure('not_json', unusable(part, 'its response is not JSON'));
    return { status, headers, body: reading.value, text: response.body };
  }

  #failureOf(part: PartSettings, error: unknown): PartFailure {
    if (error instanceof PartFailure) return error;
    if (error instanceof MissingValue) {
      const fault = error.isOfClient
        ? new Fault(FAULTS.invalidRequest, { fields: [{ field: error.reference, expected: 'a value' }] })
        : unusable(part, error.message);
      return new PartFailure('missing_value', fault);
    }
    if (!(error instanceof Fault)) throw error;
    const code = error.kind.status === 504 ? 'timeout' : error.kind.reason;
    return new PartFailure(code, new Fault(error.kind, { detail: `part ${part.name}`, cause: error.cause ?? '' }));
  }

  #giveTurn(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#free++;
    else next();
  }

  #reply(): Reply {
    const isPartial = this.#partial.length > 0;
    const { basis } = this.#context;
    const cacheControl = isPartial || basis.readsBody ? 'no-store' : weakest(this.#cacheControl, basis.isPersonal);
    const vary = this.#vary.with(basis.fields);
    const headers: Record<string, string> = { 'Content-Type': 'application/json; charset=utf-8' };
    if (cacheControl !== null) headers['Cache-Control'] = cacheControl;
    if (vary !== null) headers['Vary'] = vary;
    if (isPartial) headers['Gatehouse-Partial'] = [...new Set(this.#partial.map(({ part }) => part))].join(', ');
    return {
      status: 200,
      headers,
      body: isPartial || this.#settings.response !== null ? this.#written() : this.#joined(),
      cookies: this.#cookies,
    };
  }

  /** Each part's body under its name, as it came: nothing is written that was read. */
  #joined(): Buffer {
    const pieces: Buffer[] = [];
    for (const { name } of this.#settings.parts) {
      const result = this.#results[name];
      if (result === undefined) continue;
      pieces.push(Buffer.from(`${pieces.length === 0 ? '{' : ','}${JSON.stringify(name)}:`));
      pieces.push(result.text ?? Buffer.from(JSON.stringify(result.body)));
    }
    pieces.push(pieces.length === 0 ? EMPTY : END);
    return Buffer.concat(pieces);
  }

  #written(): string {
    const { response, parts } = this.#settings;
    let body: unknown;
    if (response === null) {
      const members: Record<string, unknown> = {};
      for (const { name } of parts) {
        const result = this.#results[name];
        if (result !== undefined) Object.defineProperty(members, name, { value: result.body, enumerable: true });
      }
      body = members;
    } else body = valueOfTemplate(response, this.#values) ?? null;
    if (this.#partial.length > 0 && typeof body === 'object' && body !== null && !Array.isArray(body))
      body = { ...body, partial: this.#partial };
    return JSON.stringify(body);
  }
}

const EMPTY = Buffer.from('{}');
const END = Buffer.from('}');
const NO_HEADERS: Readonly<Record<string, string>> = {};

/** What a part's templates see: what the exchange says, and the parts before it. */
class PartValues implements Values {
  readonly parts: Values['parts'];
  readonly item: unknown;
  readonly #outer: ComposeContext['values'];

  constructor(outer: ComposeContext['values'], parts: Values['parts'], item: unknown) {
    this.#outer = outer;
    this.parts = parts;
    this.item = item;
  }

  get params(): Values['params'] {
    return this.#outer.params;
  }

  get query(): Values['query'] {
    return this.#outer.query;
  }

  get auth(): Values['auth'] {
    return this.#outer.auth;
  }

  get request(): Values['request'] {
    return this.#outer.request;
  }

  header(name: string): string | null {
    return this.#outer.header(name);
  }
}

function abandoned(): Fault {
  return new Fault(FAULTS.downstreamAborted);
}

/** `values`: those about caching, then these. */
function shownHeaders(values: readonly (string | null)[]): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const [i, name] of SHOWN_HEADERS.entries()) {
    const value = values[i + ABOUT_CACHING.length] ?? null;
    if (value !== null) headers[name] = value;
  }
  return headers;
}

/** The part did what the client cannot help. */
function unusable({ name }: PartSettings, cause: string): Fault {
  return new Fault(FAULTS.partFailed, { detail: `part ${name}`, cause });
}

function faultOfStatus(part: PartSettings, status: number): Fault {
  const code = PASSED[status];
  if (code === undefined) return unusable(part, `it answered ${status}`);
  const kind = { ...FAULTS.partFailed, status, code };
  return new Fault(kind, { detail: `part ${part.name}`, cause: `it answered ${status}` });
}
