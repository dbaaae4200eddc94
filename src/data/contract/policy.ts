/**
 * What a policy is: a name, the phases it acts in, and a `create` that checks and precomputes once per snapshot and
 * returns named hooks. Hooks should be synchronous; one that returns a promise pays for it. A hook ends the
 * exchange by returning a `Reply` or a `Fault` and lets it go on by returning nothing. It never throws on bad
 * traffic: a throw is a defect and becomes 500 `internal`.
 */
import type { Clock } from '../../base/clock.ts';
import type { Fault } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import type { ProcessNumber } from '../../base/metrics-layout.ts';
import type { PolicyPhase } from '../../base/vocabulary.ts';
import type { BodyAccess } from './body-access.ts';
import type { ChannelCall } from './events.ts';
import type { FieldBlock } from './field-block.ts';
import type { FieldNames } from './field-names.ts';
import type { FieldWriter } from './field-writer.ts';
import type { SharedState } from './shared.ts';
import type { Secrets } from './snapshot.ts';

/** A response made by the gateway. */
export interface Reply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  /**
   * Strings are sent as UTF-8. Parts that come bit by bit (events, a stream of a handler) are pulled as fast as the
   * client takes them; `return` is called when it leaves. Memory of bytes must not change afterwards.
   */
  readonly body: string | Uint8Array | AsyncIterable<Uint8Array>;
  /** Values of `Set-Cookie`, a field each. */
  readonly cookies?: readonly string[] | undefined;
}

/** One that is there at once. */
export interface WholeReply extends Reply {
  readonly body: string | Uint8Array;
}

export type Outcome = undefined | Reply | Fault;

/** Made of an identity once (data/contract/identity-derived.ts): the block of its `upstreamHeaders`, and more. */
export interface IdentityDerived extends FieldBlock {
  /** `,"subject":"..."` */
  readonly record: string;
  /** The limiter's: the halves of the hashes that the caller is counted under, once `hasKeys` is true. */
  hasKeys: boolean;
  userA: number;
  userB: number;
  apiKeyA: number;
  apiKeyB: number;
}

/** Who is calling, as far as a policy of phase `authenticate` found out. Created once per token, then shared. */
export interface Identity {
  /** How it was proven: `jwt`, `apiKey`, `basic`, `mtls`, `introspect`, `external`. */
  readonly method: string;
  readonly subject: string;
  readonly roles: readonly string[];
  readonly scopes: readonly string[];
  readonly plan: string | null;
  readonly claims: Readonly<Record<string, unknown>>;
  /** Who vouches for the subject (`iss`) when that is not this gateway itself; null for its own accounts and keys. */
  readonly issuer?: string | null;
  /** One text for one caller over all issuers: what limits, quotas and bans count by. Absent: the subject. */
  readonly account?: string;
  /** The subject stands for everybody whom an outside authorizer lets in, and for no one in particular. */
  readonly isNameless?: boolean;
  /** A session that may do nothing but set up its second factor. */
  readonly mustEnrol?: boolean;
  /** Fields for the upstream request (`X-Auth-Subject` ...), prepared once. */
  readonly upstreamHeaders: Readonly<Record<string, string>>;
  /** Milliseconds since 1970 at which the credential ends; absent: not by itself. */
  readonly endsAtMs?: number;
  /** Id of the last requirements check passed; 0: none. Read by those only. */
  passedCheck?: number;
  /** Read by the engine only. */
  notes?: IdentityDerived | null;
}

/** What TLS verified of the caller, in the forms of Node's `X509Certificate`. */
export interface ClientCertificate {
  /** One attribute a line, escaped as in RFC 4514: `O=Example\nCN=billing`. */
  readonly subject: string;
  /** SHA-256, hex with colons. */
  readonly fingerprint256: string;
  /** `DNS:billing.internal, URI:spiffe://example/billing`; absent when the certificate has none. */
  readonly subjectAltName?: string | undefined;
}

/**
 * A limit that counted the request, to report in the response's head.
 */
