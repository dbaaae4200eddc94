/**
 * What does the console cost? `npm run bench:console [-- --routes 1000 --instances 500 --loads 7 --rounds 6 --seconds 4
 * --rate 4000]`: of a gateway with so many routes and instances, the time to the first paint in Chromium (a fresh
 * profile for each load), the size of all files that a browser loads, packed, and what an open console costs the
 * worker, in CPU time of its thread, with and without it, in pairs whose order changes: per request at a fixed rate
 * that the machine serves without a failed request, and at rest, for a second, as a share of what 10,000 requests a
 * second take. The open console is what its pages do, without a browser that would take the processors: the streams of
 * the pages overview, routes, services and requests, with what those read. One worker, loopback, Linux.
 */

import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { Worker } from 'node:worker_threads';
import { gzipSync } from 'node:zlib';
import { chromium } from 'playwright-core';
import type { startGateway as Start } from '../src/main.ts';
import { readArguments } from './lib/arguments.ts';
import { median } from './lib/statistics.ts';

const values = readArguments(import.meta.filename, {
  routes: { type: 'string', default: '1000' },
  instances: { type: 'string', default: '500' },
  loads: { type: 'string', default: '7' },
  rounds: { type: 'string', default: '6' },
  seconds: { type: 'string', default: '4' },
  rate: { type: 'string', default: '4000' },
});
const number = (name: keyof typeof values): number => Number(values[name]);
const TOKEN = 'a-token-of-the-benchmark-0123456789';
const BODY = 'ok';
const SERVICE = `
const { createServer } = require('node:http');
const { parentPort } = require('node:worker_threads');
const server = createServer((request, response) => response.end('${BODY}'));
server.keepAliveTimeout = 60_000;
server.listen(0, '127.0.0.1', () => parentPort.postMessage(server.address().port));
`;
const BROWSER = ['--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking'];
/** Requests a second that an open console is compared with. */
const MANY = 10_000;
const SETTLE_MS = 500;
/** Nanoseconds of the worker for a request and at rest for a second, of the main thread for a second. */
const NOTHING = { request: 0, second: 0, main: 0 };
/** The streams that pages open (console/live.js and pages-*.js). */
const PAGES: readonly (readonly [name: string, streams: readonly string[]])[] = [
  ['overview', [pageOf('/status?brief=true', 4)]],
  ['routes', [pageOf('/routes?q=&limit=100', 6)]],
  ['services', [pageOf('/services?q=&limit=100', 2)]],
  ['requests', [pageOf('', 60), '/requests/stream']],
];

/** `read`: empty where the page reads nothing. */
function pageOf(read: string, every: number): string {
  return `/page/stream?${new URLSearchParams({ ...(read === '' ? {} : { read }), every: String(every), after: '0' })}`;
}

function documentOf(folder: string, url: string) {
  const services = Array.from({ length: 10 }, (_, s) => [
    `service-${s}`,
    { instances: Array.from({ length: number('instances') / 10 }, (__, i) => `http://127.0.${s}.${i + 2}:9`) },
  ]);
  return {
    gateway: { host: '127.0.0.1', port: 0, workers: 1, spareWorker: false, accessLog: 'off', dataDir: folder },
    admin: { listen: '127.0.0.1:0', tokens: [{ name: 'bench', role: 'admin', token: TOKEN }] },
    services: { ...Object.fromEntries(services), measured: { instances: [url] } },
    routes: [
      { name: 'measured', match: { path: '/measured' }, service: 'measured', auth: 'public' },
      ...Array.from({ length: number('routes') }, (_, i) => ({
        name: `route-${i}`,
        match: { path: `/api/v1/things-${i}/*` },
        service: `service-${i % 10}`,
        auth: 'public',
      })),
    ],
  };
}

/** As Linux shows the name of the first worker: 15 characters of it. */
const WORKER = 'gatehouse-worke';

/** Nanoseconds on a processor since their start, of the gateway's worker and of the main thread. */
class Threads {
  readonly #worker: string;

  constructor() {
    const found = readdirSync('/proc/self/task').find(
      (id) => readFileSync(`/proc/self/task/${id}/comm`, 'utf8').trim() === WORKER,
    );
    if (found === undefined) throw new Error('the worker has no thread');
    this.#worker = found;
  }

