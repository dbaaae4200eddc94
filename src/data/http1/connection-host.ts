/** What a connection needs of the worker it lives in. */
import type { Clock } from '../../base/clock.ts';
import type { Fault } from '../../base/errors.ts';
import type { TimerWheel } from '../../base/timers.ts';
import type { WholeReply } from '../contract/policy.ts';
import type { ConnectionLimits } from '../contract/snapshot.ts';
import type { Downstream, DownstreamHandler, Peer } from '../exchange/downstream.ts';
import type { RefusedHead, RefusedLine } from '../exchange/refused-head.ts';
import type { RequestBuffers } from '../exchange/request-buffers.ts';
import type { SlowBodies } from '../wire/slow-bodies.ts';
import type { BufferPool } from './read-buffers.ts';

export interface ConnectionHost {
  readonly limits: ConnectionLimits;
  readonly wheel: TimerWheel;
  readonly clock: Clock;
  /** The process is about to end: each response says that it is the last of its connection. */
  readonly leaving: boolean;
  /** It is ending: no connection is kept after its response, whatever that said. */
  readonly draining: boolean;
  readonly buffers: BufferPool;
  readonly slowBodies: SlowBodies;
  takeBuffers(): RequestBuffers;
  giveBuffers(incoming: RequestBuffers): void;
  /** Null when the exchange has already ended. */
  beginExchange(downstream: Downstream, incoming: RequestBuffers): DownstreamHandler | null;
  /** Responses to refused heads differ by who sent them (CORS). */
  readonly asksOriginOfRefused: boolean;
  /** The response to bytes that are not a request; `head`: what could be read of them. */
  refusal(fault: Fault, head: RefusedHead | null): WholeReply;
  /** `readLine` is called where something shows the line. */
  onRefused(fault: Fault, peer: Peer, readLine: () => RefusedLine): void;
  onTunnel(change: 1 | -1): void;
  onClosed(connection: OpenConnection): void;
}

/** A connection as the worker sees it. */
export interface OpenConnection {
  readonly peer: Peer;
  /** The process or the listener ends: an idle connection ends now, a busy one after its response. */
  drain(): void;
  abort(): void;
}
