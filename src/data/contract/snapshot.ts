/**
 * The compiled configuration: what control publishes and every worker lives by. Plain frozen data, because it
 * crosses threads by structured clone; live objects (router, pools, balancers) are built from it off the hot path.
 * Units are in the names. Slots are indices into shared memory (data/contract/shared.ts); control hands them out
 * and a thing keeps its slot across reloads as long as its id stays. No secret is ever in a Snapshot: certificates,
 * keys and the like travel beside it in `Secrets`.
 */
import type { ErrorFormat } from '../../base/error-body.ts';
import type { AreaLevels, LogLevel } from '../../base/log.ts';
import type { AggregateSettings } from './aggregate.ts';
import type { TranscodeSettings } from './transcode.ts';
import type { VisibilitySettings } from './transform.ts';

export interface Snapshot {
  /** Counts up by one with each published snapshot. */
  readonly version: number;
  readonly gateway: GatewaySettings;
  readonly listeners: readonly ListenerSettings[];
  readonly services: readonly ServiceSettings[];
  readonly routes: readonly RouteSettings[];
  /** Policies that decorate responses which belong to no route: 404, 405, 406 and the like. */
  readonly unrouted?: readonly PolicySettings[];
}

/** What must not be printed or dumped. Keys are the `secret` ids that the snapshot refers to. */
export type Secrets = Readonly<Record<string, string>>;

export interface GatewaySettings {
  readonly name: string;
  readonly version: string;
  readonly logLevel: LogLevel;
  /** Of areas that have one of their own. Absent: none has. */
  readonly logLevels?: AreaLevels;
  readonly accessLog: 'off' | 'stdout' | { readonly file: string };
  /** Shape of error bodies when the caller's `Accept` does not decide. */
  readonly errorFormat: ErrorFormat;
  /** CIDR blocks whose forwarded fields, request ids and PROXY headers are believed. */
  readonly trustProxy: readonly string[];
  /** Name under which the gateway appears in `Via`; empty sends no `Via`. */
  readonly via: string;
  /** Fields about the client that services get only when asked for. Absent: none. */
  readonly forwarded?: { readonly realIp: boolean; readonly port: boolean };
  readonly shutdownTimeoutMs: number;
  readonly limits: ConnectionLimits;
  readonly http2: Http2Settings;
}

export type { ErrorFormat };

/** Deadlines and sizes of downstream connections. 0 turns a deadline off. */
export interface ConnectionLimits {
  /** From the first byte of a request to the end of its head. */
  readonly headTimeoutMs: number;
  /** Between two requests on one connection. */
  readonly keepAliveTimeoutMs: number;
  /** Longest pause inside a request body. */
  readonly bodyIdleTimeoutMs: number;
  /** Least average bytes per second of a request body, after a grace of `bodyIdleTimeoutMs`. 0 turns it off. */
  readonly minBodyBytesPerSecond: number;
  /** Longest time that a caller may leave written bytes unread, and the time over which its least rate is taken. */
  readonly writeTimeoutMs: number;
  /** Least average bytes per second that a caller takes while bytes wait for it. 0: any byte will do. */
  readonly minReadBytesPerSecond: number;
  /** Longest pause, both ways, in a tunnel (WebSocket). */
  readonly tunnelIdleTimeoutMs: number;
  readonly maxHeadBytes: number;
  readonly maxTargetBytes: number;
  readonly maxFields: number;
  readonly maxConnections: number;
  /** Of them, those of one address (IPv6: of a /64). Trusted proxies are not counted. */
  readonly maxConnectionsPerAddress: number;
  /** Request bodies of one address that come slowly, per worker; of more the slowest end. */
  readonly maxSlowBodiesPerAddress: number;
  /** Open tunnels per worker. */
  readonly maxTunnels: number;
  readonly maxRequestsPerConnection: number;
}

/** What one downstream HTTP/2 connection may have at a time. */
export interface Http2Settings {
  /** Requests in flight. */
  readonly maxConcurrentStreams: number;
  /** Request body bytes that may wait here for a slow service: of one stream, and of all streams together. */
  readonly streamWindow: number;
  readonly connectionWindow: number;
}

export interface ListenerSettings {
  readonly id: string;
  readonly host: string;
  readonly port: number;
  /** Read a PROXY protocol v1 or v2 header first; only peers in `trustProxy` may connect then. */
  readonly proxyProtocol: boolean;
  /** What clients may speak; with TLS they choose by ALPN, in clear text HTTP/2 begins with its preface. */
  readonly protocols: readonly ListenerProtocol[];
  readonly tls: ListenerTls | null;
}

export type ListenerProtocol = 'h1' | 'h2';

