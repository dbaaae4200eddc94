/** Stands for a service of which some instances have a graphics card: says which instance it is and what it has. */
import { createServer } from 'node:http';

const name = process.env['INSTANCE'] ?? 'renderer';
const has = process.env['HAS'] ?? '';

const server = createServer((request, response) => {
  response.writeHead(200, { 'Content-Type': 'application/json', 'Served-By': name });
  response.end(`${JSON.stringify({ instance: name, has, path: request.url })}\n`);
});

server.listen(Number(process.env['PORT']), '127.0.0.1');
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    server.close();
    server.closeIdleConnections();
  });
}
