/**
 * A TCP line between a process and a server that a test can cut: as when a cable is pulled, nobody hears of it. What is
 * under way stands still, new connections are taken and lead nowhere. `mend` ends what stood still, as the timeouts of
 * a network would, and lets new ones through.
 */
import { once } from 'node:events';
import type { AddressInfo, Server, Socket } from 'node:net';
import { connect, createServer } from 'node:net';

export class CutLine {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #isCut = false;

  static async to(host: string, port: number): Promise<CutLine> {
    const server = createServer();
    const line = new CutLine(server, host, port);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return line;
  }

  private constructor(server: Server, host: string, port: number) {
    this.#server = server;
    server.on('connection', (near) => {
      this.#keep(near);
      if (this.#isCut) {
        near.pause();
        return;
      }
      const far = connect({ host, port });
      this.#keep(far);
      near.pipe(far);
      far.pipe(near);
      near.on('close', () => far.destroy());
      far.on('close', () => near.destroy());
    });
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  cut(): void {
    this.#isCut = true;
    for (const socket of this.#sockets) {
      socket.unpipe();
      socket.pause();
    }
  }

  mend(): void {
    this.#isCut = false;
    for (const socket of this.#sockets) socket.destroy();
  }

  async close(): Promise<void> {
    this.mend();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #keep(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => this.#sockets.delete(socket));
  }
}
