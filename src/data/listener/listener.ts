/**
 * One bound address of one worker: accepts sockets, refuses what may not come in (too many connections, banned
 * addresses, PROXY headers from untrusted peers), and makes connections of the rest. All workers bind the same port
 * (`reusePort`), without TLS several times; the kernel spreads connections over all these sockets and nothing is handed
 * between threads.
 */
import type { AddressInfo, Server, Socket } from 'node:net';
import { createServer } from 'node:net';
import type { TLSSocket, Server as TlsServer } from 'node:tls';
import { canonicalAddress } from '../../base/ip.ts';
import { LogThrottle } from '../../base/log-throttle.ts';
import { onDemand } from '../../base/on-demand.ts';
import type { ListenerSettings, Secrets } from '../contract/snapshot.ts';
import type { Admission, Peer } from '../exchange/downstream.ts';
import { Connection } from '../http1/connection.ts';
import { DownstreamConnection } from '../http2/downstream-connection.ts';
import type { WorkerRuntime } from '../runtime.ts';
import { adoptAccepted } from '../wire/adopt.ts';
import type { Source } from '../wire/sources.ts';
import type { ChallengeResponder } from './challenge.ts';
import { LeavingConnections } from './leaving.ts';
import { readProxyHeader } from './proxy-protocol.ts';
import { CertificateChoice, defaultContext, tlsOptions } from './tls.ts';

interface Caller {
  readonly address: string;
  readonly port: number;
  /** Null for a trusted proxy. */
  readonly source: Source | null;
  /** Of the time it was accepted: another may follow before its PROXY header or TLS handshake is through. */
  readonly admission: Admission;
  /** Counted at `source` until it is a connection, or gone. */
  isPending: boolean;
}

export class Listener {
  settings: ListenerSettings;
  /** Sockets that it has been given so far. */
  taken = 0;
  /** As the configuration has it: ids of bound listeners say the address and the mode as well (control/ports.ts). */
  readonly #name: string;
  readonly #runtime: WorkerRuntime;
  /** Each a socket of its own on the same port. */
  readonly #servers: readonly Server[];
  readonly #tlsServer: TlsServer | null;
  #certificates: CertificateChoice | null = null;
  readonly #refusals: LogThrottle;
  /** What the PROXY header said, until the TLS handshake of that socket is through. */
  readonly #callers = new WeakMap<Socket, Caller>();
  readonly #challenges: ChallengeResponder;
  #admission: Admission = { isOver: false };
  #lastRemote = '';
  #lastAddress: string | undefined = undefined;
  /** The text of the authority that client certificates must chain to. */
  #clientCa: string | undefined;

  constructor(settings: ListenerSettings, secrets: Secrets, runtime: WorkerRuntime, challenges: ChallengeResponder) {
    this.settings = settings;
    this.#name = settings.id.replace(/@[^@]*$/, '');
    this.#runtime = runtime;
    this.#challenges = challenges;
    this.#refusals = new LogThrottle(runtime.clock);
    if (settings.tls === null) {
      this.#tlsServer = null;
      const options = { noDelay: true, allowHalfOpen: true };
      const onSocket = (socket: Socket): void => this.#acceptUsual(socket);
      this.#servers = Array.from({ length: REUSE_PORT ? PLAIN_SOCKETS : 1 }, () => createServer(options, onSocket));
      return;
    }
    this.#certificates = new CertificateChoice(settings.tls, secrets);
    this.#clientCa = clientCaOf(settings, secrets);
    const tls = onDemand.tls.createServer(
      tlsOptions(
        settings.tls,
        secrets,
        runtime.limits.headTimeoutMs,
        () => this.#certificates!,
        () => this.settings.protocols,
      ),
    );
    tls.on('secureConnection', (socket) => this.#secured(socket));
    tls.on('tlsClientError', (_error, socket) => {
      runtime.metrics.add('tls_handshake_errors', 1);
      socket.destroy();
    });
    this.#tlsServer = tls;
    // A plain server in front, because admission and PROXY headers come before the handshake.
    this.#servers = [createServer({ noDelay: true }, (socket) => this.#acceptUsual(socket))];
  }

  /** No TLS and no PROXY header: HTTP from the first byte. */
  get #isPlain(): boolean {
    return this.settings.tls === null && !this.settings.proxyProtocol;
  }

  /** Resolves to the port when all sockets stand; rejects when one does not, and then none is left. */
  async listen(): Promise<number> {
    const [first, ...others] = this.#servers;
    try {
      const port = await this.#bind(first!, this.settings.port);
      await Promise.all(others.map((server) => this.#bind(server, port)));
      return port;
    } catch (error) {
      this.close();
      throw error;
    }
  }

  #bind(server: Server, port: number): Promise<number> {
    return new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen({ host: this.settings.host, port, reusePort: REUSE_PORT, backlog: 4096 }, () => {
        server.off('error', reject);
        server.on('error', (error) =>
          this.#runtime.log.error('a listener failed', { listener: this.settings.id, error: error.message }),
        );
        if (this.#isPlain) adoptAccepted(server, this.#accept);
        resolve((server.address() as AddressInfo).port);
      });
    });
  }

