/**
 * Ports before workers bind them. Workers share a port by `SO_REUSEPORT`, which would also let a second gateway of the
 * same user slip in beside the first and take half of its connections; so each new port is bound alone once, and a
 * port of 0 becomes a free one that all workers then use. From then on a socket of the process that never listens holds
 * the port: between here and a worker, or between a worker's death and the next, the system gives it to no process that
 * asks for any free one, or connects from one.
 */
import { lookup } from 'node:dns/promises';
import * as net from 'node:net';
import { getSystemErrorName } from 'node:util';
import type { ListenerSettings, Snapshot } from '../data/contract/snapshot.ts';
import type { ListeningAddress } from './feature-status.ts';

/** Binds with `SO_REUSEPORT`, as workers do on Linux. Elsewhere nothing is held. */
const UV_TCP_REUSEPORT = 2;
const CAN_HOLD = process.platform === 'linux';

export class Ports {
  /** Listeners of a process that this one takes over from: it may share their ports. */
  predecessor: readonly ListeningAddress[] = [];
  /** Ports of listeners that are bound, by what was configured. */
  #bound = new Map<string, number>();
  /** Sockets that hold these ports, by the same keys. */
  readonly #held = new Map<string, BoundHandle>();

  /** The snapshot with real ports. Rejects, naming listener and address, when one cannot be had. */
  async resolve(snapshot: Snapshot): Promise<Snapshot> {
    const bound = new Map<string, number>();
    const listeners: ListenerSettings[] = [];
    for (const listener of snapshot.listeners) {
      const key = `${listener.id} ${listener.host} ${listener.port}`;
      const port = this.#bound.get(key) ?? this.#shared(listener) ?? (await this.#probe(key, listener));
      bound.set(key, port);
      // To the workers, a listener that moves or speaks differently is another one.
      const mode = `${listener.proxyProtocol ? '+proxy' : ''}${listener.tls === null ? '' : `+tls-${listener.tls.clientCertificate}`}`;
      listeners.push({ ...listener, id: `${listener.id}@${listener.host}:${port}${mode}`, port });
    }
    this.#bound = bound;
    for (const key of this.#held.keys()) if (!bound.has(key)) this.#release(key);
    return { ...snapshot, listeners };
  }

  /** Releases every port. */
  close(): void {
    for (const key of this.#held.keys()) this.#release(key);
  }

  #release(key: string): void {
    this.#held.get(key)?.close();
    this.#held.delete(key);
  }

  /** Binds the address alone, then holds it. It does not listen: a caller would be taken and then dropped. */
  async #probe(key: string, { id, host, port }: ListenerSettings): Promise<number> {
    try {
      const { address, family } = await lookup(host);
      const at = [address, family === 6 ? 6 : 4] as const;
      if (port !== 0 || !CAN_HOLD) {
        const [alone, free] = bind(...at, port, 0);
        alone.close();
        if (!CAN_HOLD) return free;
      }
      const [holder, bound] = bind(...at, port, UV_TCP_REUSEPORT);
      this.#held.set(key, holder);
      return bound;
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      throw new Error(`listener "${id}" cannot be bound to ${host}:${port}: ${WHY[code ?? ''] ?? code ?? message}`);
    }
  }

  #shared({ id, host, port }: ListenerSettings): number | undefined {
    const found = this.predecessor.find(
      (each) => each.host === host && (port === 0 ? each.id === id : each.port === port),
    );
    return found?.port;
  }
}

const WHY: Readonly<Record<string, string>> = {
  EADDRINUSE: 'another process is listening there',
  EACCES:
    'permission denied; ports below 1024 take root, the capability CAP_NET_BIND_SERVICE, or a higher port that is forwarded to',
  EADDRNOTAVAIL: 'this machine has no such address',
  ENOTFOUND: 'there is no host of this name',
  EAI_AGAIN: 'the name could not be looked up',
};

interface BoundHandle {
  getsockname(into: { port?: number }): number;
  close(): void;
}

/** Not a documented function; it is what `listen` itself begins with, and what the cluster module uses. */
const { _createServerHandle: createServerHandle } = net as unknown as {
  _createServerHandle(address: string, port: number, family: 4 | 6, fd: -1, flags: number): BoundHandle | number;
};

/** A bound socket and its port. */
function bind(address: string, family: 4 | 6, port: number, flags: number): [BoundHandle, number] {
  const handle = createServerHandle(address, port, family, -1, flags);
  if (typeof handle === 'number') throw errorOf(handle);
  // Another listener on the port shows only now.
  const bound: { port?: number } = {};
  const failed = handle.getsockname(bound);
  if (failed === 0) return [handle, bound.port!];
  handle.close();
  throw errorOf(failed);
}

function errorOf(number: number): NodeJS.ErrnoException {
  const code = getSystemErrorName(number);
  return Object.assign(new Error(code), { code });
}
