/**
 * gRPC probes: `grpc.health.v1.Health/Check` over a connection of its own, HTTP/2 in clear for http instances and over
 * TLS for https ones. Good is `grpc-status: 0` with SERVING in the message, nothing else.
 */
import type http2 from 'node:http2';
import net from 'node:net';
import { onDemand } from '../../base/on-demand.ts';
import { decodeResponse, encodeRequest, SERVING, SERVING_STATUS } from './grpc-message.ts';
import type { HealthCheckSettings } from './options.ts';
import type { Probe, ProbeAddress, ProbeOutcome } from './probe.ts';
import { authorityOf, bad, good, lowerCased, socketFault, tlsOptions } from './probe.ts';

/** A HealthCheckResponse is a handful of bytes; more than this is something else. */
const MAX_MESSAGE_BYTES = 1_024;

export const grpcProbe: Probe = {
  async run(address, check, signal) {
    // HTTP/2 takes 10 MB of memory, which a gateway without gRPC probes does not need.
    const { connect } = await import('node:http2');
    return new Promise((resolve) => {
      const session = openHttp2(connect, address, address.protocol === 'https');
      const settle = (outcome: ProbeOutcome): void => {
        signal.removeEventListener('abort', giveUp);
        resolve(outcome);
        session.destroy();
      };
      const giveUp = (): void => settle(bad('given up'));
      signal.addEventListener('abort', giveUp, { once: true });
      session.on('error', (error) => settle(socketFault(error)));
      session.on('close', () => settle(bad('connection closed')));
      call(session, address, check, settle);
    });
  },
};

/** A connection of its own to an instance, in clear or over TLS, by port or socket. `connect`: that of `node:http2`. */
export function openHttp2(
  connect: typeof http2.connect,
  address: ProbeAddress,
  secure: boolean,
): http2.ClientHttp2Session {
  const security = secure ? tlsOptions(address.tls) : {};
  const path = address.socketPath;
  const overSocket = (): net.Socket =>
    secure
      ? onDemand.tls.connect({ path: path ?? '', ALPNProtocols: ['h2'], ...security })
      : net.connect({ path: path ?? '' });
  return connect(`${secure ? 'https' : 'http'}://${authorityOf(address, secure)}`, {
    ...security,
    ...(path === null ? {} : { createConnection: overSocket }),
  });
}

function call(
  session: http2.ClientHttp2Session,
  address: ProbeAddress,
  check: HealthCheckSettings,
  settle: (outcome: ProbeOutcome) => void,
): void {
  const { host, ...headers } = lowerCased(check.headers);
  const stream = session.request({
    ...headers,
    ':method': 'POST',
    ':path': '/grpc.health.v1.Health/Check',
    ':authority': host ?? authorityOf(address, address.protocol === 'https'),
    'content-type': 'application/grpc',
    te: 'trailers',
    'grpc-timeout': `${check.timeoutMs}m`,
    'user-agent': 'gatehouse-health',
  });
  const chunks: Buffer[] = [];
  let bytes = 0;
  let grpcStatus: string | undefined;
  const takeStatus = (fields: http2.IncomingHttpHeaders): void => {
    const value = fields['grpc-status'];
    if (typeof value === 'string') grpcStatus = value;
  };
  stream.on('response', (fields) => {
    if (fields[':status'] !== 200) settle(bad(`HTTP status ${fields[':status']}`));
    else if (!String(fields['content-type']).startsWith('application/grpc')) settle(bad('the answer is not gRPC'));
    else takeStatus(fields);
  });
  stream.on('trailers', takeStatus);
  stream.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > MAX_MESSAGE_BYTES) settle(bad('the answer is too long for a health check'));
    else chunks.push(chunk);
  });
  stream.on('end', () => settle(judge(grpcStatus, Buffer.concat(chunks))));
  // A stream that could not even start says only that it was cancelled; the socket's own words are its cause.
  stream.on('error', (error) => settle(socketFault(error.cause ?? error)));
  stream.end(encodeRequest(check.grpcService));
}

function judge(grpcStatus: string | undefined, framed: Buffer): ProbeOutcome {
  if (grpcStatus === undefined) return bad('the answer has no grpc-status');
  const code = Number(grpcStatus);
  if (code === 12) return bad('the health service is not implemented (grpc-status 12)', code);
  if (code === 5) return bad('the service name is not known there (grpc-status 5)', code);
  if (code !== 0) return bad(`grpc-status ${grpcStatus}`, Number.isInteger(code) ? code : null);
  const serving = decodeResponse(framed);
  if (serving === undefined) return bad('the answer is not a health check response', code);
  return serving === SERVING ? good(code) : bad(SERVING_STATUS[serving] ?? `serving status ${serving}`, code);
}
