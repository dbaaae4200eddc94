/**
 * How a downstream HTTP/1.1 connection lives and ends: its states and their deadlines, clients that end their side,
 * vanish, or read slowly, drain, and the end of the process. What is read and written meanwhile is connection.ts.
 */
import type { Socket } from 'node:net';
import { FAULTS, Fault } from '../../base/errors.ts';
import type { DeadlineOwner } from '../../base/timers.ts';
import { Deadline } from '../../base/timers.ts';
import type { DownstreamHandler, Peer } from '../exchange/downstream.ts';
import type { RequestBuffers } from '../exchange/request-buffers.ts';
import { ReadWatch, type ReadWatchOwner } from '../wire/read-watch.ts';
import { GOING_AWAY } from '../wire/websocket-frames.ts';
import type { ConnectionHost, OpenConnection } from './connection-host.ts';
import { HalfClosed } from './half-closed.ts';
import { ResponseWriter } from './response-writer.ts';

export const IDLE = 0;
export const HEAD = 1;
export const BODY = 2;
export const AWAIT = 3;
export const TUNNEL = 4;
export const LINGER = 5;
export const CLOSED = 6;

/** How long is read after an early response so that it is not lost to a reset (RFC 9112 §9.6). */
const LINGER_MS = 2_000;

export const NO_BYTES: Buffer = Buffer.alloc(0);

export abstract class ConnectionLife implements OpenConnection, DeadlineOwner, ReadWatchOwner {
  readonly peer: Peer;
  protected readonly socket: Socket;
  protected readonly host: ConnectionHost;
  protected readonly writer: ResponseWriter;
  protected readonly deadline: Deadline;
  protected state: number = IDLE;
  protected user: DownstreamHandler | null = null;
  protected incoming: RequestBuffers | null = null;
  /** Bytes read and not used yet: part of a head, or requests that came early. */
  protected pending: Buffer = NO_BYTES;
  protected requests = 0;
  /** A frame went either way since the deadline was set. */
  protected tunnelUsed = false;
  protected closeAfter = false;
  /** The client has said that its request, which has no body, is the last one. */
  protected isLastRequest = false;
  /** We do not read at the moment. */
  protected paused = false;
  /** The next request waits until the client has read the responses before it. */
  protected isBehind = false;
  /** Made when bytes wait for a client that does not read. */
  #readWatch: ReadWatch | null = null;
  /** The client has ended its side, and may be waiting for its response. */
  protected halfClosed: HalfClosed | null = null;

  constructor(socket: Socket, peer: Peer, host: ConnectionHost) {
    this.peer = peer;
    this.host = host;
    this.socket = socket;
    this.writer = new ResponseWriter(socket, peer.secure);
    this.deadline = new Deadline(this, 0);
    socket.on('end', () => this.onEnd());
    socket.on('error', () => this.onGone());
    socket.on('close', () => this.onClosed());
    socket.on('drain', () => this.onDrain());
    host.wheel.set(this.deadline, host.limits.headTimeoutMs);
  }

  /** Takes back what the constructor listens to, the last listener of each, so that nothing holds the connection. */
  protected forgetListeners(): void {
    for (const event of ['end', 'error', 'close', 'drain']) {
      const listener = this.socket.listeners(event).at(-1) as (() => void) | undefined;
      if (listener !== undefined) this.socket.off(event, listener);
    }
  }

  protected pause(): void {
    this.paused = true;
    this.socket.pause();
  }

  protected resume(): void {
    if (!this.paused) return;
    this.paused = false;
    this.socket.resume();
  }

  // --- a client that reads slowly ----------------------------------------------------------------------------

  flush(): boolean {
    const more = this.writer.outbox.flush();
    if (!more) this.watchStall();
    return more;
  }

  protected watchStall(): void {
    this.#readWatch ??= new ReadWatch(this.socket, this.host, this);
    this.#readWatch.behind();
  }

  onReaderTooSlow(fault: Fault): void {
    if (this.state === CLOSED) return;
    this.user?.onRequestFault(fault);
    this.destroy();
  }

  // --- ending ------------------------------------------------------------------------------------------------

  /** The client sends no more and the kernel has the whole response: it sends that and a FIN, no reset. */
  protected get hasNothingToCome(): boolean {
    return (
      this.isLastRequest &&
      this.state === AWAIT &&
      this.pending.length === 0 &&
      this.socket.writableLength === 0 &&
      !this.peer.secure
    );
  }

  /** Ends our side and reads the other for a while, so that a reset does not destroy the response (RFC 9112 §9.6). */
  protected finishWriting(): void {
    if (this.state === TUNNEL) this.host.onTunnel(-1);
    this.state = LINGER;
    this.resume();
    this.host.wheel.clear(this.deadline);
    if (this.socket.writableLength > 0) this.watchStall();
    this.socket.end(() => {
      if (this.state === LINGER) this.setRead(LINGER_MS);
    });
  }

