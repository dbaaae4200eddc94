/**
 * The program of one upstream instance, in a process of its own: answers each request with its own name and what the
 * request said, and misbehaves on demand. Each request goes into a journal as its head arrives, before anything else is
 * done, so that what was asked of it is known also after a SIGKILL. Started and commanded by fleet.ts.
 *
 *   arguments: name, host, port (0: any), journal file
 */
import { appendFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { register } from '../../src/registry/index.ts';
import type { FromInstance, Mood, ToInstance } from './fleet.ts';

const [name = '', host = '127.0.0.1', port = '0', journal = ''] = process.argv.slice(2);
let mood: Mood = { kind: 'well' };

const server = createServer((request, response) => {
  // What goes wrong goes wrong with the work only: probes must not be what saves the day.
  if (request.url === '/health') {
    response.end('well');
    return;
  }
  appendFileSync(journal, `${name} ${request.method} ${request.url}\n`);
  const { kind } = mood;
  if (kind === 'resets') request.socket.resetAndDestroy();
  else if (kind === 'garbage') request.socket.write('\x00\x01\x02 what is this\r\n\r\n');
  else void answer(request, response, mood);
});

async function answer(request: IncomingMessage, response: ServerResponse, now: Mood): Promise<void> {
  let body = '';
  for await (const part of request) body += String(part);
  const text = `${name} ${request.method} ${request.url} ${body}`;
  if (now.kind === 'errors') response.statusCode = 500;
  if (now.kind === 'busy') response.setHeader('X-Ahead', await turn(now));
  if (now.kind === 'slow') await pause(now.ms);
  response.end(text);
}

function pause(ms: number): Promise<unknown> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** The end of what each place has been given so far. */
const places: Promise<unknown>[] = [];
let turns = 0;
let inHand = 0;

/** Resolves when the request is done, with how many were in hand when it came. */
async function turn(now: { readonly ms: number; readonly places: number }): Promise<number> {
  const ahead = inHand++;
  const place = turns++ % now.places;
  const done = (places[place] ?? Promise.resolve()).then(() => pause(now.ms));
  places[place] = done;
  await done;
  inHand--;
  return ahead;
}

process.on('message', (message: ToInstance) => {
  if (message.kind === 'mood') {
    mood = message.mood;
    tell({ kind: 'mood', number: message.number });
  } else {
    const { gateway, token, service, lease } = message;
    void register({ gateway, token, service, lease, url: ownUrl() }).then(() => tell({ kind: 'registered' }));
  }
});
// Whoever started it is gone.
process.on('disconnect', () => process.exit());

function tell(message: FromInstance): void {
  process.send?.(message);
}

function ownUrl(): string {
  return `http://${host}:${(server.address() as AddressInfo).port}`;
}

server.keepAliveTimeout = 60_000;
server.listen(Number(port), host, () => tell({ kind: 'listening', port: (server.address() as AddressInfo).port }));
