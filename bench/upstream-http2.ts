/**
 * The upstream that speaks HTTP/2 in clear text, a process of its own: `node bench/upstream-http2.ts PORT`. It serves
 * the benchmark bodies, and as a gRPC service sends each message back, with its status in the trailers.
 */
import { createServer, type ServerHttp2Stream } from 'node:http2';
import { downloads } from './lib/bodies.ts';
import { path as echoPath } from './lib/note.ts';

const bodies = new Map(downloads.map((body) => [body.path, body]));

function download(stream: ServerHttp2Stream, path: string): void {
  const body = bodies.get(path);
  if (body === undefined) {
    stream.respond({ ':status': 404 }, { endStream: true });
    return;
  }
  stream.respond({ ':status': 200, 'content-type': body.type, 'content-length': body.bytes.length });
  stream.end(body.bytes);
}

function echo(stream: ServerHttp2Stream): void {
  const parts: Buffer[] = [];
  stream.on('data', (part: Buffer) => parts.push(part));
  stream.on('end', () => {
    if (stream.destroyed || stream.closed) return;
    stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
    stream.once('wantTrailers', () => {
      // The load may have ended meanwhile, and its streams with it.
      if (!stream.destroyed && !stream.closed) stream.sendTrailers({ 'grpc-status': '0' });
    });
    stream.end(Buffer.concat(parts));
  });
}

const upstream = createServer();
upstream.on('stream', (opened, headers) => {
  // A server's: the types do not tell.
  const stream = opened as ServerHttp2Stream;
  stream.on('error', () => {});
  const path = (headers[':path'] ?? '').split('?', 1)[0] as string;
  if (path === echoPath) echo(stream);
  else download(stream, path);
});
upstream.on('sessionError', () => {});
upstream.listen({ port: Number(process.argv[2]), host: '127.0.0.1', backlog: 4096 });
