/** A response of server-sent events by way of a worker. */
import type { Channel } from '../link/channel.ts';

export class SseStream {
  readonly #channel: Channel;

  /** Sends the head. Nothing may have been sent. */
  constructor(channel: Channel) {
    this.#channel = channel;
    channel.stream();
  }

  /** False: the client takes no more for now; `onDrain` follows. Buffers must stay as they are. */
  write(bytes: Buffer | string): boolean {
    return this.#channel.write(typeof bytes === 'string' ? Buffer.from(bytes) : bytes);
  }

  onDrain(drained: () => void): void {
    this.#channel.onDrain(drained);
  }

  onClose(closed: () => void): void {
    this.#channel.onClose(closed);
  }

  /** Nothing may be written afterwards. */
  end(text: string): void {
    this.write(text);
    this.#channel.end();
  }
}
