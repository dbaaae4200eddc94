/**
 * A listener of its own for health, status and metrics (`gateway.operations.port`), on the main thread: what operators
 * read is then on no public address, and is served also while all workers are busy. Owner: the primary.
 */
import type { RequestListener, Server } from 'node:http';
import { messageOf } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import { onDemand } from '../../base/on-demand.ts';
import { listenOnPort, type Place } from '../shared-port.ts';

export class OpsListener {
  readonly #log: Logger;
  #server: Server | undefined;
  #place = '';
  #answer: RequestListener = () => {};

  constructor(log: Logger) {
    this.#log = log;
  }

  /** The port it listens on, or null. */
  get port(): number | null {
    const address = this.#server?.address();
    return typeof address === 'object' && address !== null ? address.port : null;
  }

  /** Rejects when the place cannot be had, unless who has it is being replaced. */
  async start(place: Place | null, answer: RequestListener, isTakingOver = false): Promise<void> {
    this.#answer = answer;
    if (place !== null) await this.#listen(place, isTakingOver);
  }

  /** After a reload. A new place that cannot be had is logged, and nothing listens until the next one. */
  applied(place: Place | null, answer: RequestListener): void {
    this.#answer = answer;
    if (JSON.stringify(place) === this.#place || (place === null && this.#server === undefined)) return;
    this.#move(place).catch((error: unknown) =>
      this.#log.error('the listener of gateway.operations cannot be opened', { ...place, problem: messageOf(error) }),
    );
  }

  async close(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    this.#place = '';
    if (server === undefined) return;
    await new Promise<void>((done) => {
      server.close(() => done());
      server.closeAllConnections();
    });
  }

  async #move(place: Place | null): Promise<void> {
    await this.close();
    if (place !== null) await this.#listen(place, false);
  }

  async #listen(place: Place, isTakingOver: boolean): Promise<void> {
    const server = onDemand.http.createServer({ requestTimeout: 10_000, headersTimeout: 10_000 }, (request, response) =>
      this.#answer(request, response),
    );
    server.maxConnections = 256;
    await listenOnPort(server, place, isTakingOver);
    this.#server = server;
    this.#place = JSON.stringify(place);
    this.#log.info('operators are answered', { host: place.host, port: this.port });
  }
}
