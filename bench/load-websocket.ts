/**
 * WebSocket echo load, a process of its own: `node bench/load-websocket.ts PLAN` (a LoadPlan as JSON; `expectBytes`
 * is the size of a message). Each connection opens with a handshake whose accept key is checked, then sends one masked
 * frame at a time and compares the echo byte for byte. Prints a LoadResult; a request is one round trip.
 */
import { randomBytes } from 'node:crypto';
import { connect } from 'node:net';
import { type Burst, endInTime } from './lib/burst.ts';
import { Latencies } from './lib/latency.ts';
import type { LoadPlan } from './lib/load.ts';
import { acceptKey, FrameReader, frame } from './lib/websocket.ts';
import { field } from './lib/wire.ts';

const plan = JSON.parse(process.argv[2] ?? '') as LoadPlan;
const payload = randomBytes(plan.expectBytes);
const message = frame(payload, randomBytes(4));
const latencies = new Latencies();
const burst: Burst = { stopped: false, completed: 0, errors: 0 };

function run(): void {
  const key = randomBytes(16).toString('base64');
  const socket = connect({ port: plan.port, host: '127.0.0.1', noDelay: true });
  let head: Buffer | undefined = Buffer.alloc(0);
  let sentAt = 0;
  const send = () => {
    sentAt = performance.now();
    socket.write(message);
  };
  const frames = new FrameReader((echo) => {
    if (burst.stopped) return;
    latencies.add(performance.now() - sentAt);
    if (echo.equals(payload)) burst.completed++;
    else burst.errors++;
    send();
  });
  /** Collects the handshake; returns what follows it. */
  const handshake = (bytes: Buffer): Buffer | undefined => {
    head = Buffer.concat([head as Buffer, bytes]);
    const end = head.indexOf('\r\n\r\n');
    if (end < 0) return undefined;
    const text = head.latin1Slice(0, end);
    const rest = head.subarray(end + 4);
    head = undefined;
    if (!text.startsWith('HTTP/1.1 101') || field(text, 'sec-websocket-accept') !== acceptKey(key)) socket.destroy();
    else send();
    return rest;
  };
  socket.once('connect', () => {
    const target = `GET ${plan.path} HTTP/1.1\r\nHost: 127.0.0.1:${plan.port}\r\n`;
    const upgrade = 'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n';
    socket.write(`${target}${upgrade}Sec-WebSocket-Key: ${key}\r\n\r\n`);
  });
  socket.on('data', (bytes: Buffer) => {
    const rest = head === undefined ? bytes : handshake(bytes);
    if (rest !== undefined && rest.length > 0) frames.feed(rest);
  });
  socket.once('error', () => socket.destroy());
  socket.once('close', () => {
    if (!burst.stopped) burst.errors++;
  });
}

for (let i = 0; i < plan.connections; i++) run();
endInTime(plan, burst, latencies);
