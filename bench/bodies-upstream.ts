/**
 * The upstream of `bench/bodies.ts`, a process of its own: `node bench/bodies-upstream.ts PORT`. `/1k` is a kilobyte of
 * JSON, `/1m` a megabyte, `/stream?mb=N` so many megabytes of lines as they are taken; what is sent to it is swallowed.
 */
import { createServer, type ServerResponse } from 'node:http';

const text = (bytes: number): Buffer => {
  const items: object[] = [];
  for (let size = 0; size < bytes; size += 70)
    items.push({ id: items.length, name: `item ${(items.length * 7919) % 9973}`, price: items.length / 8, open: true });
  return Buffer.from(JSON.stringify({ items }));
};
const small = text(900);
const large = text(1024 ** 2);
const line = `${JSON.stringify({ id: 12345, name: 'a line of the stream', at: '2026-01-01T00:00:00Z', values: [1, 2, 3] })}\n`;
const lines = Buffer.from(line.repeat(Math.ceil(65_536 / line.length)));

const server = createServer((request, response) => {
  const url = new URL(request.url ?? '/', 'http://upstream');
  request.resume();
  request.on('end', () => {
    if (url.pathname.endsWith('/stream')) return void stream(response, Number(url.searchParams.get('mb')) * 1024 ** 2);
    const body = url.pathname.endsWith('/1m') ? large : small;
    response.writeHead(200, { 'Content-Type': 'application/json', 'Content-Length': body.length }).end(body);
  });
  request.on('error', () => {});
});
server.keepAliveTimeout = 60_000;
server.listen(Number(process.argv[2]), '127.0.0.1');

function stream(response: ServerResponse, bytes: number): void {
  response.writeHead(200, { 'Content-Type': 'application/x-ndjson' });
  let sent = 0;
  const more = (): void => {
    while (sent < bytes) {
      sent += lines.length;
      if (!response.write(lines)) {
        response.once('drain', more);
        return;
      }
    }
    response.end();
  };
  response.on('error', () => {});
  more();
}
