/**
 * A gRPC server for unary calls, on node:http2: each call is a message in and a message out, with the status in the
 * trailers (the protocol: github.com/grpc/grpc, doc/PROTOCOL-HTTP2.md). Answers health checks too.
 */
import { readFileSync } from 'node:fs';
import { createServer, type IncomingHttpHeaders, type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2';
import type { AddressInfo } from 'node:net';
import protobuf from 'protobufjs';

/** An error with a status of gRPC. */
export class GrpcError extends Error {
  readonly code: number;

  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}

export interface GrpcOptions {
  /** The `.proto` file; its imports are annotations, which say nothing to the server. */
  readonly proto: URL;
  /** Full name, such as `craftnudge.analytics.v1.Analytics`. */
  readonly service: string;
  readonly port: number;
  call(
    method: string,
    request: Record<string, unknown>,
    headers: IncomingHttpHeaders,
  ): Promise<Record<string, unknown>>;
  isServing(): Promise<boolean>;
}

export interface GrpcServer {
  readonly url: string;
  close(): Promise<void>;
}

const [INTERNAL, INVALID, UNIMPLEMENTED] = [13, 3, 12];
const MAX_MESSAGE = 1024 ** 2;

export async function startGrpc({ proto, service: name, port, call, isServing }: GrpcOptions): Promise<GrpcServer> {
  const { root } = protobuf.parse(readFileSync(proto, 'utf8'), { keepCase: true });
  root.resolveAll();
  const service = root.lookupService(name);
  const sessions = new Set<ServerHttp2Session>();
  const server = createServer();
  server.on('session', (session) => {
    sessions.add(session);
    session.on('close', () => sessions.delete(session));
    session.on('error', () => {});
  });

  async function answerOf(path: string, message: Uint8Array, headers: IncomingHttpHeaders): Promise<Uint8Array> {
    // HealthCheckResponse { status: 1 SERVING, 2 NOT_SERVING }
    if (path === '/grpc.health.v1.Health/Check') return Uint8Array.of(0x08, (await isServing()) ? 1 : 2);
    const method = path.startsWith(`/${name}/`) ? service.methods[path.slice(name.length + 2)] : undefined;
    if (method === undefined) throw new GrpcError(UNIMPLEMENTED, `there is no method ${path}`);
    let request: Record<string, unknown>;
    try {
      request = method.resolvedRequestType!.toObject(method.resolvedRequestType!.decode(message));
    } catch {
      throw new GrpcError(INVALID, 'the message cannot be read');
    }
    const response = method.resolvedResponseType!;
    return response.encode(response.fromObject(await call(method.name, request, headers))).finish();
  }

  server.on('stream', (stream: ServerHttp2Stream, headers) => {
    stream.on('error', () => {});
    const chunks: Buffer[] = [];
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    stream.on('end', async () => {
      try {
        const whole = Buffer.concat(chunks);
        const isWhole = whole.length >= 5 && whole[0] === 0 && whole.readUInt32BE(1) === whole.length - 5;
        if (!isWhole || whole.length > MAX_MESSAGE) throw new GrpcError(INVALID, 'one message is expected, not packed');
        const bytes = await answerOf(String(headers[':path']), whole.subarray(5), headers);
        if (stream.destroyed) return;
        stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
        stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
        const prefix = Buffer.alloc(5);
        prefix.writeUInt32BE(bytes.length, 1);
        stream.end(Buffer.concat([prefix, bytes]));
      } catch (error) {
        const known = error instanceof GrpcError;
        if (!known) console.error(error);
        if (stream.destroyed) return;
        const status = String(known ? error.code : INTERNAL);
        const message = encodeURIComponent(known ? error.message : 'the request could not be handled');
        stream.respond(
          { ':status': 200, 'content-type': 'application/grpc', 'grpc-status': status, 'grpc-message': message },
          { endStream: true },
        );
      }
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', resolve);
  });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const session of sessions) session.close();
        // Who holds a connection without a call is not waited for.
        setTimeout(() => {
          for (const session of sessions) session.destroy();
        }, 500).unref();
      }),
  };
}