  /** The process is about to end, or the listener has gone. */
  protected get isLeaving(): boolean {
    return this.host.leaving || this.peer.admission.isOver;
  }

  drain(): void {
    if (this.state === IDLE && this.pending.length === 0) this.finishWriting();
    else this.closeAfter = true;
  }

  sendClose(frame: Buffer): void {
    if (this.state === TUNNEL) this.writer.close(frame);
  }

  /** Also called by the exchange when it is done. A request cut off by the process's end gets `shutting_down`. */
  abort(): void {
    this.sendClose(GOING_AWAY);
    this.user?.onRequestFault(new Fault(FAULTS.shuttingDown, { cause: 'cut off: the gateway or its listener ends' }));
    if (this.state !== CLOSED) this.destroy();
  }

  protected destroy(): void {
    if (this.state === TUNNEL) this.host.onTunnel(-1);
    this.state = CLOSED;
    // RFC 9112 §8: a body that ends with the connection looks whole unless that ends by a reset. TLS tells by itself.
    if (this.writer.framing.endsByClose && !this.writer.framing.complete && !this.peer.secure)
      this.socket.resetAndDestroy();
    else this.socket.destroy();
  }

  /** The client sends no more. What it has sent whole is still answered, unless it reads a stream of events. */
  protected onEnd(): void {
    const isAnswerable = this.state === IDLE ? this.pending.length > 0 : this.state === AWAIT;
    // In TLS only who leaves says so, and has no use for a response (RFC 5246 §7.2.1).
    if (this.peer.secure || !isAnswerable || this.user?.isEventStream === true) {
      if (this.state === IDLE) this.finishWriting();
      else this.onGone();
      return;
    }
    this.halfClosed = new HalfClosed(this.socket);
    if (this.state !== AWAIT) return;
    if (this.pending.length === 0) this.closeAfter = true;
    this.setRead(this.halfClosed.nextMs());
  }

  protected lookForClient(client: HalfClosed): void {
    if (client.isReset) {
      this.onGone();
      return;
    }
    if (!this.writer.framing.headSent && this.incoming?.head.minor === 1) this.writer.continue();
    this.setRead(client.nextMs());
  }

  protected onGone(): void {
    if (this.state === CLOSED) return;
    const user = this.user;
    this.user = null;
    const tunnel = this.state === TUNNEL;
    if (user !== null || this.state === HEAD || this.state === BODY) {
      if (tunnel) this.host.onTunnel(-1);
      this.state = CLOSED;
      user?.onDownstreamGone();
      if (tunnel) this.socket.end();
      else this.socket.destroy();
    }
  }

  protected onClosed(): void {
    this.onGone();
    if (this.state === TUNNEL) this.host.onTunnel(-1);
    this.state = CLOSED;
    this.host.wheel.remove(this.deadline);
    this.#readWatch?.remove();
    this.stopAwaiting();
    if (this.incoming !== null) this.host.giveBuffers(this.incoming);
    this.incoming = null;
    this.pending = NO_BYTES;
    this.host.onClosed(this);
  }

  protected onDrain(): void {
    this.#readWatch?.caughtUp();
    if (this.isBehind) {
      this.isBehind = false;
      if (this.state === IDLE) this.next(this.host.clock.monotonicMs());
    }
    this.user?.onDownstreamDrain();
  }

  protected setRead(ms: number, nowMs = this.host.clock.monotonicMs()): void {
    if (ms > 0) this.host.wheel.set(this.deadline, ms, nowMs);
    else this.host.wheel.clear(this.deadline);
  }

  onDeadline(): void {
    switch (this.state) {
      case IDLE:
        if (this.requests === 0) this.destroy();
        else this.finishWriting();
        break;
      case HEAD:
        this.refuse(new Fault(FAULTS.headTimeout), this.pending);
        break;
      case BODY:
        this.bodyFault(new Fault(FAULTS.bodyTimeout));
        break;
      case AWAIT:
        if (this.halfClosed !== null) this.lookForClient(this.halfClosed);
        break;
      case TUNNEL:
        // Looked at once per period instead of moved by every frame: an idle tunnel ends after one to two of them.
        if (this.tunnelUsed) {
          this.tunnelUsed = false;
          this.setRead(this.host.limits.tunnelIdleTimeoutMs);
          break;
        }
        this.user?.onRequestFault(new Fault(FAULTS.bodyTimeout, { detail: 'the tunnel was idle' }));
        this.destroy();
        break;
      case LINGER:
        this.destroy();
        break;
      default:
    }
  }

  /** Goes on with the next request, or waits for it. */
  protected abstract next(nowMs: number): void;
  /** A response to what is not a request, then the end of the connection. */
  protected abstract refuse(fault: Fault, head: Buffer): void;
  protected abstract bodyFault(fault: Fault): void;
  /** The body is not among those any more that are still coming. */
  protected abstract stopAwaiting(): void;
}