export interface ListenerTls {
  readonly certificates: readonly TlsCertificate[];
  readonly minVersion: 'TLSv1.2' | 'TLSv1.3';
  readonly clientCertificate: 'off' | 'optional' | 'required';
  /** Secret id of the PEM bundle that client certificates must chain to. */
  readonly clientCa: string | null;
}

export interface TlsCertificate {
  /** Server names, `*.example.com` allowed; the first certificate also answers when no name matches. */
  readonly names: readonly string[];
  /** Secret ids of PEM texts. */
  readonly cert: string;
  readonly key: string;
}

export interface ServiceSettings {
  readonly name: string;
  readonly slot: number;
  readonly instances: readonly InstanceSettings[];
  /** Name of the algorithm and its options, as its definition validated them. */
  readonly balancer: { readonly algorithm: string; readonly options: unknown };
  readonly timeouts: UpstreamTimeouts;
  readonly protocol: ServiceProtocol;
  readonly pool: PoolSettings;
  /** A connection is asked for when so many bytes of the request body are here, or all of them; 0: with the head. */
  readonly requestBufferBytes: number;
  readonly retries: RetrySettings;
  /** What its HTTP/1.1 responses may do against the grammar. Absent: nothing. */
  readonly lenient?: readonly LenientForm[];
  readonly tls: UpstreamTls | null;
  /** `preserve` sends the caller's Host; otherwise the instance's own authority or a fixed one. */
  readonly host: 'preserve' | 'instance' | { readonly fixed: string };
  /** What callers may see of its JSON, where it says so itself. */
  readonly visibility?: VisibilitySettings;
  /** Resilience beyond the above; `null` where not configured. Read by data/balancer only. */
  readonly resilience: ResilienceSettings;
}

export const LENIENT_FORMS = [
  'lengthBesideChunked',
  'anyStatus',
  'lineFeeds',
  'folding',
  'blankBeforeColon',
  'chunkPadding',
] as const;
export type LenientForm = (typeof LENIENT_FORMS)[number];

export interface InstanceSettings {
  /** Stable across reloads: service name and address. */
  readonly id: string;
  readonly slot: number;
  readonly url: string;
  readonly protocol: 'http' | 'https';
  readonly host: string;
  readonly port: number;
  /** Unix socket or named pipe; host and port then only form the Host field. */
  readonly socketPath: string | null;
  /** Prefix that the instance's URL carries, put before every path; `''` for none. */
  readonly basePath: string;
  /** 1 is usual; 0 takes no new traffic. */
  readonly weight: number;
  readonly zone: string | null;
  /** As configured; probes and ejection change the live state in shared memory, not this. */
  readonly healthy: boolean;
  readonly metadata: Readonly<Record<string, string>>;
}

/** 0 means no limit. */
export interface UpstreamTimeouts {
  readonly connectMs: number;
  /** From the last request byte to the first response byte. */
  readonly firstByteMs: number;
  /** Longest pause inside the response body. */
  readonly idleMs: number;
  /** The whole exchange, all attempts together. */
  readonly totalMs: number;
}

/** What instances speak: HTTP/1.1, HTTP/2 (with TLS or without), either by ALPN, or gRPC over HTTP/2. */
export type ServiceProtocol = 'h1' | 'h2' | 'auto' | 'grpc';

export interface PoolSettings {
  /** Connections per instance and worker. */
  readonly maxConnections: number;
  /** Exchanges that may wait for a connection, per instance and worker. */
  readonly maxQueued: number;
  readonly queueTimeoutMs: number;
  readonly idleTimeoutMs: number;
  /** After this time a connection takes no new request; 0: no limit. */
  readonly maxAgeMs: number;
  /** An HTTP/2 connection on which nothing came for so long gets a PING; 0: never. */
  readonly pingAfterMs: number;
  /** Without a reply for so long it is lost. */
  readonly pingTimeoutMs: number;
  /** Of both of them, what one address may have at a time; 1 is no limit. */
  readonly addressShare: number;
}

export interface RetrySettings {
  /** Further tries after the first; 0 never retries. */
  readonly attempts: number;
  /** Fault reasons that may be tried again (`connect_failed`, `first_byte_timeout` ...), within what is safe. */
  readonly faults: readonly string[];
  /** Statuses of upstream responses that are tried again. */
  readonly statuses: readonly number[];
  /** Methods that count as idempotent, upper case. */
  readonly methods: readonly string[];
  /** Each single try's deadline to the first byte; 0 uses `timeouts.firstByteMs`. */
  readonly perTryMs: number;
  readonly backoffBaseMs: number;
  readonly backoffMaxMs: number;
  /** Retries and hedges as a share of requests, over ten seconds; 1 is no limit. */
  readonly budgetRatio: number;
  /** Retries per second that the budget always allows, so that a quiet service can retry at all. */
  readonly budgetMinPerSecond: number;
  /** Request bodies up to this size are kept so that they can be sent again. */
  readonly maxReplayBytes: number;
}