export interface LimitNotice {
  /** How much is left: the notice with the least is the nearest. A refusal counts less than anything. */
  readonly nearness: number;
  /** It has `X-RateLimit-*`. Where any notice has these, those of the service are dropped. */
  readonly hasLegacy: boolean;
  writeLegacy(out: FieldWriter): void;
  /** `RateLimit` and `RateLimit-Policy`, or nothing. */
  writeStandard(out: FieldWriter): void;
}

/** Bytes of a field's value. */
export interface FieldRange {
  bytes: Buffer;
  /** All of `bytes`, by words; null if there is no such view. */
  view: DataView | null;
  start: number;
  end: number;
}

/** What policies see of an exchange. Strings are made on first use, so asking for nothing costs nothing. */
export interface PolicyContext extends BodyAccess {
  /**
   * Monotonic time in milliseconds if it is already known, as it mostly is on the way to the service, which takes
   * microseconds; undefined: read the clock.
   */
  readonly nowMs?: number | undefined;
  readonly requestId: string;
  readonly routeId: string;
  readonly method: string;
  /** The one path that is matched and forwarded, still percent-encoded, without the query. */
  readonly path: string;
  /** Without `?`; empty when there is none. */
  readonly query: string;
  readonly host: string;
  readonly scheme: 'http' | 'https';
  /** The caller: the peer, or what a trusted proxy said about it. Canonical text. */
  readonly address: string;
  /** A verified client certificate, or null. */
  readonly clientCertificate: ClientCertificate | null;
  readonly params: Readonly<Record<string, string>>;
  /** Value of a request field, name in lower case; several fields of one name are joined with `, `; null if absent. */
  header(name: string): string | null;
  /** The same of a request field as the service would get it by now. */
  sentUpstream(name: string): string | null;
  /**
   * Where the value of the one Authorization field lies, for comparing without making a text of it; false when there is
   * none, or several. The bytes must not be kept. Absent where requests are not bytes.
   */
  authorizationAt?(out: FieldRange): boolean;
  /** Value of a cookie, or null. */
  cookie(name: string): string | null;
  /** Declared length of the request body: 0 for none, -1 when it is chunked. */
  readonly contentLength: number;

  /**
   * A policy asks `host` about this request: the `traceparent` of its question, so that the answer is in the trace;
   * null where nothing is traced. Absent where requests are not traced.
   */
  traceparentFor?(host: string): string | null;

  identity: Identity | null;
  /** On a route that leads to the event bridge: what the request is about. Set in `requestHead`. */
  channel?: ChannelCall | null;
  /** A tunnel or stream of this exchange goes on when its credential expires; revoking still ends it. */
  outlivesExpiry?: boolean;

  /** Replaces or adds a field of the upstream request, removing every copy that the caller sent. */
  setUpstreamHeader(name: string, value: string): void;
  removeUpstreamHeader(name: string): void;
  /** Like `setUpstreamHeader` for each field of a block that was made once. */
  setUpstreamFields(block: FieldBlock): void;
  /** Adds a field to the response, whatever its source. */
  addResponseHeader(name: string, value: string): void;
  /** Replaces a field of the response. */
  setResponseHeader(name: string, value: string): void;
  removeResponseHeader(name: string): void;
  /** Like `setResponseHeader` for each field of a block that was made once. */
  setResponseFields(block: FieldBlock): void;
  /** The same for those fields that a service's response does not have. */
  setMissingFields(block: FieldBlock): void;
  /** Takes out those fields that a service's response has. */
  removeServiceFields(names: FieldNames): void;
  /** Adds fields that are known to be valid, without a check. */
  addResponseFields(block: FieldBlock): void;
  /**
   * Reports a limit in the response. Every notice writes RateLimit fields; only the tightest writes X-RateLimit-*.
   */
  noteLimit(notice: LimitNotice): void;
  /** In `responseHead` and `finish`: the status of the response; 0 before. */
  readonly status: number;
  /** In `finish`: the status of HTTP that says how it went; of a gRPC call, whose head says 200, what its own means. */
  readonly outcome?: number;
  /** In `responseHead`: a field of the upstream's response, name in lower case. */
  responseHeader(name: string): string | null;
  /**
   * In `responseHead`: a field of the response as it would be sent now, with the changes of policies.
   */
  sentHeader(name: string): string | null;
  /** Adds a field to the access record. Bounded names only, no secrets. */
  logField(name: string, value: string | number): void;
  /** In `finish`: how the exchange failed, or null. */
  readonly fault: Fault | null;
}

