/**
 * A client that has ended its side of the connection after a whole request (`nc -N`, `shutdown(SHUT_WR)`) may still
 * read the response (RFC 9112 §9.6, RFC 9293 §3.6), and one that has left looks the same: both send a FIN. The kernel
 * of one that left answers the next bytes with a reset. So such a client is sent a `100 Continue` now and then until
 * the response begins, which it discards (RFC 9110 §15.2.1), and the kernel is asked whether a reset has come. HTTP/1.0
 * has no such bytes: there, and once the head of a response is out, the keep-alive of TCP asks, which is answered by a
 * reset as soon as the kernel of the client has forgotten the connection (60 s on Linux).
 */
import type { Socket } from 'node:net';

/** The first look. Each of the next waits twice as long, so that a long poll is not sent many. */
const FIRST_MS = 1_000;
const MOST_MS = 30_000;
const KEEP_ALIVE_MS = 10_000;

interface WithHandle {
  _handle?: { getpeername?(into: object): number } | null;
}

export class HalfClosed {
  readonly #socket: Socket;
  #waitMs = FIRST_MS / 2;

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.setKeepAlive(true, KEEP_ALIVE_MS);
  }

  /** How long until the next look. */
  nextMs(): number {
    this.#waitMs = Math.min(this.#waitMs * 2, MOST_MS);
    return this.#waitMs;
  }

  /**
   * A reset has arrived. There is no event for it: with nothing left to read the kernel shows it by a failed write, or
   * by a missing peer address.
   */
  get isReset(): boolean {
    const handle = (this.#socket as unknown as WithHandle)._handle;
    return handle?.getpeername !== undefined && handle.getpeername({}) !== 0;
  }
}
