/**
 * A real `Connection` between bytes that a test pushes and answers that it makes up: no sockets, no gateway, so that
 * thousands of inputs take a second. Each whole request is answered at once with a small 200; what was understood is
 * kept as text. The socket is a Duplex, so pausing and buffering are those of Node's streams.
 */
import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { FakeClock } from '../../../src/base/clock.ts';
import type { Fault } from '../../../src/base/errors.ts';
import { TimerWheel } from '../../../src/base/timers.ts';
import type { WholeReply } from '../../../src/data/contract/policy.ts';
import type { ConnectionLimits } from '../../../src/data/contract/snapshot.ts';
import type { Downstream, DownstreamHandler } from '../../../src/data/exchange/downstream.ts';
import { RequestBufferPool, type RequestBuffers } from '../../../src/data/exchange/request-buffers.ts';
import { Connection } from '../../../src/data/http1/connection.ts';
import type { ConnectionHost } from '../../../src/data/http1/connection-host.ts';
import { BufferPool } from '../../../src/data/http1/read-buffers.ts';
import { SlowBodies } from '../../../src/data/wire/slow-bodies.ts';
import { Source } from '../../../src/data/wire/sources.ts';

/** A request as the exchange sees it; strings are Latin-1. */
export interface Understood {
  readonly method: string;
  readonly target: string;
  readonly minor: number;
  readonly fields: readonly (readonly [string, string])[];
  body: string;
  trailers: readonly (readonly [string, string])[];
  complete: boolean;
}

export const LIMITS: ConnectionLimits = {
  headTimeoutMs: 10_000,
  bodyIdleTimeoutMs: 30_000,
  minBodyBytesPerSecond: 0,
  keepAliveTimeoutMs: 60_000,
  writeTimeoutMs: 30_000,
  minReadBytesPerSecond: 0,
  tunnelIdleTimeoutMs: 60_000,
  maxConnections: 10,
  maxConnectionsPerAddress: 10,
  maxSlowBodiesPerAddress: 10,
  maxTunnels: 10,
  maxRequestsPerConnection: 1_000,
  maxHeadBytes: 4_096,
  maxTargetBytes: 1_024,
  maxFields: 64,
};

/** What `Connection` asks of a socket, over a Duplex. */
export class PretendedSocket extends Duplex {
  written = '';
  wasReset = false;

  constructor() {
    super({ allowHalfOpen: true });
  }

  override _read(): void {}

  override _write(bytes: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.written += bytes.toString('latin1');
    done();
  }

  override _final(done: () => void): void {
    done();
  }

  setKeepAlive(): this {
    return this;
  }

  setTimeout(): this {
    return this;
  }

  resetAndDestroy(): this {
    this.wasReset = true;
    return this.destroy();
  }

  asSocket(): Socket {
    return this as unknown as Socket;
  }
}

const PEER = {
  address: '192.0.2.1',
  port: 1,
  secure: false,
  trusted: false,
  clientCertificate: null,
  listener: 'main',
  admission: { isOver: false },
  source: null,
};

export class DrivenConnection implements ConnectionHost {
  readonly limits = LIMITS;
  readonly clock = new FakeClock();
  readonly wheel = new TimerWheel(100, this.clock);
  readonly leaving = false;
  readonly draining = false;
  readonly asksOriginOfRefused = true;
  readonly buffers = new BufferPool();
  readonly slowBodies = new SlowBodies(this, () => {});
  readonly socket = new PretendedSocket();
  readonly requests: Understood[] = [];
  /** Status of the refusal, 0 when there was none. */
  refused = 0;
  /** When false, whole requests join `waiting` and are answered when the test says so. */
  answersAtOnce = true;
  readonly waiting: { answer(): void }[] = [];
  readonly #stock = new RequestBufferPool(LIMITS.maxFields);
  readonly #connection: Connection;

  constructor() {
    this.#connection = new Connection(this.socket.asSocket(), PEER, this);
  }

  /** Pushes the pieces one after the other, each when the one before has been dealt with. */
  async take(pieces: readonly Buffer[]): Promise<this> {
    for (const piece of pieces) {
      if (this.socket.readableEnded || this.socket.destroyed) break;
      this.socket.push(piece);
      await turn();
    }
    await turn();
    return this;
  }

  /** Ends the test's use of it. */
  end(): void {
    this.socket.destroy();
  }

  drain(): void {
    this.#connection.drain();
  }

  takeBuffers(): RequestBuffers {
    return this.#stock.take();
  }

  giveBuffers(incoming: RequestBuffers): void {
    this.#stock.give(incoming);
  }

  beginExchange(downstream: Downstream, incoming: RequestBuffers): DownstreamHandler {
    return new Answering(this, downstream, incoming);
  }

  refusal(fault: Fault): WholeReply {
    this.refused = fault.kind.status;
    return { status: fault.kind.status, headers: {}, body: '' };
  }

  onRefused(): void {}
  onTunnel(): void {}
  onClosed(): void {}
}

class Answering implements DownstreamHandler {
  readonly source = new Source('192.0.2.1');
  readonly holdsRequestBytes = false;
  readonly isEventStream = false;
  readonly #host: DrivenConnection;
  readonly #downstream: Downstream;
  readonly #understood: Understood;

  constructor(host: DrivenConnection, downstream: Downstream, { head }: RequestBuffers) {
    this.#host = host;
    this.#downstream = downstream;
    this.#understood = {
      method: head.method,
      target: head.bytes.latin1Slice(head.targetStart, head.targetEnd),
      minor: head.minor,
      fields: Array.from({ length: head.count }, (_, i) => [head.name(i), head.value(i)]),
      body: '',
      trailers: [],
      complete: false,
    };
    host.requests.push(this.#understood);
  }

  onRequestBody(bytes: Uint8Array): void {
    this.#understood.body += Buffer.from(bytes).toString('latin1');
  }

  onRequestRead(): void {}

  onRequestEnd(trailers: Parameters<DownstreamHandler['onRequestEnd']>[0]): void {
    if (trailers !== null) {
      const { count } = trailers;
      this.#understood.trailers = Array.from({ length: count }, (_, i) => [trailers.name(i), trailers.value(i)]);
    }
    this.#understood.complete = true;
    if (this.#host.answersAtOnce) this.answer();
    else this.#host.waiting.push(this);
  }

  answer(): void {
    this.#answer(200);
  }

  onRequestFault(fault: Fault): void {
    this.#host.refused = fault.kind.status;
    this.#answer(fault.kind.status);
  }

  #answer(status: number): void {
    this.#downstream.startHead(status, null);
    this.#downstream.endHead(2, true);
    this.#downstream.sendBody(Buffer.from('ok'), 0, 2);
    this.#downstream.sendEnd(null);
    this.#downstream.exchangeDone(performance.now());
  }

  onDownstreamDrain(): void {}
  onDownstreamGone(): void {
    this.#downstream.exchangeDone(performance.now());
  }
}

/** Until everything that this turn of the event loop has set going is through. */
export async function turn(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}
