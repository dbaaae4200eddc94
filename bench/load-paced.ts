/**
 * Load at a fixed rate, a process of its own: `node bench/load-paced.ts PLAN` with a LoadPlan and `perSecond` as JSON;
 * prints a LoadResult. Requests are sent when they are due, whether or not earlier ones were answered, and their time
 * counts from when they were due: a slow answer cannot hide by delaying the next request.
 */
import { readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { Latencies } from './lib/latency.ts';
import type { LoadPlan, LoadResult } from './lib/load.ts';
import { paced } from './lib/pace.ts';
import { MessageReader } from './lib/wire.ts';

export interface PacedPlan extends LoadPlan {
  readonly perSecond: number;
}

interface Line {
  readonly socket: Socket;
  /** When each unanswered request was due, oldest first. */
  readonly due: number[];
}

if (import.meta.main) run(JSON.parse(process.argv[2] ?? '') as PacedPlan);

function run(plan: PacedPlan): void {
  const tokens = plan.tokensFile === undefined ? [] : readFileSync(plan.tokensFile, 'utf8').trim().split('\n');
  const latencies = new Latencies();
  let sumMs = 0;
  let answered = 0;
  let sent = 0;
  const lines = Array.from({ length: plan.connections }, () => open());
  let ready = 0;

  function open(): Line {
    let good = false;
    let bytes = 0;
    const due: number[] = [];
    const socket = connect({ port: plan.port, host: '127.0.0.1', noDelay: true });
    const reader = new MessageReader({
      head: (head) => {
        good = head.startsWith('200', 9);
        bytes = 0;
      },
      body: (chunk) => {
        bytes += chunk.length;
      },
      end: () => {
        const ms = performance.now() - (due.shift() ?? 0);
        latencies.add(ms);
        sumMs += ms;
        if (good && bytes === plan.expectBytes) answered++;
      },
    });
    socket.on('data', (chunk: Buffer) => reader.feed(chunk));
    socket.once('connect', () => {
      if (++ready === plan.connections) paced(plan, send, finish);
    });
    socket.once('error', () => socket.destroy());
    // What was sent on it stays unanswered; before the start there is nothing to measure with.
    socket.once('close', () => {
      if (ready < plan.connections) throw new Error(`only ${ready} of ${plan.connections} connections were accepted`);
    });
    return { socket, due };
  }

  function send(dueAt: number): void {
    const line = lines[sent % lines.length]!;
    const token = tokens.length === 0 ? '' : `Authorization: Bearer ${tokens[sent % tokens.length]}\r\n`;
    sent++;
    line.due.push(dueAt);
    line.socket.write(`GET ${plan.path} HTTP/1.1\r\nHost: 127.0.0.1:${plan.port}\r\n${token}\r\n`);
  }

  function finish(seconds: number): void {
    const result: LoadResult & { averageMs: number } = {
      requests: answered,
      // Answered wrongly, or not at all.
      errors: sent - answered,
      seconds,
      averageMs: sumMs / Math.max(1, answered),
      p50Ms: latencies.quantileMs(0.5),
      p99Ms: latencies.quantileMs(0.99),
    };
    process.stdout.write(JSON.stringify(result), () => process.exit(0));
  }
}