export type PolicyHook = (exchange: PolicyContext) => Outcome | Promise<Outcome>;
/**
 * `responseHead` and `finish` only look at and decorate the response. A `Fault` that `responseHead` throws is the
 * response in its place.
 */
export type ResponseHook = (exchange: PolicyContext) => void;

export interface PolicyHooks {
  readonly arrival?: PolicyHook;
  /**
   * Answers a CORS preflight (OPTIONS with `Origin` and `Access-Control-Request-Method`) for the route that the
   * announced method would reach, instead of `authenticate` and all that follows: a preflight never carries
   * credentials.
   */
  readonly preflight?: PolicyHook;
  readonly authenticate?: PolicyHook;
  readonly authorize?: PolicyHook;
  readonly limit?: PolicyHook;
  readonly requestHead?: PolicyHook;
  /** Behind all of `requestHead`: for what looks at the body, and for the last word before a service is asked. */
  readonly requestBody?: PolicyHook;
  readonly responseHead?: ResponseHook;
  /**
   * Fields of the response to a request whose head was refused (414, 431). Nothing is known of it but, perhaps, its
   * `Origin`.
   */
  readonly refusalFields?: (origin: string | null) => Readonly<Record<string, string>>;
  readonly finish?: ResponseHook;
  /** Frees what `create` took, when the snapshot is replaced. */
  readonly dispose?: () => void;
}

/** What a policy may use, handed in so that tests can hand in their own. */
export interface PolicyEnvironment {
  readonly routeId: string;
  readonly routeSlot: number;
  readonly clock: Clock;
  readonly log: Logger;
  readonly shared: SharedState;
  readonly secrets: Secrets;
  /** Things that outlive a snapshot and belong to the worker (token caches, key sets), by name, made on first use. */
  perWorker<T>(name: string, make: () => T): T;
  readonly control: ControlLink;
  /** Counts in the metrics of the worker. */
  count(name: ProcessNumber, change: number): void;
}

/**
 * A worker's line to the control plane. Topics are `<area>:<subject>`, such as `identity:keys`; data must survive a
 * structured clone. What control has published is kept per topic, so a late subscriber gets the latest at once.
 */
export interface ControlLink {
  /** Calls `listener` with the latest published data, now if there is any and on each change. Returns the way out. */
  subscribe(topic: string, listener: (data: unknown) => void): () => void;
  /** One way, never waits. */
  tell(topic: string, data: unknown): void;
  /** Asks control; rejects after `timeoutMs` or if the topic has no responder. */
  ask(topic: string, data: unknown, timeoutMs: number): Promise<unknown>;
}

export interface PolicyDefinition<Options = never, Prepared = void> {
  /** As in the configuration, and the name of the file. */
  readonly name: string;
  readonly phases: readonly PolicyPhase[];
  /** Its hooks run before those of other policies of the same phase. Default false. */
  readonly first?: boolean;
  /** Its hooks run behind those of all other policies of the same phase. Default false. */
  readonly last?: boolean;
  /**
   * When a promise of one of its hooks has settled, nothing of the policy looks at that exchange any more, so that its
   * memory may serve the next request. Default false, which is always safe.
   */
  readonly readsRequestOnlyWhilePending?: boolean;
  /**
   * Makes what `create` needs and cannot wait for, such as compiled schemas, before a snapshot is applied. Called once
   * for each route that has the policy; a rejection refuses the snapshot.
   */
  prepare?(options: Options, environment: PolicyEnvironment): Promise<Prepared>;
  create(options: Options, environment: PolicyEnvironment, prepared: Prepared): PolicyHooks;
}

export function definePolicy<Options, Prepared = void>(
  definition: PolicyDefinition<Options, Prepared>,
): PolicyDefinition<Options, Prepared> {
  return definition;
}
