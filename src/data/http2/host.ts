/** What a downstream HTTP/2 connection needs of the worker it lives in, and how it is configured. */
import type { Clock } from '../../base/clock.ts';
import type { Fault } from '../../base/errors.ts';
import type { TimerWheel } from '../../base/timers.ts';
import type { WholeReply } from '../contract/policy.ts';
import type { ConnectionLimits } from '../contract/snapshot.ts';
import type { Downstream, DownstreamHandler, Peer } from '../exchange/downstream.ts';
import type { RefusedHead, RefusedLine } from '../exchange/refused-head.ts';
import type { RequestBuffers } from '../exchange/request-buffers.ts';
import type { SlowBodies } from '../wire/slow-bodies.ts';
import type { AbuseKind } from './abuse-budget.ts';
import type { DownstreamConnection } from './downstream-connection.ts';

export interface Http2Host {
  readonly limits: ConnectionLimits;
  readonly wheel: TimerWheel;
  readonly clock: Clock;
  /** The process is about to end: busy connections send GOAWAY. */
  readonly leaving: boolean;
  readonly slowBodies: SlowBodies;
  takeBuffers(): RequestBuffers;
  giveBuffers(incoming: RequestBuffers): void;
  /** Null when the exchange has already ended. */
  beginExchange(downstream: Downstream, incoming: RequestBuffers): DownstreamHandler | null;
  /** Responses to refused heads differ by who sent them (CORS). */
  readonly asksOriginOfRefused: boolean;
  refusal(fault: Fault, head: RefusedHead | null): WholeReply;
  /** `readLine` is called where something shows the line. */
  onRefused(fault: Fault, peer: Peer, readLine: () => RefusedLine): void;
  onTunnel(change: 1 | -1): void;
  /** A connection has used up what it may cost. */
  onHttp2Abuse(kind: AbuseKind, peer: Peer): void;
  onHttp2Request(): void;
  onHttp2Closed(connection: DownstreamConnection): void;
}
