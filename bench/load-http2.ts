/**
 * The bundled HTTP/2 load, a process of its own: `node bench/load-http2.ts PLAN` with an Http2Plan as JSON; prints a
 * LoadResult. Every answer's status and length is checked. It stands in for h2load, and costs the shared core several
 * times as much.
 */
import { readFileSync } from 'node:fs';
import { type ClientHttp2Session, connect } from 'node:http2';
import { type Burst, endInTime } from './lib/burst.ts';
import { Latencies } from './lib/latency.ts';
import type { Http2Plan } from './lib/load-http2.ts';

const plan = JSON.parse(process.argv[2] ?? '') as Http2Plan;
const body = plan.bodyFile === undefined ? undefined : readFileSync(plan.bodyFile);
const latencies = new Latencies();
const burst: Burst = { stopped: false, completed: 0, errors: 0 };

function run(): void {
  const session = connect(`${plan.tls ? 'https' : 'http'}://127.0.0.1:${plan.port}`, { rejectUnauthorized: false });
  session.once('connect', () => {
    for (let i = 0; i < plan.streams; i++) ask(session);
  });
  session.on('error', () => {});
  session.once('close', () => {
    if (burst.stopped) return;
    burst.errors++;
    setImmediate(run);
  });
}

/** One stream after the other. */
function ask(session: ClientHttp2Session): void {
  if (burst.stopped || session.destroyed || session.closed) return;
  const sentAt = performance.now();
  const method = body === undefined ? 'GET' : 'POST';
  const head = { ':method': method, ':path': plan.path, ...plan.headers };
  const stream = session.request(head, { endStream: body === undefined });
  let status = 0;
  let bytes = 0;
  stream.on('response', (fields) => {
    status = fields[':status'] ?? 0;
  });
  stream.on('data', (part: Buffer) => {
    bytes += part.length;
  });
  stream.on('error', () => {});
  stream.once('close', () => {
    if (burst.stopped) return;
    latencies.add(performance.now() - sentAt);
    if (status === 200 && bytes === plan.expectBytes) burst.completed++;
    else burst.errors++;
    ask(session);
  });
  if (body !== undefined) stream.end(body);
}

for (let i = 0; i < plan.connections; i++) run();
endInTime(plan, burst, latencies);
