/**
 * Opens one connection to an instance: TCP, TLS or a Unix socket. Nothing has been sent when it fails, so every
 * fault here is a connect fault and safe to retry. The deadline is the caller's (pool.ts).
 */
import type { Socket } from 'node:net';
import { connect as connectTcp, isIP } from 'node:net';
import type { ConnectionOptions, SecureContext, TLSSocket } from 'node:tls';
import type { Clock } from '../../base/clock.ts';
import type { FaultKind } from '../../base/errors.ts';
import { FAULTS } from '../../base/errors.ts';
import { isTls, onDemand } from '../../base/on-demand.ts';
import type { TimerWheel } from '../../base/timers.ts';
import type { InstanceSettings, Secrets, UpstreamTls } from '../contract/snapshot.ts';
import type { StreamWaiter } from '../exchange/upstream-stream.ts';
import { SHARED_BUFFER } from '../http1/buffer-pool.ts';
import type { SessionOwner } from '../http1/session.ts';
import { Session } from '../http1/session.ts';
import type { UpstreamConnectionOwner } from '../http2/upstream-connection.ts';
import { UpstreamConnection } from '../http2/upstream-connection.ts';
import { names } from './names.ts';

/** What makes two connections interchangeable: address, and for TLS the name, trust and certificate used. */
export interface DialTarget {
  readonly instance: InstanceSettings;
  readonly tls: UpstreamTls | null;
  readonly secureContext: SecureContext | null;
}

export function dialTarget(
  instance: InstanceSettings,
  tls: UpstreamTls | null,
  secrets: Secrets,
  context: TrustContext = new TrustContext(),
): DialTarget {
  if (instance.protocol !== 'https') return { instance, tls: null, secureContext: null };
  return { instance, tls, secureContext: context.of(tls, secrets) };
}

/**
 * Whom a service trusts and how it shows itself, as OpenSSL knows it: expensive, the same for all instances, and kept
 * until one of the three texts is another one, since the connections made with it end then.
 */
export class TrustContext {
  #texts: readonly (string | undefined)[] = [];
  #context: SecureContext | null = null;

  of(tls: UpstreamTls | null, secrets: Secrets): SecureContext {
    const texts = [tls?.ca, tls?.cert, tls?.key].map((id) => (id == null ? undefined : secrets[id]));
    if (this.#context !== null && texts.every((text, i) => text === this.#texts[i])) return this.#context;
    const [ca, cert, key] = texts;
    this.#context = onDemand.tls.createSecureContext({
      minVersion: 'TLSv1.2',
      ...(ca === undefined ? {} : { ca }),
      ...(cert === undefined ? {} : { cert }),
      ...(key === undefined ? {} : { key }),
    });
    this.#texts = texts;
    return this.#context;
  }
}

/** May what was opened to one serve requests for the other? Weight, health and the like are not asked. */
export function areInterchangeable(a: DialTarget, b: DialTarget): boolean {
  return (
    a.secureContext === b.secureContext &&
    a.tls?.serverName === b.tls?.serverName &&
    a.tls?.verify === b.tls?.verify &&
    a.instance.protocol === b.instance.protocol &&
    a.instance.host === b.instance.host &&
    a.instance.port === b.instance.port &&
    a.instance.socketPath === b.instance.socketPath
  );
}

export interface DialResult {
  onConnected(session: Session): void;
  /** Once, instead of `onConnected`. */
  onConnectFault(kind: FaultKind, cause: string): void;
}

/** Starts connecting; the returned function gives up (and then neither callback is called). */
export function dial(target: DialTarget, owner: SessionOwner, result: DialResult, wheel: TimerWheel): () => void {
  let session: Session | null = null;
  const reader: SocketReader = {
    buffer: () => (session === null ? SHARED_BUFFER : session.nextBuffer()),
    callback: (length, bytes) => {
      session?.onRead(length, bytes as Buffer);
      return true;
    },
  };
  return openSocket(target, ['http/1.1'], reader, {
    onSocket: (socket) => {
      session = new Session(socket, owner, wheel);
      result.onConnected(session);
    },
    onConnectFault: (kind, cause) => result.onConnectFault(kind, cause),
  });
}

export interface Http2DialResult {
  onConnected(connection: UpstreamConnection): void;
  onConnectFault(kind: FaultKind, cause: string): void;
}

/** The same for HTTP/2: over TLS the instance must choose it (ALPN), in clear text it must know it (RFC 9113 §3.3). */
export function dialHttp2(
  target: DialTarget,
  owner: UpstreamConnectionOwner,
  result: Http2DialResult,
  wheel: TimerWheel,
  clock: Clock,
): () => void {
  let connection: UpstreamConnection | null = null;
  const reader: SocketReader = {
    buffer: () => UpstreamConnection.nextBuffer(),
    callback: (length, bytes) => {
      connection?.onRead(length, bytes as Buffer);
      return true;
    },
  };
  return openSocket(target, ['h2'], reader, {
    onSocket: (socket) => {
      if (isTls(socket) && socket.alpnProtocol !== 'h2') {
        socket.on('error', () => {});
        socket.destroy();
        result.onConnectFault(FAULTS.upstreamTlsFailed, 'the instance did not choose HTTP/2 (ALPN)');
        return;
      }
      connection = new UpstreamConnection(socket, owner, wheel, clock);
      result.onConnected(connection);
    },
    onConnectFault: (kind, cause) => result.onConnectFault(kind, cause),
  });
}

