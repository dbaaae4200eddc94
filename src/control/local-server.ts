/**
 * An HTTP server of the control plane on a Unix socket (a named pipe on Windows): what built-in services and the
 * control socket listen on. The listener can be exchanged while it runs.
 */
import type { IncomingMessage, RequestListener, Server } from 'node:http';
import type { Duplex } from 'node:stream';
import { onDemand } from '../base/on-demand.ts';
import { listenOnSocket } from './socket-file.ts';

export type Fetch = (request: Request) => Response | Promise<Response>;

/** What a Hono app gives, as a listener. The adapter is loaded with the first request, not before. */
export function fetchListener(fetch: Fetch): RequestListener {
  return listenerOnDemand(async () => {
    const { getRequestListener } = await import('@hono/node-server');
    return getRequestListener(fetch) as RequestListener;
  });
}

/** One that is loaded with the first request; where that fails, the next one tries again. */
export function listenerOnDemand(load: () => Promise<RequestListener>): RequestListener {
  let loaded: RequestListener | null = null;
  return (request, response) => {
    if (loaded !== null) return loaded(request, response);
    load().then(
      (listener) => {
        loaded ??= listener;
        loaded(request, response);
      },
      (error: Error) => response.destroy(error),
    );
  };
}

/**
 * Takes a request with `Upgrade` (RFC 9110 §7.8) and the socket under it, as node:http gives them: what a WebSocket
 * library wants. It writes the response itself, 101 or a refusal, and owns the socket from then on.
 */
export type UpgradeListener = (request: IncomingMessage, socket: Duplex, head: Buffer) => void;

export class LocalServer {
  readonly path: string;
  listener: RequestListener;
  readonly #onUpgrade: UpgradeListener | undefined;
  readonly #upgraded = new Set<Duplex>();
  #server: Server | null = null;
  #removeFile: () => void = () => {};

  /** Without `onUpgrade`, `Upgrade` is ignored and the request is answered as any other. */
  constructor(path: string, listener: RequestListener, onUpgrade?: UpgradeListener) {
    this.path = path;
    this.listener = listener;
    this.#onUpgrade = onUpgrade;
  }

  /**
   * Rejects when another process answers on the same path, unless it is being replaced; a socket file without a server
   * is replaced.
   */
  async listen(replaces = false): Promise<void> {
    const server = onDemand.http.createServer((request, response) => this.listener(request, response));
    const onUpgrade = this.#onUpgrade;
    if (onUpgrade !== undefined)
      server.on('upgrade', (request, socket, head) => {
        this.#upgraded.add(socket);
        socket.once('close', () => this.#upgraded.delete(socket));
        // A client that resets its connection must not end the process; the socket's owner sees it close.
        socket.on('error', () => {});
        onUpgrade(request, socket, head);
      });
    // The gateway's own pools decide when an idle connection ends.
    server.keepAliveTimeout = 0;
    server.requestTimeout = 0;
    this.#removeFile = await listenOnSocket(server, this.path, { owner: 'gateway', replaces });
    this.#server = server;
  }

  async close(): Promise<void> {
    const server = this.#server;
    this.#server = null;
    if (server === null) return;
    this.#removeFile();
    server.closeAllConnections();
    // The server knows these no more. Their owners said goodbye when the feature stopped.
    for (const socket of this.#upgraded) socket.destroy();
    await new Promise<void>((resolve) => server.close(() => resolve()));
  }
}
