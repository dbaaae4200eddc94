/**
 * An HTTP server of the control plane on a Unix socket (a named pipe on Windows): what built-in services and the
 * control socket listen on. The app can be exchanged while it runs.
 */
import { chmod, mkdir, unlink } from 'node:fs/promises';
import type { Server } from 'node:http';
import { connect } from 'node:net';
import { dirname } from 'node:path';
import { createAdaptorServer } from '@hono/node-server';

export type Fetch = (request: Request) => Response | Promise<Response>;

export class LocalServer {
  readonly path: string;
  fetch: Fetch;
  #server: Server | null = null;

  constructor(path: string, fetch: Fetch) {
    this.path = path;
    this.fetch = fetch;
  }

  /** Rejects when another process answers on the same path; a socket file that nobody serves any more is removed. */
  async listen(): Promise<void> {
    if (process.platform !== 'win32') {
      await mkdir(dirname(this.path), { recursive: true });
      if (await answers(this.path)) throw new Error(`another gateway is running with ${this.path}`);
      await unlink(this.path).catch(() => {});
    }
    const server = createAdaptorServer({ fetch: (request) => this.fetch(request) }) as Server;
    // The gateway's own pools decide when an idle connection ends.
    server.keepAliveTimeout = 0;
    server.requestTimeout = 0;
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(this.path, () => {
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