/** The pools of an instance that chooses its protocol. */
export interface ProtocolPools {
  readonly http1: SessionOwner;
  readonly http2: UpstreamConnectionOwner;
  /** A connection of `http2` speaks HTTP/1.1. */
  onHttp1(session: Session): void;
  /**
   * A connection of `http1` speaks HTTP/2; `waiter` is who it was made for, null when that one has left. `isOutdated`:
   * TLS has other settings since it was begun, so it takes no requests.
   */
  onHttp2(connection: UpstreamConnection, waiter: StreamWaiter | null, isOutdated: boolean): void;
}

export interface AlpnResult {
  onHttp1(session: Session): void;
  onHttp2(connection: UpstreamConnection): void;
  onConnectFault(kind: FaultKind, cause: string): void;
}

/** The same over TLS for an instance that chooses (RFC 7301): HTTP/2 or, also where it says nothing, HTTP/1.1. */
export function dialByAlpn(
  target: DialTarget,
  owners: ProtocolPools,
  result: AlpnResult,
  wheel: TimerWheel,
  clock: Clock,
): () => void {
  let session: Session | null = null;
  let connection: UpstreamConnection | null = null;
  const reader: SocketReader = {
    buffer: () => (session === null ? UpstreamConnection.nextBuffer() : session.nextBuffer()),
    callback: (length, bytes) => {
      connection?.onRead(length, bytes as Buffer);
      session?.onRead(length, bytes as Buffer);
      return true;
    },
  };
  return openSocket(target, ['h2', 'http/1.1'], reader, {
    onSocket: (socket) => {
      if ((socket as TLSSocket).alpnProtocol === 'h2') {
        connection = new UpstreamConnection(socket, owners.http2, wheel, clock);
        result.onHttp2(connection);
      } else {
        session = new Session(socket, owners.http1, wheel);
        result.onHttp1(session);
      }
    },
    onConnectFault: (kind, cause) => result.onConnectFault(kind, cause),
  });
}

interface SocketReader {
  buffer(): Buffer;
  callback(length: number, bytes: Uint8Array): boolean;
}

interface SocketResult {
  onSocket(socket: Socket): void;
  onConnectFault(kind: FaultKind, cause: string): void;
}

function openSocket(
  target: DialTarget,
  protocols: readonly string[],
  onread: SocketReader,
  result: SocketResult,
): () => void {
  const { instance } = target;
  let settled = false;
  const address =
    instance.socketPath === null
      ? { host: instance.host, port: instance.port, lookup: names.lookup }
      : { path: instance.socketPath };
  let socket: Socket;
  if (target.secureContext === null) {
    socket = connectTcp({ ...address, noDelay: true, onread });
  } else {
    const name = target.tls?.serverName ?? instance.host;
    // The types do not know that a TLS socket takes `onread` as a plain one does (lib: net.Socket's options).
    const options: ConnectionOptions & { onread: typeof onread } = {
      ...address,
      secureContext: target.secureContext,
      // RFC 6066 §3: no literal addresses in SNI.
      ...(isIP(name) === 0 ? { servername: name } : {}),
      rejectUnauthorized: target.tls?.verify ?? true,
      checkServerIdentity: (_host, certificate) => onDemand.tls.checkServerIdentity(name, certificate),
      ALPNProtocols: [...protocols],
      onread,
    };
    socket = onDemand.tls.connect(options);
    socket.setNoDelay(true);
  }
  const fail = (error: NodeJS.ErrnoException): void => {
    if (settled) return;
    settled = true;
    socket.destroy();
    const tlsFault = target.secureContext !== null && !isNetworkError(error.code);
    names.failed(instance.host);
    result.onConnectFault(tlsFault ? FAULTS.upstreamTlsFailed : FAULTS.connectRefused, error.code ?? error.message);
  };
  const closedEarly = (): void => fail(new Error('closed while connecting'));
  socket.once('error', fail);
  socket.once('close', closedEarly);
  socket.once(target.secureContext === null ? 'connect' : 'secureConnect', () => {
    if (settled) return;
    settled = true;
    socket.off('error', fail);
    socket.off('close', closedEarly);
    result.onSocket(socket);
  });
  return () => {
    if (settled) return;
    settled = true;
    names.failed(instance.host);
    socket.on('error', () => {}); // errors of an unwanted connection do not matter
    socket.destroy();
  };
}

function isNetworkError(code: string | undefined): boolean {
  return code !== undefined && /^E(CONN|HOST|NET|TIMEDOUT|AI_|PIPE|ADDR|NOENT|ACCES|MFILE|NFILE|NOTFOUND)/.test(code);
}
