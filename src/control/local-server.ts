/**
 * An HTTP server of the control plane on a Unix socket (a named pipe on Windows): what built-in services and the
 * control socket listen on. The listener can be exchanged while it runs.
 */
import { chmod, mkdir, unlink } from 'node:fs/promises';
import type { IncomingMessage, RequestListener, Server } from 'node:http';
import { createServer } from 'node:http';
import { connect } from 'node:net';
import { dirname } from 'node:path';
import type { Duplex } from 'node:stream';

export type Fetch = (request: Request) => Response | Promise<Response>;

/** What a Hono app gives, as a listener. The adapter is loaded when the first one is served, not before. */
export async function fetchListener(fetch: Fetch): Promise<RequestListener> {
  const { getRequestListener } = await import('@hono/node-server');
  return getRequestListener(fetch) as RequestListener;
}

/**
 * Takes a request with `Upgrade` (RFC 9110 §7.8) and the socket under it, as node:http gives them: what a WebSocket
 * library wants. It writes the response itself, 101 or a refusal, and owns the socket from then on.
 */
export type UpgradeListener = (request: IncomingMessage, socket: Duplex, head: Buffer) => void;

/** Connections that may wait to be accepted: with Node's 511 many WebSockets that come at once would be refused. */
const BACKLOG = 4_096;

export class LocalServer {
  readonly path: string;
  listener: RequestListener;
  readonly #onUpgrade: UpgradeListener | undefined;
  readonly #upgraded = new Set<Duplex>();
  #server: Server | null = null;

  /** Without `onUpgrade`, `Upgrade` is ignored and the request is answered as any other. */
  constructor(path: string, listener: RequestListener, onUpgrade?: UpgradeListener) {
    this.path = path;
    this.listener = listener;
    this.#onUpgrade = onUpgrade;
  }

  /** Rejects when another process answers on the same path; a socket file that nobody serves any more is removed. */
  async listen(): Promise<void> {
    if (process.platform !== 'win32') {
      await mkdir(dirname(this.path), { recursive: true, mode: 0o700 });
      if (await answers(this.path)) throw new Error(`another gateway is running with ${this.path}`);
      await unlink(this.path).catch(() => {});
    }
    const server = createServer((request, response) => this.listener(request, response));
    const onUpgrade = this.#onUpgrade;
    if (onUpgrade !== undefined)
      server.on('upgrade', (request, socket, head) => {
        this.#upgraded.add(socket);
        socket.once('close', () => this.#upgraded.delete(socket));
        // A client that resets its connection must not end the process; whoever took the socket sees it close.
        socket.on('error', () => {});
        onUpgrade(request, socket, head);
      });
    // The gateway's own pools decide when an idle connection ends.
    server.keepAliveTimeout = 0;
    server.requestTimeout = 0;
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen({ path: this.path, backlog: BACKLOG }, () => {
        server.off('error', reject);
        resolve();
      });
    });
    // Whoever may open the folder could connect otherwise: these sockets are for the owner alone.
    if (process.platform !== 'win32') await chmod(this.path, 0o600);
    this.#server = server;
  }

  async close(): Promise<void> {
    const server = this.#server;
    this.#server = null;
    if (server === null) return;
    server.closeAllConnections();
    // The server knows these no more. Their owners said goodbye when the feature stopped.
    for (const socket of this.#upgraded) socket.destroy();
    await new Promise<void>((resolve) => server.close(() => resolve()));
  }
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
