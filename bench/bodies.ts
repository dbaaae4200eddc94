/**
 * What bodies and responses of one's own cost: `npm run bench:bodies [-- --part cpu|gzip|stream|openapi --seconds N
 * --rounds N --megabytes N]`. Linux; everything on loopback.
 *
 *   cpu      CPU per request of a handler beside a fixed response, of three header policies beside none, and of an
 *            aggregation of three parts beside three plain requests
 *   gzip     how long others wait while megabytes are packed, beside the same megabytes as they are
 *   stream   memory while a gigabyte passes each kind of filter, both ways
 *   openapi  how long a document of a megabyte with circular references takes to load
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { RequestCheck } from '../src/data/content/request-check.ts';
import { compileDocument, openapiOptions } from '../src/data/policies/openapi.options.ts';
import { readArguments } from './lib/arguments.ts';
import type { LoadPlan, LoadResult } from './lib/load.ts';
import { describeMachine } from './lib/machine.ts';
import { largeDocument } from './lib/openapi-document.ts';
import { freePort } from './lib/ports.ts';
import { capture, type Running, start } from './lib/processes.ts';
import { cpuNanoseconds, residentBytes } from './lib/procfs.ts';
import { median } from './lib/statistics.ts';
import { figure, markdownTable } from './lib/table.ts';
import type { PacedPlan } from './load-paced.ts';

const root = fileURLToPath(new URL('../', import.meta.url));
const values = readArguments(import.meta.filename, {
  part: { type: 'string', choices: ['cpu', 'gzip', 'stream', 'openapi'] },
  seconds: { type: 'string', default: '1' },
  rounds: { type: 'string', default: '7' },
  megabytes: { type: 'string', default: '1024' },
});
const seconds = Number(values.seconds);
const rounds = Number(values.rounds);
const megabytes = Number(values.megabytes);
const MB = 1024 ** 2;

const folder = mkdtempSync(join(tmpdir(), 'gatehouse-bodies-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true, maxRetries: 3 }));
const running: Running[] = [];
let started: Promise<Gateway> | undefined;

const PARTS: Readonly<Record<string, () => Promise<void>>> = { cpu, gzip, stream, openapi };

// --- the gateway -------------------------------------------------------------------------------------------------

interface Gateway {
  readonly port: number;
  readonly process: Running;
}

function gateway(): Promise<Gateway> {
  started ??= startGateway();
  return started;
}

async function startGateway(): Promise<Gateway> {
  const upstreamPort = await freePort();
  const args = [join(root, 'bench/bodies-upstream.ts'), String(upstreamPort)];
  running.push(await start({ role: 'load', command: process.execPath, args, folder, readyPort: upstreamPort }));
  const file = (name: string, text: string): string => {
    const path = join(folder, name);
    writeFileSync(path, text);
    return path;
  };
  const body = 'x'.repeat(1_000);
  const handler = file(
    'handler.ts',
    `import { defineHandler } from 'gatehouse/policy';\nconst body = '${body}';\nexport default defineHandler(() => new Response(body));\n`,
  );
  const pieces = file(
    'pieces.ts',
    `import { bodyStream, definePolicy } from 'gatehouse/policy';
const pass = () => bodyStream(async function* (pieces) { for await (const piece of pieces) yield piece; });
export default definePolicy({ name: 'pieces', create: () => ({ requestBody: pass(), responseBody: pass() }) });\n`,
  );
  const port = await freePort();
  const route = (path: string, more: object) => ({ match: { path }, service: 'upstream', auth: 'public', ...more });
  const document = {
    gateway: { host: '127.0.0.1', port, workers: 1, dataDir: folder, accessLog: 'off', maxRequestSize: '64gb' },
    services: { upstream: { instances: [`http://127.0.0.1:${upstreamPort}`], timeouts: { total: '1h' } } },
    routes: [
      { match: { path: '/fixed' }, auth: 'public', respond: { status: 200, body } },
      { match: { path: '/handler' }, auth: 'public', handler },
      {
        match: { path: '/three' },
        auth: 'public',
        aggregate: {
          parts: Object.fromEntries(['a', 'b', 'c'].map((name) => [name, { service: 'upstream', path: '/1k' }])),
        },
      },
      route('/fields/*', {
        cors: { origins: ['https://app.example'] },
        securityHeaders: {},
        headers: { request: { set: { 'X-A': 'a' } }, response: { set: { 'X-B': 'b' }, remove: ['Server'] } },
      }),
      route('/packed/*', { compression: {} }),
      route('/pieces/*', { use: pieces }),
      route('/lines/*', { transform: { response: { omit: ['/values'] } } }),
      route('/upload/*', { validate: { multipart: { parts: { f: { file: true } } } } }),
      route('/*', {}),
    ],
  };
  const args2 = [join(root, 'bin/gatehouse.js'), 'start', file('gatehouse.json', JSON.stringify(document))];
  const process_ = await start({ role: 'proxy', command: process.execPath, args: args2, folder, readyPort: port });
  running.push(process_);
  // The thread pool may use both cores, as it would anywhere.
  spawnSync('taskset', ['-apc', '0,1', String(process_.pid)]);
  return { port, process: process_ };
}

function planOf(port: number, path: string, expectBytes: number, connections = 16): LoadPlan {
  return { port, tls: false, path, uploadBytes: 0, expectBytes, connections, seconds };
}

async function load(script: string, plan: LoadPlan): Promise<LoadResult> {
  const text = await capture('load', process.execPath, [join(root, script), JSON.stringify(plan)], 60_000);
  return JSON.parse(text) as LoadResult;
}

async function lengthOf(port: number, path: string): Promise<number> {
  const response = await fetch(`http://127.0.0.1:${port}${path}`);
  if (!response.ok) throw new Error(`${path} is ${response.status}`);
  return (await response.arrayBuffer()).byteLength;
}

// --- CPU ---------------------------------------------------------------------------------------------------------

async function cpu(): Promise<void> {
  const { port, process: proxy } = await gateway();
  const paths = ['/fixed', '/handler', '/1k', '/fields/1k', '/three'];
  const results = new Map<string, number[]>(paths.map((path) => [path, []]));
  const lengths = new Map<string, number>();
  for (const path of paths) lengths.set(path, await lengthOf(port, path));
  for (let round = -1; round < rounds; round++) {
    for (const path of round % 2 === 0 ? paths : paths.toReversed()) {
      const before = cpuNanoseconds(proxy.pids());
      const { requests, errors } = await load('bench/load.ts', planOf(port, path, lengths.get(path)!));
      const us = (cpuNanoseconds(proxy.pids()) - before) / 1e3 / Math.max(1, requests);
      if (errors > 0) throw new Error(`${path}: ${errors} wrong responses`);
      // The first round warms up.
      if (round >= 0) results.get(path)!.push(us);
    }
  }
  const of = (path: string): number => median(results.get(path)!);
  const between = (one: string, other: string, make: (a: number, b: number) => number): number =>
    median(results.get(one)!.map((us, i) => make(us, results.get(other)![i]!)));
  const minus = (a: number, b: number): number => a - b;
  console.log(`\nCPU of the gateway, ${rounds} rounds of ${seconds} s, medians`);
  console.log(
    markdownTable(
      ['what', 'us', 'at most'],
      [
        ['a fixed response of 1 KB', figure(of('/fixed')), ''],
        ['the same from a handler', figure(of('/handler')), ''],
        ['the handler itself', figure(between('/handler', '/fixed', minus)), '20'],
        ['1 KB of a service', figure(of('/1k')), ''],
        ['with CORS, security headers, header changes', figure(of('/fields/1k')), ''],
        ['these three policies', figure(between('/fields/1k', '/1k', minus)), '1'],
        ['an aggregation of three parts of 1 KB', figure(of('/three')), ''],
        ['beside three plain requests, times', figure(between('/three', '/1k', (a, b) => a / (3 * b))), '2.2'],
      ],
    ),
  );
}

// --- others, while megabytes are packed ----------------------------------------------------------------------------

async function gzip(): Promise<void> {
  const { port } = await gateway();
  const length = await lengthOf(port, '/1k');
  const rows: string[][] = [];
  for (const [what, path] of [
    ['nothing else', null],
    ['1 MB bodies as they are', '/1m'],
    ['1 MB bodies packed (gzip)', '/packed/1m'],
  ] as const) {
    const p50: number[] = [];
    const p99: number[] = [];
    let bodies = 0;
    for (let round = 0; round < rounds; round++) {
      const pull = path === null ? null : new Pull(port, path, 4);
      const plan: PacedPlan = { ...planOf(port, '/1k', length, 8), perSecond: 200 };
      const result = await load('bench/load-paced.ts', plan);
      bodies += (await pull?.stop()) ?? 0;
      p50.push(result.p50Ms);
      p99.push(result.p99Ms);
    }
    rows.push([what, figure(bodies / rounds / (seconds + 0.5)), figure(median(p50)), figure(median(p99))]);
  }
  console.log(`\n200 requests/s for 1 KB, while 4 callers fetch; ${rounds} rounds of ${seconds} s, medians`);
  console.log(markdownTable(['beside', 'bodies/s', 'p50 ms', 'p99 ms'], rows));
}

/** Callers that fetch a body again and again. */
class Pull {
  readonly #stop = new AbortController();
  readonly #all: Promise<void>[];
  #bodies = 0;

