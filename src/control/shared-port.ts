/**
 * A port of the main thread (operators, admin API) that a process which takes over from this one can listen on as well,
 * while both live. No other process can: without a takeover the port is bound alone first.
 */
import type { Server } from 'node:net';
import { createServer } from 'node:net';

/** Where two sockets of one user may share a port by `SO_REUSEPORT` and one process can take over from another. */
const CAN_SHARE = process.platform === 'linux';

export interface Place {
  readonly host: string;
  readonly port: number;
}

/** Rejects when another process has the port, unless it is being replaced by this one. */
export async function listenOnPort(server: Server, place: Place, isTakingOver: boolean): Promise<void> {
  if (!CAN_SHARE) return listen(server, place);
  if (!isTakingOver && place.port !== 0) {
    const alone = createServer();
    await listen(alone, place);
    await new Promise((resolve) => alone.close(resolve));
  }
  return listen(server, { ...place, reusePort: true });
}

function listen(server: Server, options: Place & { readonly reusePort?: boolean }): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(options, () => {
      server.off('error', reject);
      resolve();
    });
  });
}
