/**
 * A TCP line between a process and a server that breaks again and again while it flaps: each connection after so many
 * bytes or so long, by chance, so that it breaks in the middle of handshakes, commands and answers.
 */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import type { Scope } from './scope.ts';

const MOST_BYTES = 3_000;
const LONGEST_MS = 400;

export class FlappingLine {
  /** Where the server is reached over this line. */
  readonly url: string;
  readonly #open = new Set<() => void>();
  #isFlapping = false;
  /** Connections that it broke. */
  broken = 0;

  /** A line to the server of a URL, until the test ends. */
  static async to(test: Scope, server: string): Promise<FlappingLine> {
    const listener = createServer((near) => line.#join(near, connect(Number(new URL(server).port), '127.0.0.1')));
    await once(listener.listen(0, '127.0.0.1'), 'listening');
    const url = new URL(server);
    url.port = String((listener.address() as AddressInfo).port);
    const line = new FlappingLine(url.href);
    test.after(() => {
      listener.close();
      line.#breakAll();
    });
    return line;
  }

  private constructor(url: string) {
    this.url = url;
  }

  flap(): void {
    this.#isFlapping = true;
    this.#breakAll();
  }

  /** From here on connections last. */
  hold(): void {
    this.#isFlapping = false;
    this.#breakAll();
  }

  #breakAll(): void {
    for (const end of [...this.#open]) end();
  }

  #join(near: Socket, far: Socket): void {
    const end = (): void => {
      this.#open.delete(end);
      if (Math.random() < 0.3) near.resetAndDestroy();
      else near.destroy();
      far.destroy();
    };
    this.#open.add(end);
    for (const socket of [near, far]) socket.on('error', () => {}).on('close', end);
    let roomBytes = Number.POSITIVE_INFINITY;
    const cut = (): void => {
      if (this.#open.has(end)) this.broken++;
      end();
    };
    if (this.#isFlapping) {
      // Most break early, where a connection begins.
      if (Math.random() < 0.5) roomBytes = Math.random() ** 3 * MOST_BYTES;
      else setTimeout(cut, Math.random() ** 2 * LONGEST_MS);
    }
    const pass = (from: Socket, to: Socket): void => {
      from.on('data', (bytes: Buffer) => {
        to.write(bytes.subarray(0, Math.max(0, Math.min(bytes.length, roomBytes))));
        roomBytes -= bytes.length;
        if (roomBytes < 0) setImmediate(cut);
      });
    };
    pass(near, far);
    pass(far, near);
  }
}
