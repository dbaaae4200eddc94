/**
 * Runs one burst of load against a port and reports what came back. Two generators give the same result: wrk, where it
 * is installed, because it costs the shared core least, and `bench/load.ts` otherwise. WebSocket load is always ours.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { capture } from './processes.ts';
import { findProgram } from './programs.ts';

export type Generator = 'wrk' | 'bundled';

export interface LoadPlan {
  readonly port: number;
  readonly tls: boolean;
  readonly path: string;
  /** Bytes to POST; 0 sends a GET. */
  readonly uploadBytes: number;
  /** Status and body length every answer must have. */
  readonly expectBytes: number;
  /** A file of bearer tokens, one a line, sent in rotation. */
  readonly tokensFile?: string;
  readonly connections: number;
  readonly seconds: number;
  /** A connection for each request, which asks for its end. Default: connections are kept. */
  readonly closes?: boolean;
}

export interface LoadResult {
  /** Complete answers. For WebSocket: round trips. */
  readonly requests: number;
  /** Broken connections, and answers with another status or length. */
  readonly errors: number;
  readonly seconds: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/** wrk knows whole seconds only, so shorter bursts (the smoke run) use the bundled one. */
export function chooseGenerator(seconds: number): Generator {
  return findProgram('wrk') !== undefined && Number.isInteger(seconds) ? 'wrk' : 'bundled';
}

/** `folder` is for the script that wrk wants. */
export function runLoad(generator: Generator, plan: LoadPlan, folder: string): Promise<LoadResult> {
  return generator === 'wrk' ? runWrk(plan, folder) : runOwn('../load.ts', plan);
}

export function runWebSocketLoad(plan: LoadPlan): Promise<LoadResult> {
  return runOwn('../load-websocket.ts', plan);
}

async function runOwn(script: string, plan: LoadPlan): Promise<LoadResult> {
  const file = fileURLToPath(new URL(script, import.meta.url));
  const out = await capture('load', process.execPath, [file, JSON.stringify(plan)], deadlineMs(plan));
  return JSON.parse(out) as LoadResult;
}

function deadlineMs(plan: LoadPlan): number {
  return plan.seconds * 1000 + 15_000;
}

async function runWrk(plan: LoadPlan, folder: string): Promise<LoadResult> {
  const script = join(folder, `wrk-${plan.path.replaceAll(/\W/g, '-')}${plan.closes === true ? '-closes' : ''}.lua`);
  writeFileSync(script, wrkScript(plan));
  const url = `${plan.tls ? 'https' : 'http'}://127.0.0.1:${plan.port}${plan.path}`;
  const args = ['-t1', `-c${plan.connections}`, `-d${plan.seconds}s`, '--timeout', '10s', '-s', script, url];
  const out = await capture('load', 'wrk', args, deadlineMs(plan));
  const line = out.split('\n').find((text) => text.startsWith('result '));
  if (line === undefined) throw new Error('wrk printed no result');
  const [requests, bytes, us, broken, p50, p99] = line.split(' ').slice(1).map(Number) as [
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  // wrk counts bytes with heads and only whole answers as requests, so a short body shows as too few bytes.
  const short = bytes < requests * plan.expectBytes ? requests : 0;
  return { requests, errors: broken + short, seconds: us / 1e6, p50Ms: p50 / 1e3, p99Ms: p99 / 1e3 };
}

/** Requests are made once, so that the script costs next to nothing per request. */
function wrkScript(plan: LoadPlan): string {
  const rotation = `
local requests, at = {}, 0
function init(args)
  for line in io.lines(${JSON.stringify(plan.tokensFile ?? '')}) do
    requests[#requests + 1] = wrk.format(nil, nil, { ["Authorization"] = "Bearer " .. line })
  end
end
function request()
  at = at % #requests + 1
  return requests[at]
end`;
  return `
wrk.method = ${plan.uploadBytes > 0 ? '"POST"' : '"GET"'}
${plan.uploadBytes > 0 ? `wrk.body = string.rep("x", ${plan.uploadBytes})` : ''}
${plan.closes === true ? 'wrk.headers["Connection"] = "close"' : ''}
${plan.tokensFile === undefined ? '' : rotation}
function done(summary, latency)
  local e = summary.errors
  io.write(string.format("result %d %d %d %d %d %d\\n", summary.requests, summary.bytes, summary.duration,
    e.connect + e.read + e.write + e.status + e.timeout, latency:percentile(50), latency:percentile(99)))
end
`;
}