  /** New certificates for new handshakes. Connections that would not come in like this any more end. */
  update(settings: ListenerSettings, secrets: Secrets): void {
    const clientCa = clientCaOf(settings, secrets);
    if (isStricter(settings, this.settings) || clientCa !== this.#clientCa) this.#endConnections();
    this.#clientCa = clientCa;
    if (settings.tls !== null) {
      this.#certificates = new CertificateChoice(settings.tls, secrets);
      this.#tlsServer?.setSecureContext(defaultContext(settings.tls, secrets));
    }
    this.settings = settings;
  }

  /** Stops accepting. Open connections are not its business any more. */
  close(): void {
    for (const server of this.#servers) server.close();
  }

  /** Stops accepting, and ends what it has accepted. */
  retire(): void {
    this.close();
    this.#endConnections();
  }

  #endConnections(): void {
    new LeavingConnections(this.#runtime, this.#admission, this.#name).begin();
    this.#admission = { isOver: false };
  }

  #acceptUsual(socket: Socket): void {
    this.#accept(socket, socket.remoteAddress ?? '', socket.remotePort ?? 0);
  }

  readonly #accept = (socket: Socket, remote: string, port: number): void => {
    this.taken++;
    const runtime = this.#runtime;
    const address = this.#canonical(remote);
    if (address === undefined) {
      socket.destroy(); // gone before it was looked at
      return;
    }
    if (runtime.connections.size >= runtime.limits.maxConnections || runtime.live.isBanned(address)) {
      runtime.metrics.add('connections_refused', 1);
      socket.resetAndDestroy();
      return;
    }
    const caller = this.#caller(socket, address, port, this.#admission);
    if (caller === null) return;
    runtime.metrics.add('connections_accepted', 1);
    if (this.settings.proxyProtocol) this.#readProxyHeader(socket, caller);
    else this.#admit(socket, caller, null);
  };

