/**
 * How the body of one response is framed on an HTTP/1.1 connection (RFC 9112 §6.3): not at all, by its length, in
 * chunks, or by the end of the connection; and how much of it was sent. One per connection, begun anew with each
 * request.
 */

import type { FieldBlock } from '../contract/field-block.ts';
import { UNKNOWN_LENGTH } from '../parser/framing.ts';
import type { Outbox } from '../wire/outbox.ts';

const NONE = 0;
const RAW = 1;
const IN_CHUNKS = 2;

export class ResponseFraming {
  headSent = false;
  /** Sent to its last byte. */
  complete = false;
  /** It ends where the connection does, so that only a reset can say that it was cut short (RFC 9112 §8). */
  endsByClose = false;
  #kind = NONE;

  reset(): void {
    this.headSent = false;
    this.complete = false;
    this.endsByClose = false;
  }

  /** Decides for a head that is about to be sent; returns the field line that goes with it, or nothing. */
  choose(bodyLength: number, method: string, status: number, minor: number): string {
    this.headSent = true;
    this.#kind = NONE;
    if (bodyLength === 0 || method === 'HEAD' || status === 204 || status === 304) return '';
    this.#kind = RAW;
    if (bodyLength !== UNKNOWN_LENGTH) return '';
    if (minor === 1) {
      this.#kind = IN_CHUNKS;
      return 'Transfer-Encoding: chunked\r\n';
    }
    // HTTP/1.0 knows no chunks: the end of the connection is the end of the body (RFC 9112 §6.3 rule 8).
    this.endsByClose = true;
    return '';
  }

  /** 101: what follows is not ours to frame. */
  chooseTunnel(): void {
    this.headSent = true;
    this.#kind = RAW;
  }

  body(outbox: Outbox, bytes: Buffer, start: number, end: number): void {
    if (this.#kind === NONE || start === end) return;
    if (this.#kind === RAW) {
      outbox.part(bytes, start, end);
      return;
    }
    outbox.text(`${(end - start).toString(16)}\r\n`);
    outbox.part(bytes, start, end);
    outbox.text('\r\n');
  }

  end(outbox: Outbox, trailers: FieldBlock | null): void {
    this.complete = true;
    if (this.#kind === IN_CHUNKS) outbox.text(trailers === null ? '0\r\n\r\n' : `0\r\n${trailers.lines}\r\n`);
  }
}
