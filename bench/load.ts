/**
 * The bundled load generator, a process of its own: `node bench/load.ts PLAN` with a LoadPlan as JSON; prints a
 * LoadResult. Keep-alive connections with one request in flight each, or one for each request, on raw sockets, every
 * answer's status and length checked. It stands in for wrk, and costs the shared core about twice as much.
 */
import { readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { type Burst, endInTime } from './lib/burst.ts';
import { Latencies } from './lib/latency.ts';
import type { LoadPlan } from './lib/load.ts';
import { MessageReader } from './lib/wire.ts';

const plan = JSON.parse(process.argv[2] ?? '') as LoadPlan;
const requests = buildRequests();
const latencies = new Latencies();
let nextRequest = 0;
const burst: Burst = { stopped: false, completed: 0, errors: 0 };

function buildRequests(): Buffer[] {
  const method = plan.uploadBytes > 0 ? 'POST' : 'GET';
  const length = plan.uploadBytes > 0 ? `Content-Length: ${plan.uploadBytes}\r\n` : '';
  const close = plan.closes === true ? 'Connection: close\r\n' : '';
  const start = `${method} ${plan.path} HTTP/1.1\r\nHost: 127.0.0.1:${plan.port}\r\n${length}${close}`;
  const body = Buffer.alloc(plan.uploadBytes, 'x');
  const tokens = plan.tokensFile === undefined ? [] : readFileSync(plan.tokensFile, 'utf8').trim().split('\n');
  const heads =
    tokens.length === 0 ? [`${start}\r\n`] : tokens.map((t) => `${start}Authorization: Bearer ${t}\r\n\r\n`);
  return heads.map((head) => Buffer.concat([Buffer.from(head, 'latin1'), body]));
}

/**
 * One connection: send, await the whole answer, send again, on another one where each request has its own. A broken one
 * counts and is opened anew.
 */
function run(): void {
  let sentAt = performance.now();
  let isFirst = true;
  let isOver = false;
  let good = false;
  let bytes = 0;
  const socket = open();
  const send = () => {
    // Where each request has a connection of its own, opening it is a part of the request.
    if (!isFirst || plan.closes !== true) sentAt = performance.now();
    isFirst = false;
    socket.write(requests[nextRequest++ % requests.length] as Buffer);
  };
  const reader = new MessageReader({
    head: (head) => {
      good = head.startsWith('200', 9);
      bytes = 0;
    },
    body: (chunk) => {
      bytes += chunk.length;
    },
    end: () => {
      if (burst.stopped) return;
      latencies.add(performance.now() - sentAt);
      if (good && bytes === plan.expectBytes) burst.completed++;
      else burst.errors++;
      if (plan.closes === true) isOver = true;
      else send();
    },
  });
  socket.on('data', (chunk: Buffer) => reader.feed(chunk));
  socket.once(plan.tls ? 'secureConnect' : 'connect', send);
  socket.once('error', () => socket.destroy());
  socket.once('close', () => {
    if (burst.stopped) return;
    if (!isOver) burst.errors++;
    setImmediate(run);
  });
}

function open(): Socket {
  const target = { port: plan.port, host: '127.0.0.1', noDelay: true };
  // The certificate is made for the run and signed by itself; who it names is not what is measured.
  return plan.tls ? connectTls({ ...target, rejectUnauthorized: false, ALPNProtocols: ['http/1.1'] }) : connect(target);
}

for (let i = 0; i < plan.connections; i++) run();
endInTime(plan, burst, latencies);
