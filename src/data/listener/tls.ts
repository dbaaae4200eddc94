/**
 * Certificates of a TLS listener: which one for which name (SNI), who may connect (client certificates), and their
 * exchange on reload without touching open connections. Keys arrive as secrets and stay in OpenSSL contexts.
 */
import { constants, hkdfSync } from 'node:crypto';
import type { SecureContext, SecureContextOptions, TlsOptions } from 'node:tls';
import { onDemand } from '../../base/on-demand.ts';
import type { ListenerProtocol, ListenerTls, Secrets } from '../contract/snapshot.ts';

/** Secret id of the keys that seal session tickets; one for all workers, so that a resumed session finds its way. */
export const TICKET_KEYS = 'tls:ticket-keys';

/** RFC 9113 §9.2.1 forbids another handshake on a connection; over HTTP/1.1 it is good for nothing but load. */
const NO_RENEGOTIATION = { secureOptions: constants.SSL_OP_NO_RENEGOTIATION } as const;

export class CertificateChoice {
  readonly #exact = new Map<string, SecureContext>();
  readonly #wildcard = new Map<string, SecureContext>();
  readonly first: SecureContext;

  constructor(tls: ListenerTls, secrets: Secrets) {
    let first: SecureContext | undefined;
    for (const certificate of tls.certificates) {
      const context = onDemand.tls.createSecureContext({
        cert: secrets[certificate.cert],
        key: secrets[certificate.key],
        minVersion: tls.minVersion,
        ...NO_RENEGOTIATION,
        ...clientCa(tls, secrets),
      });
      first ??= context;
      for (const name of certificate.names) {
        if (name.startsWith('*.')) this.#wildcard.set(name.slice(1), context);
        else this.#exact.set(name, context);
      }
    }
    // None yet (`tls: auto` at its first start): every handshake fails with an alert.
    this.first = first ?? onDemand.tls.createSecureContext({ minVersion: tls.minVersion, ...NO_RENEGOTIATION });
  }

  /** RFC 9525 §6.3: a wildcard stands for one label. */
  for(serverName: string): SecureContext {
    const name = serverName.toLowerCase();
    const dot = name.indexOf('.');
    return this.#exact.get(name) ?? (dot > 0 ? this.#wildcard.get(name.slice(dot)) : undefined) ?? this.first;
  }
}

/** What callers get that name no server: the first certificate. On reload it is set anew on the server. */
export function defaultContext(tls: ListenerTls, secrets: Secrets): SecureContextOptions & { ticketKeys?: Buffer } {
  const [first] = tls.certificates;
  const cert = first === undefined ? undefined : secrets[first.cert];
  const key = first === undefined ? undefined : secrets[first.key];
  return {
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
    minVersion: tls.minVersion,
    ...NO_RENEGOTIATION,
    ...clientCa(tls, secrets),
    ...ticketKeys(tls, secrets),
  };
}

const TICKET_KEYS_BYTES = 48;

/**
 * A resumed session has passed the checks of the handshake that began it, and no others: OpenSSL asks for no
 * certificate again. So a ticket opens only where the same would have been asked for: not at another listener that asks
 * for more, and not after the authority of clients has changed.
 */
function ticketKeys(tls: ListenerTls, secrets: Secrets): { ticketKeys?: Buffer } {
  const common = secrets[TICKET_KEYS];
  if (common === undefined) return {};
  const asked = `${tls.clientCertificate}\n${clientCa(tls, secrets).ca ?? ''}`;
  const own = hkdfSync('sha256', Buffer.from(common, 'base64'), asked, 'tls session tickets', TICKET_KEYS_BYTES);
  return { ticketKeys: Buffer.from(own) };
}

function clientCa(tls: ListenerTls, secrets: Secrets): { ca?: string } {
  const ca = tls.clientCa === null ? undefined : secrets[tls.clientCa];
  return ca === undefined ? {} : { ca };
}

/**
 * Options of the server; `choice` and `protocols` are asked anew for each handshake, so a reload only swaps what they
 * give.
 */
export function tlsOptions(
  tls: ListenerTls,
  secrets: Secrets,
  handshakeTimeoutMs: number,
  choice: () => CertificateChoice,
  protocols: () => readonly ListenerProtocol[],
): TlsOptions {
  return {
    ...defaultContext(tls, secrets),
    requestCert: tls.clientCertificate !== 'off',
    rejectUnauthorized: tls.clientCertificate === 'required',
    // RFC 7301 §3.2: the first of ours that the client offers; none in common ends the handshake.
    ALPNCallback: ({ protocols: offered }) =>
      protocols()
        .map((name) => (name === 'h2' ? 'h2' : 'http/1.1'))
        .find((name) => offered.includes(name)),
    handshakeTimeout: handshakeTimeoutMs,
    SNICallback: (name, done) => done(null, choice().for(name)),
  };
}
