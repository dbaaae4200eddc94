/** What a connection needs of the worker it lives in. */
import type { Clock } from '../../base/clock.ts';
import type { Fault } from '../../base/errors.ts';
import type { TimerWheel } from '../../base/timers.ts';
import type { ConnectionLimits } from '../contract/snapshot.ts';
import type { Downstream, DownstreamHandler, Peer } from '../exchange/downstream.ts';
import type { RequestBuffers } from '../exchange/request-buffers.ts';
import { CONTENT_LENGTH } from '../parser/field-names.ts';
import { isHopByHop } from '../parser/framing.ts';
import { dropMask } from '../parser/serialize.ts';
import type { Connection } from './connection.ts';
import type { BufferPool } from './read-buffers.ts';

export interface ConnectionHost {
  readonly limits: ConnectionLimits;
  readonly wheel: TimerWheel;
  readonly clock: Clock;
  /** The process is ending: no connection is kept after its answer. */
  readonly draining: boolean;
  readonly buffers: BufferPool;
  takeBuffers(): RequestBuffers;
  giveBuffers(incoming: RequestBuffers): void;
  /** Null when the exchange has already ended. */
  beginExchange(downstream: Downstream, incoming: RequestBuffers): DownstreamHandler | null;
  /** The whole answer to bytes that are not a request. */
  refusal(fault: Fault): string;
  onRefused(fault: Fault, peer: Peer): void;
  onTunnel(change: 1 | -1): void;
  onClosed(connection: Connection): void;
}

/** RFC 9110 §8.6: no 1xx has a length; one that says so could be taken for a head with a body. */
export const INTERIM_DROP = dropMask([CONTENT_LENGTH], isHopByHop);
