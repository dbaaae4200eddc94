/**
 * Stands behind the Enhanced example while its gateway is measured: 1 KB of JSON to whatever is asked, so that what is
 * timed is the gateway. nginx where it is installed, being cheaper on the shared core; else this file, `node
 * bench/enhanced-upstream.ts PORT`.
 */
import { createServer } from 'node:net';
import { fileURLToPath } from 'node:url';
import { downloads } from './lib/bodies.ts';
import { MessageReader } from './lib/wire.ts';
import { launchNginx, nginxMissing } from './peers/nginx-config.ts';
import type { Launch } from './peers/peer.ts';

/** An address for each instance of a service, since a service has no instance twice. */
export const addresses = ['127.0.0.1', '127.0.0.2', '127.0.0.3'] as const;

export const answerBody = downloads[0]!.bytes;

export function enhancedUpstream(folder: string, port: number): Launch & { readonly name: string } {
  if (nginxMissing() !== undefined) {
    return { name: 'node:net', command: process.execPath, args: [fileURLToPath(import.meta.url), String(port)] };
  }
  const http = `
  access_log off;
  server {
    ${addresses.map((address) => `listen ${address}:${port} backlog=4096;`).join(' ')}
    location / { default_type application/json; return 200 '${answerBody.toString()}'; }
  }`;
  return { name: 'nginx', ...launchNginx({ folder, connections: 1024, http }) };
}

if (import.meta.main) {
  const head = `HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: ${answerBody.length}\r\n\r\n`;
  const answer = Buffer.concat([Buffer.from(head), answerBody]);
  for (const host of addresses) {
    const server = createServer({ noDelay: true }, (socket) => {
      const reader = new MessageReader({ head: () => {}, body: () => {}, end: () => void socket.write(answer) });
      socket.on('data', (bytes: Buffer) => reader.feed(bytes));
      socket.on('error', () => socket.destroy());
    });
    server.listen({ port: Number(process.argv[2]), host, backlog: 4096 });
  }
}
