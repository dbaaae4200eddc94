/** Upstreams for tests, named by what they guarantee. Each has a port of its own and ends with its test. */
import type { IncomingMessage, RequestListener, Server } from 'node:http';
import { createServer } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { createServer as createTcpServer } from 'node:net';
import type { Scope } from './scope.ts';

export interface Upstream {
  readonly port: number;
  readonly url: string;
  /** Connections it has accepted so far. */
  connections: number;
  close(): Promise<void>;
}

/** Speaks HTTP as node:http does. */
export async function httpUpstream(test: Scope, listener: RequestListener): Promise<Upstream & { server: Server }> {
  const server = createServer(listener);
  server.keepAliveTimeout = 60_000;
  const upstream = await listen(test, server);
  return Object.assign(upstream, { server });
}

/** Answers with what it understood: method, url, headers as they came, body. */
export function echoUpstream(test: Scope): Promise<Upstream & { server: Server }> {
  return httpUpstream(test, (request, response) => {
    void readAll(request).then((body) => {
      const answer = JSON.stringify({
        method: request.method,
        url: request.url,
        headers: request.rawHeaders,
        body: body.toString('latin1'),
        trailers: request.rawTrailers,
      });
      response.setHeader('Content-Type', 'application/json');
      response.end(answer);
    });
  });
}

export async function readAll(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

/** Does with each connection exactly what the test says, bytes and all. */
export function rawUpstream(test: Scope, onConnection: (socket: Socket, nth: number) => void): Promise<Upstream> {
  let nth = 0;
  const server = createTcpServer((socket) => {
    socket.on('error', () => {});
    onConnection(socket, nth++);
  });
  return listen(test, server);
}

/** Answers each request head it sees with these bytes. */
export function cannedUpstream(
  test: Scope,
  answer: string | Buffer,
  then: 'keep' | 'end' | 'reset' = 'keep',
): Promise<Upstream> {
  return rawUpstream(test, (socket) => {
    socket.on('data', (bytes: Buffer) => {
      if (!bytes.includes('\r\n\r\n')) return;
      socket.write(answer, () => {
        if (then === 'end') socket.end();
        if (then === 'reset') socket.resetAndDestroy();
      });
    });
  });
}

/** A port at which nothing listens. */
export async function deadPort(): Promise<number> {
  const server = createTcpServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

async function listen(test: Scope, server: Server | ReturnType<typeof createTcpServer>): Promise<Upstream> {
  const sockets = new Set<Socket>();
  const upstream = { port: 0, url: '', connections: 0, close: () => Promise.resolve() };
  server.on('connection', (socket: Socket) => {
    upstream.connections++;
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  upstream.port = (server.address() as AddressInfo).port;
  upstream.url = `http://127.0.0.1:${upstream.port}`;
  upstream.close = () => {
    for (const socket of sockets) socket.destroy();
    return new Promise((resolve) => server.close(() => resolve()));
  };
  test.after(() => upstream.close());
  return upstream;
}
