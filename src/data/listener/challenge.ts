/**
 * TLS-ALPN-01 (RFC 8737): while a certificate authority checks a name, handshakes that offer `acme-tls/1` are answered
 * with the challenge certificate of that name, and end there. All others go on to the listener's own server. OpenSSL
 * asks for the certificate before it says which protocols are offered, so the first record is looked at; only while a
 * challenge is open, which costs the rest of the time one comparison a connection.
 */
import type { Socket } from 'node:net';
import type { SecureContext, Server } from 'node:tls';
import { onDemand } from '../../base/on-demand.ts';
import type { ChallengeCertificates } from '../contract/challenge.ts';

const CHALLENGE_PROTOCOL = 'acme-tls/1';
/** As it stands in a ClientHello: its length, then its letters (RFC 7301 §3.1). */
const OFFERED = Buffer.from(`\x0a${CHALLENGE_PROTOCOL}`, 'latin1');
const RECORD_HEADER = 5;
const HANDSHAKE = 0x16;
const MAX_RECORD = 16 * 1024;

export class ChallengeResponder {
  #contexts: ReadonlyMap<string, SecureContext> = new Map();
  #server: Server | null = null;
  readonly #handshakeTimeoutMs: () => number;

  constructor(handshakeTimeoutMs: () => number) {
    this.#handshakeTimeoutMs = handshakeTimeoutMs;
  }

  get isOpen(): boolean {
    return this.#contexts.size > 0;
  }

  update(certificates: ChallengeCertificates): void {
    this.#contexts = new Map(
      Object.entries(certificates).map(([name, { cert, key }]) => [
        name,
        onDemand.tls.createSecureContext({ cert, key }),
      ]),
    );
  }

  /**
   * Reads the first record of `socket`, `rest` included, and answers a challenge. Anything else is handed to `pass`
   * with all that was read put back.
   */
  take(socket: Socket, rest: Buffer | null, pass: () => void): void {
    let bytes = rest ?? Buffer.alloc(0);
    const giveUp = (): void => {
      socket.destroy();
    };
    const decide = (): boolean => {
      const length = recordLength(bytes);
      if (length !== 0 && bytes.length < length) return false;
      socket.off('data', onData);
      socket.off('error', giveUp);
      socket.off('timeout', giveUp);
      socket.setTimeout(0);
      const isChallenge = length !== 0 && bytes.subarray(0, length).includes(OFFERED);
      socket.pause();
      socket.unshift(bytes);
      if (isChallenge) this.#answer(socket);
      else pass();
      return true;
    };
    const onData = (chunk: Buffer): void => {
      bytes = Buffer.concat([bytes, chunk]);
      decide();
    };
    socket.setTimeout(this.#handshakeTimeoutMs(), giveUp);
    socket.on('error', giveUp);
    if (bytes.length > 0 && decide()) return;
    socket.on('data', onData);
  }

  #answer(socket: Socket): void {
    this.#server ??= this.#makeServer();
    this.#server.emit('connection', socket);
  }

  /**
   * RFC 8737 §3: the protocol must be negotiated, no data is exchanged, and without a certificate the handshake fails.
   */
  #makeServer(): Server {
    const server = onDemand.tls.createServer({
      ALPNProtocols: [CHALLENGE_PROTOCOL],
      minVersion: 'TLSv1.2',
      handshakeTimeout: this.#handshakeTimeoutMs(),
      SNICallback: (name, done) => {
        const context = this.#contexts.get(name.toLowerCase());
        if (context === undefined) done(new Error('no challenge is open for this name'));
        else done(null, context);
      },
    });
    server.on('secureConnection', (socket) => {
      socket.on('error', () => {});
      socket.end();
    });
    server.on('tlsClientError', (_error, socket) => socket.destroy());
    return server;
  }
}

/** Bytes of the first record with its header, 5 while that is not known, 0 for what is no handshake of TLS. */
function recordLength(bytes: Buffer): number {
  if (bytes.length > 0 && bytes[0] !== HANDSHAKE) return 0;
  if (bytes.length < RECORD_HEADER) return RECORD_HEADER;
  const length = bytes.readUInt16BE(3);
  return length > MAX_RECORD ? 0 : RECORD_HEADER + length;
}