  constructor(port: number, path: string, callers: number) {
    this.#all = Array.from({ length: callers }, async () => {
      while (!this.#stop.signal.aborted) {
        await new Promise<void>((resolve, reject) => {
          const sent = httpRequest({ port, path, headers: { 'Accept-Encoding': 'gzip' } }, (response) => {
            response.resume().on('end', resolve).on('error', reject);
          });
          sent.on('error', reject).end();
        });
        this.#bodies++;
      }
    });
  }

  async stop(): Promise<number> {
    this.#stop.abort();
    await Promise.all(this.#all);
    return this.#bodies;
  }
}

// --- a gigabyte ----------------------------------------------------------------------------------------------------

async function stream(): Promise<void> {
  const { port, process: proxy } = await gateway();
  const rows: string[][] = [];
  const ways: readonly (readonly [what: string, run: (mb: number) => Promise<number>])[] = [
    ['response, as it is', (mb) => down(port, '/stream', mb)],
    ['response, pieces through a policy', (mb) => down(port, '/pieces/stream', mb)],
    ['response, packed (gzip)', (mb) => down(port, '/packed/stream', mb)],
    ['response, lines changed', (mb) => down(port, '/lines/stream', mb)],
    ['request, as it is', (mb) => up(port, '/1k', mb)],
    ['request, pieces through a policy', (mb) => up(port, '/pieces/1k', mb)],
    ['request, multipart checked', (mb) => up(port, '/upload/1k', mb, true)],
  ];
  for (const [what, run] of ways) {
    await run(64);
    const before = residentBytes(proxy.pids());
    let peak = before;
    const timer = setInterval(() => {
      peak = Math.max(peak, residentBytes(proxy.pids()));
    }, 20);
    const sinceMs = performance.now();
    await run(megabytes);
    clearInterval(timer);
    const took = (performance.now() - sinceMs) / 1_000;
    rows.push([what, figure(megabytes / took), figure(before / MB), figure(peak / MB), figure((peak - before) / MB)]);
  }
  console.log(`\nmemory of the gateway while ${megabytes} MB pass, after 64 MB to warm up`);
  console.log(markdownTable(['what', 'MB/s', 'before, MB', 'peak, MB', 'more, MB'], rows));
}

