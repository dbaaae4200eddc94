/** The service behind the gateway: the page's files, notes of each account, and a WebSocket that tells of new ones. */
import { readFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { fileURLToPath } from 'node:url';
import { WebSocketServer } from 'ws';

const FILES: Readonly<Record<string, string>> = { '/': 'text/html', '/app.js': 'text/javascript' };
const notes: { readonly by: string; readonly text: string }[] = [];
const sockets = new WebSocketServer({ noServer: true, maxPayload: 1024 });

const server = createServer((request, response) => {
  void answer(request, response).catch(() => response.destroy());
});

server.on('upgrade', (request, socket, head) => {
  // The gateway lets only signed-in people from its own pages through, and says who it is.
  sockets.handleUpgrade(request, socket, head, (webSocket) => {
    webSocket.on('error', () => {});
    webSocket.send(JSON.stringify({ hello: request.headers['x-auth-subject'] }));
  });
});

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { pathname } = new URL(request.url ?? '/', 'http://app');
  const type = FILES[pathname];
  if (request.method === 'GET' && type !== undefined) {
    const name = pathname === '/' ? 'index.html' : pathname.slice(1);
    const file = await readFile(fileURLToPath(new URL(`../page/${name}`, import.meta.url)));
    response.writeHead(200, { 'content-type': `${type}; charset=utf-8` }).end(file);
  } else if (pathname === '/api/notes' && request.method === 'GET') {
    json(response, 200, notes);
  } else if (pathname === '/api/notes' && request.method === 'POST') {
    const note = {
      by: String(request.headers['x-auth-subject'] ?? ''),
      text: String((await body(request)).text ?? ''),
    };
    notes.push(note);
    for (const socket of sockets.clients) socket.send(JSON.stringify({ note }));
    json(response, 201, note);
  } else {
    json(response, 404, { problem: 'there is nothing at this path' });
  }
}

async function body(request: IncomingMessage): Promise<{ text?: unknown }> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return JSON.parse(Buffer.concat(chunks).toString()) as { text?: unknown };
}

function json(response: ServerResponse, status: number, value: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value));
}

server.listen(Number(process.env['PORT'] ?? 4001), '127.0.0.1');
process.on('SIGTERM', () => {
  for (const socket of sockets.clients) socket.terminate();
  server.close();
  server.closeAllConnections();
});
