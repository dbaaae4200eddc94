/**
 * Ports before workers bind them. Workers share a port by `SO_REUSEPORT`, which would also let a second gateway of the
 * same user slip in beside the first and take half of its connections; so each new port is bound alone once, and a
 * port of 0 becomes a free one that all workers then use.
 */
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import type { ListenerSettings, Snapshot } from '../data/contract/snapshot.ts';
import type { ListeningAddress } from './feature-status.ts';

export class Ports {
  /** Listeners of a process that this one takes over from: it may share their ports. */
  predecessor: readonly ListeningAddress[] = [];
  /** Ports of listeners that are bound, by what was configured. */
  #bound = new Map<string, number>();

  /** The snapshot with real ports. Rejects, naming listener and address, when one cannot be had. */
  async resolve(snapshot: Snapshot): Promise<Snapshot> {
    const bound = new Map<string, number>();
    const listeners: ListenerSettings[] = [];
    for (const listener of snapshot.listeners) {
      const key = `${listener.id} ${listener.host} ${listener.port}`;
      const port = this.#bound.get(key) ?? this.#shared(listener) ?? (await probe(listener));
      bound.set(key, port);
      // To the workers, a listener that moves or speaks differently is another one.
      const mode = `${listener.proxyProtocol ? '+proxy' : ''}${listener.tls === null ? '' : `+tls-${listener.tls.clientCertificate}`}`;
      listeners.push({ ...listener, id: `${listener.id}@${listener.host}:${port}${mode}`, port });
    }
    this.#bound = bound;
    return { ...snapshot, listeners };
  }

  #shared({ id, host, port }: ListenerSettings): number | undefined {
    const found = this.predecessor.find(
      (each) => each.host === host && (port === 0 ? each.id === id : each.port === port),
    );
    return found?.port;
  }
}

function probe({ id, host, port }: ListenerSettings): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', (error: NodeJS.ErrnoException) => {
      const why = error.code === 'EADDRINUSE' ? 'another process is listening there' : (error.code ?? error.message);
      reject(new Error(`listener "${id}" cannot be bound to ${host}:${port}: ${why}`));
    });
    server.listen({ host, port }, () => {
      const free = (server.address() as AddressInfo).port;
      server.close(() => resolve(free));
    });
  });
}
