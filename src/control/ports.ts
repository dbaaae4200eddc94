/**
 * Ports before workers bind them. Workers share a port by `SO_REUSEPORT`, which would also let a second gateway of the
 * same user slip in beside the first and take half of its connections; so each new port is bound alone once, and a
 * port of 0 becomes a free one that all workers then use.
 */
import { lookup } from 'node:dns/promises';
import * as net from 'node:net';
import { getSystemErrorName } from 'node:util';
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

/** Binds the address alone and lets it go again. It does not listen: a caller would be taken and then dropped. */
async function probe({ id, host, port }: ListenerSettings): Promise<number> {
  try {
    const { address, family } = await lookup(host);
    return bindOnce(address, family === 6 ? 6 : 4, port);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const why = code === 'EADDRINUSE' ? 'another process is listening there' : (code ?? message);
    throw new Error(`listener "${id}" cannot be bound to ${host}:${port}: ${why}`);
  }
}

interface BoundHandle {
  getsockname(into: { port?: number }): number;
  close(): void;
}

/** Not a documented function; it is what `listen` itself begins with, and what the cluster module uses. */
const { _createServerHandle: createServerHandle } = net as unknown as {
  _createServerHandle(address: string, port: number, family: 4 | 6, fd: -1, flags: 0): BoundHandle | number;
};

function bindOnce(address: string, family: 4 | 6, port: number): number {
  const handle = createServerHandle(address, port, family, -1, 0);
  if (typeof handle === 'number') throw errorOf(handle);
  try {
    // Where somebody else listens, that is told only now.
    const bound: { port?: number } = {};
    const failed = handle.getsockname(bound);
    if (failed !== 0) throw errorOf(failed);
    return bound.port!;
  } finally {
    handle.close();
  }
}

function errorOf(number: number): NodeJS.ErrnoException {
  const code = getSystemErrorName(number);
  return Object.assign(new Error(code), { code });
}
