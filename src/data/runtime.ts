/**
 * What lives as long as its worker: clock, timer wheel, counters, open connections, and the pointer to the live
 * configuration, which a reload swaps. The host of every connection and the home of every exchange.
 */
import type { Clock } from '../base/clock.ts';
import type { Fault } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { LogThrottle } from '../base/log-throttle.ts';
import type { MetricsBank } from '../base/metrics.ts';
import { jsonText } from '../base/text.ts';
import { TimerWheel } from '../base/timers.ts';
import type { LiveStreams } from './auth/live-streams.ts';
import { FieldBlock, NO_FIELDS } from './contract/field-block.ts';
import type { WholeReply } from './contract/policy.ts';
import type { ConnectionLimits } from './contract/snapshot.ts';
import type { ActiveConfig } from './exchange/active-config.ts';
import { AskedCounts } from './exchange/asked-counts.ts';
import type { Downstream, DownstreamHandler, Peer } from './exchange/downstream.ts';
import { Exchange } from './exchange/exchange.ts';
import type { AbuseWatch, ExchangeHost } from './exchange/exchange-host.ts';
import { fieldsOfRefusal, type RefusedHead, type RefusedLine } from './exchange/refused-head.ts';
import type { RequestBuffers } from './exchange/request-buffers.ts';
import { RequestBufferPool } from './exchange/request-buffers.ts';
import { RequestIds } from './exchange/request-ids.ts';
import type { Tries } from './exchange/step-times.ts';
import type { ConnectionHost, OpenConnection } from './http1/connection-host.ts';
import { BufferPool } from './http1/read-buffers.ts';
import type { AbuseKind } from './http2/abuse-budget.ts';
import type { AccessLog } from './response/access-log.ts';
import type { AccessRecords } from './response/access-record.ts';
import { faultReply } from './response/problem.ts';
import type { SecurityWatch } from './response/security-watch.ts';
import type { Tail } from './response/tail.ts';
import { HostCache } from './router/host-cache.ts';
import { TargetCache } from './router/target-cache.ts';
import type { Tracer } from './trace/tracer.ts';
import { SlowBodies } from './wire/slow-bodies.ts';
import { type Source, Sources } from './wire/sources.ts';

/** How exact pauses between attempts are. */
const SHORT_TICK_MS = 5;
/** Heads in stock have room for this many fields, whatever a reload may allow. */
const MOST_FIELDS = 512;

export class WorkerRuntime implements ConnectionHost, ExchangeHost {
  readonly clock: Clock;
  readonly wheel: TimerWheel;
  readonly log: Logger;
  readonly metrics: MetricsBank;
  readonly accessLog: AccessLog;
  /** Receives requests that matched no route, and heads that were refused. */
  readonly abuse: AbuseWatch;
  readonly streams: LiveStreams;
  readonly buffers = new BufferPool();
  readonly hosts = new HostCache();
  readonly targets = new TargetCache();
  readonly requestIds = new RequestIds();
  readonly asked = new AskedCounts();
  readonly sources = new Sources();
  readonly slowBodies: SlowBodies;
  readonly random: () => number = Math.random;
  readonly shortWheel: TimerWheel;
  readonly connections = new Set<OpenConnection>();
  live: ActiveConfig;
  tail: Tail | null;
  leaving = false;
  draining = false;
  /** Null for the usual access record. */
  records: AccessRecords | null = null;
  /** Null while security events have no reader. */
  security: SecurityWatch | null = null;
  /** Null while nothing is traced. */
  tracer: Tracer | null = null;
  /** Null while no request is tried. */
  tries: Tries | null = null;
  #tunnels = 0;
  readonly #stock: RequestBufferPool;
  readonly #bodiesCut: LogThrottle;
  #dateSecond = 0;
  #date = NO_FIELDS;

