/**
 * A response of server-sent events. Once its head is out, events go to the socket itself: Node's response would cork
 * and uncork it for each of them, a quarter of what an event costs. The socket is the response's alone, since it is
 * closed with it.
 */
import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

const HEAD = {
  'content-type': 'text/event-stream',
  'cache-control': 'no-store',
  'x-accel-buffering': 'no',
  connection: 'close',
};

export class SseResponse {
  readonly #response: ServerResponse;
  readonly #socket: Socket;

  /** Sends the head. `response` must have a socket, and nothing may have been sent. */
  constructor(response: ServerResponse) {
    this.#response = response;
    this.#socket = response.socket!;
    // Without chunks what is written is what the client gets: one write for each event.
    response.useChunkedEncodingByDefault = false;
    response.writeHead(200, HEAD);
    response.flushHeaders();
    response.on('error', () => {});
  }

  /** False: the client takes no more for now; `onDrain` follows. */
  write(bytes: Buffer | string): boolean {
    return this.#socket.write(bytes);
  }

  onDrain(drained: () => void): void {
    this.#socket.on('drain', drained);
  }

  onClose(closed: () => void): void {
    this.#response.on('close', closed);
  }

  /** Nothing may be written afterwards. */
  end(text: string): void {
    this.#response.end(text);
  }
}
