/**
 * A gRPC server that knows grpc.health.v1.Health/Check and nothing else, on node:http2. Statuses by service name are
 * set by the test; names it does not know get NOT_FOUND, as the protocol says. It checks what it is asked: frame,
 * content type and `te` must be right or it answers as a strict server would.
 */

import type { ServerHttp2Stream } from 'node:http2';
import http2 from 'node:http2';
import type { AddressInfo } from 'node:net';
import { TEST_CERTIFICATE, TEST_KEY } from './test-certificate.ts';

export interface GrpcHealthServer {
  readonly port: number;
  /** Serving status by service name; `''` is the server as a whole. 1 is SERVING. */
  readonly statuses: Map<string, number>;
  /** Replaces the proper answer, for peers that misbehave. */
  misbehave: ((stream: ServerHttp2Stream) => void) | null;
  close(): Promise<void>;
}

export async function startGrpcHealthServer(options: { tls?: boolean } = {}): Promise<GrpcHealthServer> {
  const statuses = new Map([['', 1]]);
  const sessions = new Set<http2.ServerHttp2Session>();
  const server = options.tls
    ? http2.createSecureServer({ cert: TEST_CERTIFICATE, key: TEST_KEY })
    : http2.createServer();
  server.on('session', (session) => {
    sessions.add(session);
    session.on('close', () => sessions.delete(session));
    session.on('error', () => {});
  });
  server.on('stream', (stream: ServerHttp2Stream, headers) => {
    stream.on('error', () => {});
    const misbehaviour = running.misbehave;
    if (misbehaviour !== null) return misbehaviour(stream);
    const chunks: Buffer[] = [];
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    stream.on('end', () => {
      const isCall =
        headers[':method'] === 'POST' && headers['content-type'] === 'application/grpc' && headers['te'] === 'trailers';
      if (!isCall) return refuse(stream, 3);
      if (headers[':path'] !== '/grpc.health.v1.Health/Check') return refuse(stream, 12);
      const service = readServiceName(Buffer.concat(chunks));
      if (service === undefined) return refuse(stream, 3);
      const status = statuses.get(service);
      if (status === undefined) return refuse(stream, 5);
      answer(stream, status === 0 ? Buffer.alloc(0) : Buffer.from([0x08, status]));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const running: GrpcHealthServer = {
    port: (server.address() as AddressInfo).port,
    statuses,
    misbehave: null,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const session of sessions) session.destroy();
      }),
  };
  return running;
}

/** A proper gRPC answer with one message. */
export function answer(stream: ServerHttp2Stream, message: Buffer): void {
  stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
  stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.length, 1);
  stream.end(Buffer.concat([head, message]));
}

/** An error as gRPC sends it: status in the head and no message. */
function refuse(stream: ServerHttp2Stream, grpcStatus: number): void {
  stream.respond(
    { ':status': 200, 'content-type': 'application/grpc', 'grpc-status': String(grpcStatus) },
    { endStream: true },
  );
}

function readServiceName(framed: Buffer): string | undefined {
  if (framed.length < 5 || framed[0] !== 0 || framed.readUInt32BE(1) !== framed.length - 5) return undefined;
  const message = framed.subarray(5);
  if (message.length === 0) return '';
  if (message[0] !== 0x0a || message[1] !== message.length - 2) return undefined;
  return message.subarray(2).toString('utf8');
}
