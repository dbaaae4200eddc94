/**
 * A request as it goes to a service: the client's own (the exchange writes it) or one that the gateway makes (mirrors,
 * parts of a composition, revalidation). It may be written several times, for retries and hedges.
 */
import type { BalancerRequest } from '../contract/balancer.ts';
import { type FieldBlock, NO_FIELDS } from '../contract/field-block.ts';
import type { AttemptObserver } from '../trace/exchange-trace.ts';
import type { Source } from '../wire/sources.ts';
import type { Attempt } from './attempt.ts';
import { authorityOf } from './forwarding.ts';
import type { UpstreamStream } from './upstream-stream.ts';

export interface OutgoingRequest extends BalancerRequest {
  /** Upper case. */
  readonly method: string;
  readonly hasIdempotencyKey: boolean;
  /** On whose behalf it is; null: the gateway's own. */
  readonly source: Source | null;
  /** The protocol that the client asks to switch to, or empty. */
  readonly upgrade: string;
  /** A few bytes of the body follow before the callback ends, so the head can wait for them. */
  readonly bodyInHand: boolean;
  /** How long the client waits for the whole response, if it says so; 0: it does not. */
  readonly deadlineMs: number;
  /** Receives each attempt's request and end; null: none. */
  readonly observer: AttemptObserver | null;
  /** Begins the request on `stream`, writes its head for the attempt's instance and ends that. */
  writeHead(stream: UpstreamStream, attempt: Attempt): void;
}

export interface RequestParts {
  readonly method: string;
  /** Percent-encoded, without the query. */
  readonly path: string;
  /** Without `?`; null for none. */
  readonly query?: string | null;
  /** Without framing and connection fields; a Content-Length is written by the protocol. */
  readonly fields?: FieldBlock;
  /** Further ones, made once for many requests. */
  readonly sharedFields?: FieldBlock;
  /** Bytes of the body or `UNKNOWN_LENGTH`. Default none. */
  readonly bodyLength?: number;
  /** Default: the instance's own. */
  readonly authority?: string | null;
  /** For balancing and limits. */
  readonly address?: string;
  /** Whose share of connections it takes. Default: no caller's. */
  readonly source?: Source | null;
  readonly subject?: string | null;
  readonly observer?: AttemptObserver | null;
}

export class MadeRequest implements OutgoingRequest {
  readonly method: string;
  readonly path: string;
  readonly query: string;
  readonly address: string;
  readonly subject: string | null;
  readonly source: Source | null;
  readonly hasIdempotencyKey: boolean;
  readonly upgrade = '';
  readonly bodyInHand = false;
  readonly deadlineMs = 0;
  readonly observer: AttemptObserver | null;
  readonly #query: string | null;
  readonly #fields: FieldBlock;
  readonly #sharedFields: FieldBlock;
  readonly #bodyLength: number;
  readonly #authority: string | null;

  constructor(parts: RequestParts) {
    this.method = parts.method;
    this.path = parts.path;
    this.#query = parts.query ?? null;
    this.query = this.#query ?? '';
    this.address = parts.address ?? '';
    this.subject = parts.subject ?? null;
    this.observer = parts.observer ?? null;
    this.source = parts.source ?? null;
    this.#fields = parts.fields ?? NO_FIELDS;
    this.#sharedFields = parts.sharedFields ?? NO_FIELDS;
    this.#bodyLength = parts.bodyLength ?? 0;
    this.#authority = parts.authority ?? null;
    this.hasIdempotencyKey = this.header('idempotency-key') !== null;
  }

  header(name: string): string | null {
    return this.#fields.valueOf(name) ?? this.#sharedFields.valueOf(name);
  }

  cookie(): null {
    return null;
  }

  writeHead(stream: UpstreamStream, attempt: Attempt): void {
    const { endpoint } = attempt;
    const authority = this.#authority ?? authorityOf(endpoint.settings);
    const { basePath } = endpoint.settings;
    const path = this.path === '' && basePath === '' ? '/' : this.path;
    const out = stream.begin(attempt, this.method, authority, basePath, path, this.#query, '');
    out.fields(this.#sharedFields);
    out.fields(this.#fields);
    this.observer?.send(out, attempt);
    stream.endHead(this.#bodyLength, true, false);
  }
}