export interface UpstreamTls {
  readonly serverName: string | null;
  /** Secret ids of PEM texts, or null. */
  readonly ca: string | null;
  readonly cert: string | null;
  readonly key: string | null;
  /** False accepts any certificate; `check` warns about it. */
  readonly verify: boolean;
}

export interface ResilienceSettings {
  readonly breaker: BreakerSettings | null;
  readonly ejection: EjectionSettings | null;
  readonly concurrency: ConcurrencySettings | null;
  readonly hedge: HedgeSettings | null;
  readonly slowStartMs: number;
  /** When every instance is down: refuse at once, or try them anyway. */
  readonly whenAllDown: 'fail' | 'try';
  readonly sticky: StickySettings | null;
  readonly zone: ZoneSettings | null;
  /** What to do when the breaker is open or no instance is left. */
  readonly fallback: FallbackSettings | null;
}

export interface BreakerSettings {
  /** A slower response than this counts as an error. 0 turns it off. */
  readonly timeoutMs: number;
  readonly errorThresholdRatio: number;
  readonly resetTimeoutMs: number;
  readonly rollingWindowMs: number;
  readonly rollingBuckets: number;
  /** Fewest responses in the window before the breaker may open. */
  readonly volumeThreshold: number;
  readonly halfOpenProbes: number;
  /** Statuses that count as errors; faults of the upstream side always do. */
  readonly errorStatuses: readonly number[];
  readonly scope: 'service' | 'instance' | 'both';
}

export interface EjectionSettings {
  /** Only lost connections, or every failure, error statuses and slow responses included. */
  readonly counts: 'connections' | 'failures';
  readonly consecutiveFaults: number;
  /** Error ratio above the service's mean, in standard deviations; 0 turns it off. */
  readonly deviationFactor: number;
  readonly minimumRequests: number;
  readonly intervalMs: number;
  readonly baseEjectionMs: number;
  readonly maxEjectionMs: number;
  readonly maxEjectedRatio: number;
}

export interface ConcurrencySettings {
  /** In flight per service over all workers; 0 is no limit. */
  readonly maxPerService: number;
  readonly maxPerInstance: number;
  readonly maxQueued: number;
  readonly queueTimeoutMs: number;
  readonly adaptive: boolean;
}

export interface HedgeSettings {
  /** Fixed delay, or null when `percentile` decides. */
  readonly delayMs: number | null;
  /** 0 to 1: hedge when a response takes longer than this share of recent ones. */
  readonly percentile: number | null;
  readonly methods: readonly string[];
}

export interface StickySettings {
  readonly cookie: string;
  readonly ttlSeconds: number;
  /** Secret id of the key that signs the cookie. */
  readonly key: string;
  readonly path: string;
  readonly secure: boolean;
  readonly sameSite: 'Lax' | 'Strict' | 'None';
}

export interface ZoneSettings {
  readonly local: string;
  /** Leave the zone when fewer than this share of its instances is healthy. */
  readonly minHealthyRatio: number;
  /** Leave the zone when its instances hold more than this many requests in flight each; 0 turns it off. */
  readonly maxInFlightPerInstance: number;
}

export type FallbackSettings =
  | { readonly kind: 'service'; readonly service: string }
  | { readonly kind: 'respond'; readonly response: FixedResponse };

export interface RouteSettings {
  readonly id: string;
  readonly slot: number;
  readonly match: RouteMatch;
  /** Higher goes first among routes that could both match. */
  readonly priority: number;
  readonly version: RouteVersion | null;
  readonly action: RouteAction;
  /** Policies with the options that their definitions validated; the engine orders them by phase. */
  readonly policies: readonly PolicySettings[];
  readonly maxRequestBytes: number;
  /** Of an objective for latency that the route is part of: the longest time of a good response. */
  readonly latencyBoundMs?: number;
  /** In place of the service's; null: as the service says. */
  readonly requestBufferBytes: number | null;
  readonly pathSafety: PathSafety;
  readonly rewrite: RewriteSettings | null;
  /** `Upgrade` tokens that may open a tunnel, lower case. */
  readonly upgrades: readonly string[];
  readonly mirror: MirrorSettings | null;
  /** Absent: requests go on as they come. */
  readonly transcode?: TranscodeSettings | undefined;
}

