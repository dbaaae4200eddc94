/**
 * The streams of one connection that have bytes to send and wait for a window or the socket, and whose turn it is
 * (RFC 9218 §10). Owner: the connection.
 */
import type { Http2Stream } from './stream.ts';

export class SendOrder {
  readonly streams: Http2Stream[] = [];

  add(stream: Http2Stream, nowMs: number): void {
    stream.beginWait(nowMs);
    this.streams.push(stream);
  }

  remove(stream: Http2Stream): void {
    stream.isWaiting = false;
    const place = this.streams.indexOf(stream);
    if (place >= 0) this.streams.splice(place, 1);
  }

  clear(): void {
    this.streams.length = 0;
  }

  /**
   * By urgency; of the same urgency those that are not incremental first and in order of their streams, the others in
   * turn. Null: none that its window and the connection's let send.
   */
  next(connectionWindow: number): Http2Stream | null {
    const { streams } = this;
    let best: Http2Stream | null = null;
    let place = 0;
    for (let i = 0; i < streams.length; i++) {
      const stream = streams[i]!;
      if (!stream.canSendSome(connectionWindow)) continue;
      if (best === null || precedes(stream, best)) {
        best = stream;
        place = i;
      }
    }
    if (best?.incremental === true) {
      streams.splice(place, 1);
      streams.push(best);
    }
    return best;
  }
}

function precedes(a: Http2Stream, b: Http2Stream): boolean {
  if (a.urgency !== b.urgency) return a.urgency < b.urgency;
  if (a.incremental !== b.incremental) return b.incremental;
  return !a.incremental && a.id < b.id;
}