  read(): { readonly worker: number; readonly main: number } {
    return { worker: nanoseconds(this.#worker), main: nanoseconds(String(process.pid)) };
  }
}

function nanoseconds(thread: string): number {
  return Number(readFileSync(`/proc/self/task/${thread}/schedstat`, 'latin1').split(' ', 1)[0]);
}

async function paint(origin: string): Promise<{ readonly ms: number; readonly bytes: number; readonly files: number }> {
  const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: BROWSER });
  const times: number[] = [];
  let names: string[] = [];
  for (let i = 0; i < number('loads'); i++) {
    const context = await browser.newContext();
    const page = await context.newPage();
    page.setDefaultTimeout(180_000);
    await page.goto(await link(origin));
    await page.waitForSelector('nav');
    times.push((await page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")) as number);
    // The other pages follow when the first is there.
    const loaded = async (): Promise<string[]> =>
      (await page.evaluate("performance.getEntriesByType('resource').map(({ name }) => name)")) as string[];
    for (names = await loaded(); !names.some((name) => name.endsWith('pages-cluster.js')); names = await loaded())
      await delay(50);
    await context.close();
  }
  await browser.close();
  const files = new Set(names.filter((name) => name.includes('/console/') && !name.includes('/api/')));
  files.add(`${origin}/console/`);
  let bytes = 0;
  for (const name of files) {
    const file = await fetch(name, { headers: { 'accept-encoding': 'identity' } });
    bytes += gzipSync(await file.text()).length;
  }
  return { ms: median(times), bytes, files: files.size };
}

async function link(origin: string): Promise<string> {
  const response = await fetch(`${origin}/api/links`, {
    method: 'POST',
    headers: { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json' },
    body: '{}',
  });
  return ((await response.json()) as { readonly url: string }).url;
}

/**
 * Follows the streams of a page; returns what closes it. In a thread of its own, so that its work is not the gateway's.
 */
async function openConsole(origin: string, streams: readonly string[]): Promise<() => Promise<unknown>> {
  const client = new Worker(
    `
    const { origin, token, streams } = require('node:worker_threads').workerData;
    const headers = { authorization: 'Bearer ' + token };
    for (const path of streams)
      fetch(origin + '/api' + path, { headers }).then(async ({ ok, body }) => {
        if (!ok) throw new Error('the gateway refuses ' + path);
        for await (const part of body);
      });`,
    { eval: true, workerData: { origin, token: TOKEN, streams } },
  );
  return () => client.terminate();
}

async function load(port: number): Promise<number> {
  const plan = {
    port,
    tls: false,
    path: '/measured',
    uploadBytes: 0,
    expectBytes: BODY.length,
    connections: 32,
    seconds: number('seconds'),
    perSecond: number('rate'),
  };
  const script = fileURLToPath(new URL('load-paced.ts', import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, [script, JSON.stringify(plan)]);
  const { requests, errors } = JSON.parse(stdout) as { readonly requests: number; readonly errors: number };
  if (errors > 0) throw new Error(`${errors} requests failed, ${requests} did not: give a lower --rate`);
  return requests;
}

async function run(): Promise<void> {
  const { startGateway } = (await import(new URL('../dist/index.js', import.meta.url).href)) as {
    readonly startGateway: typeof Start;
  };
  const folder = mkdtempSync(join(tmpdir(), 'gatehouse-console-'));
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
  const service = new Worker(SERVICE, { eval: true });
  const url = `http://127.0.0.1:${await new Promise((resolve) => service.once('message', resolve))}`;
  const gateway = await startGateway({ document: documentOf(folder, url), env: {}, cwd: folder, writeLog: () => {} });
  const { port } = gateway.addresses[0]!;
  const found = gateway.primary.opsSources().features.find(({ sections }) => sections?.['admin'] !== undefined);
  const { url: origin } = found!.sections!['admin'] as { readonly url: string };

  const first = await paint(origin);
  const say = (text: string): void => void process.stdout.write(`${text}\n`);
  say(`first paint: ${first.ms.toFixed(0)} ms (median of ${number('loads')}); at most 300 are wanted`);
  say(`all ${first.files} files: ${(first.bytes / 1_000).toFixed(1)} KB packed; at most 200 are wanted`);

  await load(port);
  const threads = new Threads();
  const percent = (share: number): string => `${(share * 100).toFixed(2)} %`;
  for (const [name, streams] of PAGES) {
    const atRate: number[] = [];
    const atRest: number[] = [];
    const mains: number[] = [];
    const costs: number[] = [];
    for (let round = 0; round < number('rounds'); round++) {
      const of = { open: NOTHING, closed: NOTHING };
      for (const state of round % 2 === 0 ? (['closed', 'open'] as const) : (['open', 'closed'] as const)) {
        const close = state === 'open' ? await openConsole(origin, streams) : async () => {};
        await delay(SETTLE_MS);
        const before = threads.read();
        await delay(number('seconds') * 1_000);
        const rested = threads.read();
        const requests = await load(port);
        const after = threads.read();
        await close();
        of[state] = {
          request: (after.worker - rested.worker) / requests,
          second: (rested.worker - before.worker) / number('seconds'),
          main: (after.main - rested.main) / number('seconds'),
        };
      }
      const busy = MANY * of.closed.request;
      costs.push(of.closed.request / 1_000);
      atRate.push(of.open.request / of.closed.request - 1);
      atRest.push((of.open.second - of.closed.second) / busy);
      mains.push((of.open.main - of.closed.main) / busy);
    }
    say(
      `${name}: the worker's time per request ${percent(median(atRate))} of ${median(costs).toFixed(1)} µs more at ${number('rate')}/s (${atRate.map(percent).join(', ')}); at rest ${percent(median(atRest))} of what ${MANY} requests a second take; the main thread ${percent(median(mains))} of that`,
    );
  }
  await gateway.stop({ timeoutMs: 1_000 });
  await service.terminate();
}

await run();
process.exit(0);