export interface RouteMatch {
  /** Lower case; `*.example.com` covers any number of labels below; empty is any host. */
  readonly hosts: readonly string[];
  readonly path: PathMatch;
  /** Upper case; empty is any method. */
  readonly methods: readonly string[];
  readonly headers: readonly FieldMatch[];
  readonly query: readonly FieldMatch[];
}

/**
 * `pattern` segments: literal, `:name` (one segment), and a final `/*` (the rest, also nothing: `/a/*` matches `/a`
 * and `/a/b/c`). `regex` is a source that must match the whole path; named groups become parameters.
 */
export type PathMatch =
  | { readonly kind: 'pattern'; readonly pattern: string }
  | { readonly kind: 'regex'; readonly source: string };

export interface FieldMatch {
  /** Header names are lower case; query names are as written. */
  readonly name: string;
  readonly test: { readonly equals: string } | { readonly regex: string } | { readonly present: boolean };
}

export interface RouteVersion {
  readonly name: string;
  /** Where the version is named; `path` is already part of the pattern. */
  readonly by:
    | { readonly kind: 'path' }
    | { readonly kind: 'header'; readonly header: string }
    | { readonly kind: 'accept'; readonly mediaType: string };
  /** Also answers when the request names no version. */
  readonly isDefault: boolean;
  /** RFC 9745 `Deprecation`, seconds since 1970; null when not deprecated. */
  readonly deprecatedAtSeconds: number | null;
  /** RFC 8594 `Sunset`, an IMF-fixdate. */
  readonly sunset: string | null;
  /** Target of a `Link: rel="deprecation"` or successor page. */
  readonly link: string | null;
}

export type RouteAction =
  | { readonly kind: 'service'; readonly targets: readonly WeightedTarget[]; readonly split: SplitSettings | null }
  | { readonly kind: 'respond'; readonly response: FixedResponse }
  | { readonly kind: 'aggregate'; readonly aggregate: AggregateSettings }
  | { readonly kind: 'handler'; readonly handler: ModuleSettings }
  | { readonly kind: 'ticket'; readonly ttlMs: number }
  | { readonly kind: 'redirect'; readonly status: 301 | 302 | 303 | 307 | 308; readonly location: string };

/** A module of a user's, as the configuration names it. */
export interface ModuleSettings {
  /** Absolute path. */
  readonly file: string;
  /** Changes with the text of the file and of what it imports. */
  readonly version: string;
  readonly options: unknown;
  readonly timeoutMs: number;
}

export interface WeightedTarget {
  readonly service: string;
  readonly weight: number;
}

/** How a traffic split chooses: by weight alone, or first by what a header or cookie says. */
export interface SplitSettings {
  /** Requests whose header has the value go to the target. */
  readonly headers: readonly { readonly name: string; readonly value: string; readonly service: string }[];
  readonly cookies: readonly { readonly name: string; readonly value: string; readonly service: string }[];
  /** Cookie that keeps a caller on the target it got first; null is not sticky. */
  readonly stickyCookie: { readonly name: string; readonly ttlSeconds: number } | null;
}

export interface FixedResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

export interface PolicySettings {
  readonly name: string;
  readonly options: unknown;
}

/**
 * Forms of a path that have several readings. True lets one through, the same for matching and forwarding: the service
 * takes it for data. False: only if no reading belongs to another route, or with `strict` not at all.
 */
export interface PathSafety {
  readonly strict: boolean;
  /** Without it, dot segments are always refused. */
  readonly allowDotSegments: boolean;
  readonly allowEncodedSlash: boolean;
  readonly allowEncodedBackslash: boolean;
  /** Of use with `strict` only. */
  readonly allowEncodedDot: boolean;
  readonly allowDoubleSlash: boolean;
}

export interface RewriteSettings {
  /** Removed from the front of the path when it is there. */
  readonly stripPrefix: string | null;
  readonly addPrefix: string | null;
  /** Template with `:name` and a final `*` from the match; replaces the path. */
  readonly path: string | null;
  /** Regular expression and its replacement (`$1`), on the path. */
  readonly regex: { readonly source: string; readonly replacement: string } | null;
  readonly host: string | null;
  /** How URLs and cookies of responses become those of the client. Null: they pass as they came. */
  readonly response: ResponseRewriteSettings | null;
}

/** Beside what follows from the request's own rewrite, which needs no settings. */
export interface ResponseRewriteSettings {
  /** Prefixes of paths as services say them, and those that clients know; the longest that fits counts. */
  readonly paths: readonly (readonly [from: string, to: string])[];
  /** More authorities, in lower case, by which services name themselves. */
  readonly hosts: readonly string[];
}

export interface MirrorSettings {
  readonly service: string;
  /** 0 to 1. */
  readonly ratio: number;
  /** Requests with larger bodies are not mirrored. */
  readonly maxBodyBytes: number;
}
