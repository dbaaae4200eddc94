/**
 * One burst of HTTP/2 load: by h2load (Debian's nghttp2-client) where it is installed, by `bench/load-http2.ts`
 * otherwise.
 */
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { LoadResult } from './load.ts';
import { capture } from './processes.ts';
import { findProgram } from './programs.ts';
import { quantile } from './statistics.ts';

export type Http2Generator = 'h2load' | 'bundled';

export interface Http2Plan {
  readonly port: number;
  readonly tls: boolean;
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** What is sent by POST; undefined sends a GET. */
  readonly bodyFile?: string;
  /** Status 200 and body length every answer must have. */
  readonly expectBytes: number;
  readonly connections: number;
  /** Requests in flight on each connection. */
  readonly streams: number;
  readonly seconds: number;
}

/** h2load knows whole seconds only. */
export function chooseHttp2Generator(seconds: number): Http2Generator {
  return findProgram('h2load') !== undefined && Number.isInteger(seconds) ? 'h2load' : 'bundled';
}

/** `folder` is for what h2load writes. */
export async function runHttp2Load(generator: Http2Generator, plan: Http2Plan, folder: string): Promise<LoadResult> {
  const deadlineMs = plan.seconds * 1000 + 15_000;
  if (generator === 'h2load') return runH2load(plan, folder, deadlineMs);
  const file = fileURLToPath(new URL('../load-http2.ts', import.meta.url));
  return JSON.parse(await capture('load', process.execPath, [file, JSON.stringify(plan)], deadlineMs)) as LoadResult;
}

async function runH2load(plan: Http2Plan, folder: string, deadlineMs: number): Promise<LoadResult> {
  const log = join(folder, 'h2load.log');
  rmSync(log, { force: true });
  const { connections, streams, seconds, headers = {}, bodyFile } = plan;
  // biome-ignore format: one option and its value per line reads best
  const args = [
    '-t1', `-c${connections}`, `-m${streams}`, `-D${seconds}`, `--log-file=${log}`,
    ...Object.entries(headers).map(([name, value]) => `--header=${name}: ${value}`),
    ...(bodyFile === undefined ? [] : [`--data=${bodyFile}`]),
    `${plan.tls ? 'https' : 'http'}://127.0.0.1:${plan.port}${plan.path}`,
  ];
  const out = await capture('load', 'h2load', args, deadlineMs);
  return readH2load(out, readFileSync(log, 'utf8'), plan);
}

/** What h2load printed, and its record of each request: start, status, microseconds. */
export function readH2load(out: string, log: string, plan: Http2Plan): LoadResult {
  const number = (pattern: RegExp): number => Number(pattern.exec(out)?.[1] ?? Number.NaN);
  // Statuses are counted as heads come, also those of requests that the end cuts off.
  const done = number(/^requests: .*?(\d+) succeeded/m);
  const bad = number(/^status codes: .*?(\d+) 3xx/m) + number(/(\d+) 4xx/) + number(/(\d+) 5xx/);
  const good = Math.max(0, done - bad);
  const broken = number(/(\d+) failed/) + number(/(\d+) timeout/);
  const bytes = number(/\((\d+)\) data$/m);
  if (!Number.isFinite(good + broken + bytes)) throw new Error(`h2load printed something else: ${out.slice(-300)}`);
  const ms = log
    .trimEnd()
    .split('\n')
    .map((line) => Number(line.split('\t')[2]) / 1e3);
  // It counts bytes and not those of each answer, so a short body shows as too few of them.
  const short = bytes < good * plan.expectBytes ? good : 0;
  return {
    requests: good,
    errors: bad + broken + short,
    seconds: plan.seconds,
    p50Ms: quantile(ms, 0.5),
    p99Ms: quantile(ms, 0.99),
  };
}
