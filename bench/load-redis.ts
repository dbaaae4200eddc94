/**
 * The bare round trip to Redis at a fixed rate, a process of its own: `node bench/load-redis.ts PLAN` with port,
 * perSecond and seconds as JSON; prints a LoadResult. PING over one connection, each written by itself, timed from when
 * it was due, just as load-paced.ts does it with requests.
 */
import { connect } from 'node:net';
import { Latencies } from './lib/latency.ts';
import type { LoadResult } from './lib/load.ts';
import { paced } from './lib/pace.ts';

export interface RedisPlan {
  readonly port: number;
  readonly perSecond: number;
  readonly seconds: number;
}

const PING = '*1\r\n$4\r\nPING\r\n';
const PONG = '+PONG\r\n'.length;

if (import.meta.main) run(JSON.parse(process.argv[2] ?? '') as RedisPlan);

function run(plan: RedisPlan): void {
  const latencies = new Latencies();
  const due: number[] = [];
  let first = 0;
  let bytes = 0;
  let sent = 0;
  const socket = connect({ port: plan.port, host: '127.0.0.1', noDelay: true });
  socket.on('data', (chunk: Buffer) => {
    const now = performance.now();
    for (bytes += chunk.length; bytes >= PONG; bytes -= PONG) latencies.add(now - (due[first++] as number));
  });
  socket.once('connect', () => paced(plan, send, finish));

  function send(dueAt: number): void {
    sent++;
    due.push(dueAt);
    socket.write(PING);
  }

  function finish(seconds: number): void {
    const result: LoadResult = {
      requests: first,
      errors: sent - first,
      seconds,
      p50Ms: latencies.quantileMs(0.5),
      p99Ms: latencies.quantileMs(0.99),
    };
    process.stdout.write(JSON.stringify(result), () => process.exit(0));
  }
}