  /** Mostly the same client as before; the same string is also found faster by all that look it up. */
  #canonical(remote: string): string | undefined {
    if (remote !== this.#lastRemote) {
      this.#lastRemote = remote;
      this.#lastAddress = canonicalAddress(remote);
    }
    return this.#lastAddress;
  }

  /** Null: its address has reached its limit of connections, and this one is closed. */
  #caller(socket: Socket, address: string, port: number, admission: Admission): Caller | null {
    const runtime = this.#runtime;
    const source = runtime.live.trusted.has(address) ? null : runtime.sources.of(address);
    if (source !== null && source.connections >= runtime.limits.maxConnectionsPerAddress) {
      runtime.metrics.add('connections_refused', 1);
      runtime.metrics.add('address_connections_refused', 1);
      this.#refusals.write((leftOut) =>
        runtime.log.warn('connection limit of an address reached', {
          address: source.name,
          connections: source.connections,
          listener: this.settings.id,
          ...(leftOut === 0 ? {} : { leftOut }),
        }),
      );
      socket.resetAndDestroy();
      return null;
    }
    const caller = { address, port, source, admission, isPending: false };
    // A plain one becomes a connection at once, and is counted as that.
    if (source !== null && !this.#isPlain) {
      caller.isPending = true;
      runtime.keep(source);
      socket.once('close', () => this.#noLongerPending(caller));
    }
    return caller;
  }

  #noLongerPending(caller: Caller): void {
    if (!caller.isPending) return;
    caller.isPending = false;
    this.#runtime.letGo(caller.source!);
  }

  #readProxyHeader(socket: Socket, peer: Caller): void {
    if (!this.#runtime.live.trusted.has(peer.address)) {
      this.#runtime.log.warn('a PROXY header may only come from trustProxy', {
        address: peer.address,
        listener: this.settings.id,
      });
      this.#runtime.metrics.add('connections_refused', 1);
      socket.resetAndDestroy();
      return;
    }
    let bytes: Buffer = Buffer.alloc(0);
    const giveUp = (): void => {
      socket.destroy();
    };
    socket.setTimeout(this.#runtime.limits.headTimeoutMs, giveUp);
    socket.on('error', giveUp);
    socket.on('end', giveUp);
    const onData = (chunk: Buffer): void => {
      bytes = bytes.length === 0 ? chunk : Buffer.concat([bytes, chunk]);
      const header = readProxyHeader(bytes);
      if (header.kind === 'incomplete') return;
      socket.off('data', onData);
      socket.off('error', giveUp);
      socket.off('timeout', giveUp);
      socket.setTimeout(0);
      if (header.kind === 'bad') {
        this.#runtime.log.warn('a PROXY header was refused', { address: peer.address, problem: header.problem });
        this.#runtime.metrics.add('connections_refused', 1);
        socket.on('error', giveUp);
        socket.destroy();
        return;
      }
      socket.on('error', giveUp);
      if (header.address !== null && this.#runtime.live.isBanned(header.address)) {
        socket.resetAndDestroy();
        return;
      }
      const caller = header.address === null ? peer : this.#caller(socket, header.address, header.port, peer.admission);
      if (caller === null) return;
      socket.off('error', giveUp);
      socket.off('end', giveUp);
      this.#admit(socket, caller, bytes.length > header.length ? bytes.subarray(header.length) : null);
    };
    socket.on('data', onData);
  }

  #admit(socket: Socket, caller: Caller, rest: Buffer | null): void {
    if (this.#tlsServer === null) {
      this.#connect(socket, this.#peer(caller, false, null), rest);
      return;
    }
    this.#callers.set(socket, caller);
    const server = this.#tlsServer;
    if (this.#challenges.isOpen) {
      this.#challenges.take(socket, rest, () => server.emit('connection', socket));
      return;
    }
    if (rest !== null) {
      socket.pause();
      socket.unshift(rest);
    }
    server.emit('connection', socket);
  }

  #secured(socket: TLSSocket): void {
    // The plain socket under a TLS one; `_parent` has been there since the first tls.Server.
    const below = (socket as unknown as { _parent?: Socket })._parent;
    const caller = (below === undefined ? undefined : this.#callers.get(below)) ?? {
      address: canonicalAddress(socket.remoteAddress ?? '') ?? '',
      port: socket.remotePort ?? 0,
      source: null,
      admission: this.#admission,
      isPending: false,
    };
    socket.setNoDelay(true);
    this.#connect(socket, this.#peer(caller, true, clientCertificate(socket)), null);
  }

  #peer(caller: Caller, secure: boolean, certificate: Peer['clientCertificate']): Peer {
    const trusted = this.#runtime.live.trusted.has(caller.address);
    this.#noLongerPending(caller);
    return {
      address: caller.address,
      port: caller.port,
      secure,
      trusted,
      clientCertificate: certificate,
      listener: this.#name,
      admission: caller.admission,
      source: trusted ? null : (caller.source ?? this.#runtime.sources.of(caller.address)),
    };
  }

  #connect(socket: Socket, peer: Peer, rest: Buffer | null): void {
    const { protocols } = this.settings;
    if (peer.secure && !protocols.includes('h1') && (socket as TLSSocket).alpnProtocol !== 'h2') {
      socket.destroy(); // without ALPN it would be HTTP/1.1, which is not spoken here
      return;
    }
    if (peer.secure ? (socket as TLSSocket).alpnProtocol === 'h2' : !protocols.includes('h1')) {
      this.#connectHttp2(socket, peer, rest);
      return;
    }
    const takesHttp2 = !peer.secure && protocols.includes('h2');
    const connection = new Connection(socket, peer, this.#runtime, takesHttp2 ? this.#toHttp2 : null);
    this.#runtime.opened(connection);
    if (rest !== null) connection.onBytes(rest);
  }

  readonly #toHttp2 = (socket: Socket, peer: Peer, bytes: Buffer): void => this.#connectHttp2(socket, peer, bytes);

  #connectHttp2(socket: Socket, peer: Peer, rest: Buffer | null): void {
    const runtime = this.#runtime;
    runtime.metrics.add('http2_connections_accepted', 1);
    runtime.metrics.add('http2_connections_active', 1);
    const connection = new DownstreamConnection(socket, peer, runtime, runtime.live.gateway.http2);
    runtime.opened(connection);
    if (rest !== null) connection.onRead(rest.length, rest);
    // A listener without HTTP/1.1 does not read before this.
    socket.resume();
  }
}

function clientCaOf({ tls }: ListenerSettings, secrets: Secrets): string | undefined {
  return tls === null || tls.clientCa === null ? undefined : secrets[tls.clientCa];
}

/** Does it take less than before? What is another listener to workers (control/ports.ts) is not looked at. */
function isStricter(next: ListenerSettings, before: ListenerSettings): boolean {
  if (before.protocols.some((protocol) => !next.protocols.includes(protocol))) return true;
  return before.tls?.minVersion === 'TLSv1.2' && next.tls?.minVersion === 'TLSv1.3';
}

/** Where `SO_REUSEPORT` spreads connections; elsewhere one worker runs and binds alone. */
const REUSE_PORT = process.platform === 'linux';

/**
 * Sockets of a worker for a port without TLS. From each of them Node accepts one connection a turn of the event loop, so
 * with a single one every new connection costs a turn: a request with a connection of its own takes 15 % less CPU with
 * eight. With TLS there is one, because a handshake costs much more than a turn and must not wait for seven others.
 */
const PLAIN_SOCKETS = 8;

function clientCertificate(socket: TLSSocket): Peer['clientCertificate'] {
  const certificate = socket.authorized ? socket.getPeerX509Certificate() : undefined;
  if (certificate === undefined) return null;
  // The escaped forms of X509Certificate: joined by hand, a name with a comma could pose as two attributes.
  const { subject, fingerprint256, subjectAltName } = certificate;
  return { subject, fingerprint256, subjectAltName };
}