function down(port: number, path: string, mb: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const headers = { 'Accept-Encoding': path.startsWith('/packed') ? 'gzip' : 'identity' };
    const sent = httpRequest({ port, path: `${path}?mb=${mb}`, headers }, (response) => {
      let bytes = 0;
      response.on('data', (piece: Buffer) => {
        bytes += piece.length;
      });
      response.on('end', () => (response.complete ? resolve(bytes) : reject(new Error(`${path} broke off`))));
      response.on('error', reject);
    });
    sent.on('error', reject).end();
  });
}

function up(port: number, path: string, mb: number, multipart = false): Promise<number> {
  return new Promise((resolve, reject) => {
    const headers = { 'Content-Type': multipart ? 'multipart/form-data; boundary=B' : 'application/octet-stream' };
    const sent = httpRequest({ port, path, method: 'POST', headers }, (response) => {
      response.resume().on('end', () => {
        if (response.statusCode === 200) resolve(mb);
        else reject(new Error(`${path} is ${response.statusCode}`));
      });
    });
    sent.on('error', reject);
    const piece = Buffer.alloc(65_536, 'x');
    let left = mb * 16;
    const more = (): void => {
      while (left > 0) {
        left--;
        if (!sent.write(piece)) {
          sent.once('drain', more);
          return;
        }
      }
      sent.end(multipart ? '\r\n--B--\r\n' : undefined);
    };
    if (multipart) sent.write('--B\r\nContent-Disposition: form-data; name="f"; filename="a"\r\n\r\n');
    more();
  });
}

// --- a large document ------------------------------------------------------------------------------------------------

async function openapi(): Promise<void> {
  const text = largeDocument(MB);
  const options = openapiOptions.schema.parse({ file: './a.json', response: 'refuse' });
  if (typeof options === 'string') throw new TypeError('options are an object here');
  const sinceMs = performance.now();
  const cpu = process.cpuUsage();
  const settings = compileDocument(
    text,
    options,
    (problem, at) => {
      throw new Error(`${at}: ${problem}`);
    },
    () => {},
  );
  const readMs = performance.now() - sinceMs;
  await RequestCheck.prepare(settings!);
  const allMs = performance.now() - sinceMs;
  const { user, system } = process.cpuUsage(cpu);
  console.log(`\nan OpenAPI document of ${figure(text.length / MB)} MB, ${settings!.operations.length} operations`);
  console.log(
    markdownTable(
      ['what', 'ms', 'at most'],
      [
        ['read and translated', figure(readMs), ''],
        ['and compiled for a worker', figure(allMs), '2,000'],
        ['CPU of all that', figure((user + system) / 1_000), ''],
      ],
    ),
  );
}

// --- all of it -----------------------------------------------------------------------------------------------------

const wanted = values.part === undefined ? Object.keys(PARTS) : [values.part];
const machine = describeMachine();
console.log(`${machine.cpu}, ${machine.cores} cores, Linux ${machine.kernel}, Node ${machine.node}`);
try {
  for (const part of wanted) await PARTS[part]!();
} finally {
  await Promise.all(running.reverse().map((each) => each.stop()));
}