  constructor(parts: {
    clock: Clock;
    wheel: TimerWheel;
    log: Logger;
    metrics: MetricsBank;
    accessLog: AccessLog;
    abuse: AbuseWatch;
    streams: LiveStreams;
    live: ActiveConfig;
    tail: Tail | null;
  }) {
    this.clock = parts.clock;
    this.wheel = parts.wheel;
    this.shortWheel = new TimerWheel(SHORT_TICK_MS, parts.clock, true);
    this.log = parts.log;
    this.metrics = parts.metrics;
    this.accessLog = parts.accessLog;
    this.abuse = parts.abuse;
    this.streams = parts.streams;
    this.live = parts.live;
    this.tail = parts.tail;
    this.#stock = new RequestBufferPool(MOST_FIELDS);
    this.#bodiesCut = new LogThrottle(parts.clock);
    this.slowBodies = new SlowBodies(this, (source, count) => this.#onBodiesCut(source, count));
  }

  get limits(): ConnectionLimits {
    return this.live.gateway.limits;
  }

  takeBuffers(): RequestBuffers {
    return this.#stock.take();
  }

  giveBuffers(incoming: RequestBuffers): void {
    this.#stock.give(incoming);
  }

  beginExchange(downstream: Downstream, incoming: RequestBuffers): DownstreamHandler | null {
    this.metrics.exchange(1);
    const exchange = new Exchange(this, downstream, incoming);
    exchange.begin();
    return exchange.isDone ? null : exchange;
  }

  get asksOriginOfRefused(): boolean {
    return this.live.asksOriginOfRefused;
  }

  refusal(fault: Fault, head: RefusedHead | null): WholeReply {
    const { live } = this;
    const reply = faultReply(fault, live.gateway.errorFormat, null, '', '', this.clock.wallMs());
    const fields = head === null ? null : fieldsOfRefusal(live, (authority) => this.hosts.normalize(authority), head);
    return { ...reply, headers: { Date: this.date().values[0]!, ...reply.headers, ...fields } };
  }

  onRefused(fault: Fault, peer: Peer, readLine: () => RefusedLine): void {
    this.abuse.refused(peer.address);
    this.metrics.add('requests_refused', 1);
    this.metrics.fault(fault.kind.reason);
    const { status, reason } = fault.kind;
    this.security?.refused(reason, status, peer.address, this.clock.wallMs());
    const cause = fault.cause ?? fault.detail;
    const record = (): string => {
      const { method, path } = readLine();
      const asked = `${method === '' ? '' : `"method":${jsonText(method)},`}${path === '' ? '' : `"path":${jsonText(path)},`}`;
      const why = cause === undefined ? '' : `,"cause":${jsonText(cause)}`;
      return `${asked}"address":"${peer.address}","status":${status},"fault":"${reason}"${why}}`;
    };
    if (this.live.gateway.accessLog !== 'off' && this.records !== null)
      this.records.refused(
        this.accessLog,
        { ...readLine(), address: peer.address, status, fault: reason, cause },
        this.clock.wallMs(),
      );
    else if (this.live.gateway.accessLog !== 'off' && this.accessLog.begin(this.clock.wallMs())) {
      this.accessLog.text(record());
      this.accessLog.end();
    }
    if (
      this.tail?.wantsRefused(status, this.clock.monotonicMs()) === true &&
      this.tail.log.begin(this.clock.wallMs())
    ) {
      this.tail.log.text(record());
      this.tail.end();
    }
  }

  onTunnel(change: 1 | -1): void {
    this.#tunnels += change;
    this.metrics.add('tunnels_active', change);
  }

  hasTunnelLeft(): boolean {
    return this.#tunnels < this.limits.maxTunnels;
  }

  opened(connection: OpenConnection): void {
    this.connections.add(connection);
    this.metrics.add('connections_active', 1);
    const { source } = connection.peer;
    if (source !== null) this.keep(source);
  }

  /** Another connection of the address, in whatever state. */
  keep(source: Source): void {
    source.connections++;
    this.sources.keep(source);
  }

  letGo(source: Source): void {
    source.connections--;
    this.sources.leave(source);
  }

  onHttp2Abuse(kind: AbuseKind, peer: Peer): void {
    this.metrics.add(`http2_abuse_${kind}`, 1);
    this.abuse.refused(peer.address);
  }

  onHttp2Request(): void {
    this.metrics.add('http2_requests', 1);
  }

  onHttp2Closed(connection: OpenConnection): void {
    this.metrics.add('http2_connections_active', -1);
    this.onClosed(connection);
  }

  onClosed(connection: OpenConnection): void {
    if (!this.connections.delete(connection)) return;
    this.metrics.add('connections_active', -1);
    const { source } = connection.peer;
    if (source !== null) this.letGo(source);
  }

  #onBodiesCut(source: Source, count: number): void {
    this.metrics.add('address_bodies_cut', count);
    this.#bodiesCut.write((leftOut) =>
      this.log.warn('slow request bodies of an address were ended, since it has more of them than it may', {
        address: source.name,
        bodies: count,
        ...(leftOut === 0 ? {} : { leftOut }),
      }),
    );
  }

  /** `Date` as IMF-fixdate (RFC 9110 §5.6.7), made once a second. */
  date(): FieldBlock {
    const second = Math.floor(this.clock.wallMs() / 1000);
    if (second !== this.#dateSecond) {
      this.#dateSecond = second;
      this.#date = new FieldBlock(['Date'], [new Date(second * 1000).toUTCString()]);
    }
    return this.#date;
  }
}
