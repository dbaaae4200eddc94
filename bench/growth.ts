/**
 * What do many routes and instances cost? `npm run bench:growth [-- --routes 10,1000,10000 --instances 10,2000
 * --changes 5]`: for each number of routes (one service for twenty of them) a gateway of its own: how long it takes to
 * start, its memory, how long a scrape of the metrics takes, a reload with one route changed, and one change of the
 * discovered instances a second until all workers use them; and beside the last two, and while the spare worker is made,
 * how long the slowest request of others waited. One worker, loopback; the requests come from a thread of their own,
 * eight connections, each as soon as its last one is answered and a millisecond has passed.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import type { startGateway as Start } from '../src/main.ts';
import { readArguments } from './lib/arguments.ts';
import { figure, markdownTable } from './lib/table.ts';

interface Result {
  readonly routes: number;
  readonly instances: number;
  readonly startMs: number;
  readonly megabytes: number;
  readonly scrapeMs: number;
  readonly spareStallMs: number;
  readonly calmMs: number;
  readonly reloadMs: number;
  readonly reloadStallMs: number;
  readonly changeMs: number;
  readonly changeStallMs: number;
}

const values = readArguments(import.meta.filename, {
  routes: { type: 'string', default: '10,1000,10000' },
  instances: { type: 'string', default: '10,2000' },
  changes: { type: 'string', default: '5' },
  one: { type: 'boolean', default: false },
});
/** As many threads of V8 as bin/gatehouse.js lets a gateway have. */
const V8_HELPERS = Math.min(Math.max(availableParallelism() - 1, 1), 4);
const numbers = (text: string): number[] => text.split(',').map(Number);

function all(): void {
  const rows: string[][] = [];
  for (const routes of numbers(values.routes)) {
    for (const instances of numbers(values.instances)) {
      const args = ['--one', '--routes', String(routes), '--instances', String(instances), '--changes', values.changes];
      const self = fileURLToPath(import.meta.url);
      const out = execFileSync(process.execPath, [`--v8-pool-size=${V8_HELPERS}`, self, ...args], {
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      const { routes: _, instances: __, ...figures } = JSON.parse(out) as Result;
      rows.push([String(routes), String(instances), ...Object.values(figures).map(figure)]);
    }
  }
  const header = ['routes', 'instances', 'start ms', 'MB', 'scrape ms', 'spare: slowest ms', 'calm: slowest ms'];
  const changes = ['reload ms', 'slowest ms', 'instances ms', 'slowest ms'];
  process.stdout.write(`${markdownTable([...header, ...changes], rows)}\n`);
}

async function measure(routes: number, instances: number): Promise<Result> {
  const startGateway = await load();
  const folder = mkdtempSync(join(tmpdir(), 'gatehouse-growth-'));
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
  const service = new Worker(SERVICE, { eval: true });
  service.unref();
  const url = `http://127.0.0.1:${await new Promise((resolve) => service.once('message', resolve))}`;
  const file = join(folder, 'gatehouse.json');
  const write = (changed: string): void =>
    writeFileSync(file, JSON.stringify(documentOf(routes, url, folder, changed)));
  write('before');
  const began = performance.now();
  const gateway = await startGateway({ configFile: file, env: {}, writeLog: () => {} });
  const startMs = performance.now() - began;
  const { port } = gateway.addresses[0]!;
  const others = await Others.start(port);
  await gateway.primary.setDiscovered(discovered(routes, instances, 0));
  while (!gateway.primary.workers.hasSpare) await delay(100);
  const spareStallMs = await others.slowest();
  await delay(2_000);
  await others.slowest();
  await delay(2_000);
  const calmMs = await others.slowest();
  const scraped = performance.now();
  await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
  const scrapeMs = performance.now() - scraped;
  await delay(500);
  await others.slowest();
  write('after');
  const reloading = performance.now();
  const reload = await gateway.reload('measured');
  const reloadMs = performance.now() - reloading;
  if (!reload.ok) throw new Error(reload.problems.join('\n'));
  await delay(500);
  const reloadStallMs = await others.slowest();
  let changeMs = 0;
  for (let i = 1; i <= Number(values.changes); i++) {
    await delay(1_000);
    const changing = performance.now();
    const changed = await gateway.primary.setDiscovered(discovered(routes, instances, i));
    changeMs = Math.max(changeMs, performance.now() - changing);
    if (!changed.ok) throw new Error(changed.problems.join('\n'));
  }
  const changeStallMs = await others.slowest();
  const megabytes = process.memoryUsage.rss() / 1024 ** 2;
  const stalls = { spareStallMs, calmMs, reloadMs, reloadStallMs, changeMs, changeStallMs };
  return { routes, instances, startMs, megabytes, scrapeMs, ...stalls };
}

/** As users have it, if it was built. */
async function load(): Promise<typeof Start> {
  const built = new URL('../dist/index.js', import.meta.url).href;
  const found = (await import(built).catch(() => import('../src/main.ts'))) as { startGateway: typeof Start };
  return found.startGateway;
}

function documentOf(routes: number, url: string, folder: string, changed: string): object {
  const services = Math.max(1, Math.ceil(routes / 20));
  return {
    gateway: {
      host: '127.0.0.1',
      port: 0,
      workers: 1,
      accessLog: 'off',
      dataDir: folder,
      watch: false,
      logLevel: 'error',
    },
    services: Object.fromEntries(Array.from({ length: services }, (_, i) => [`s${i}`, { instances: [url] }])),
    routes: Array.from({ length: routes }, (_, i) => ({
      match: { path: `/r${i}/:id/*` },
      service: `s${i % services}`,
      auth: 'public',
      headers: { response: { set: { 'X-Changed': i === 1 ? changed : 'never' } } },
    })),
  };
}

/**
 * So many instances in all, of which one differs in each round; all are this machine, and unhealthy, so none is asked.
 */
function discovered(routes: number, instances: number, round: number) {
  const services = Math.max(1, Math.ceil(routes / 20));
  const found: Record<string, { url: string; healthy: boolean }[]> = {};
  for (let i = 0; i < instances; i++) {
    const port = i === 0 ? 40_000 + round : 10_000 + i;
    const list = found[`s${i % services}`] ?? [];
    found[`s${i % services}`] = [...list, { url: `http://127.0.0.1:${port}`, healthy: false }];
  }
  return found;
}

/** Requests of others, from a thread of their own. */
class Others {
  readonly #thread: Worker;

  static async start(port: number): Promise<Others> {
    const thread = new Worker(CALLER, { eval: true, workerData: port });
    await new Promise((resolve) => thread.once('message', resolve));
    thread.unref();
    return new Others(thread);
  }

  private constructor(thread: Worker) {
    this.#thread = thread;
  }

  /** The longest that any of them took since this was asked last, in milliseconds. */
  slowest(): Promise<number> {
    const told = new Promise<number>((resolve) => this.#thread.once('message', resolve));
    this.#thread.postMessage('tell');
    return told;
  }
}

/** The service has a thread of its own: it must not stand still because the main thread does. */
const SERVICE = `
  const { createServer } = require('node:http');
  const { parentPort } = require('node:worker_threads');
  const service = createServer((_request, response) => response.end('ok'));
  service.listen(0, '127.0.0.1', () => parentPort.postMessage(service.address().port));
`;

const CALLER = `
  const { connect } = require('node:net');
  const { parentPort, workerData } = require('node:worker_threads');
  let slowest = 0;
  for (let i = 0; i < 8; i++) {
    const socket = connect({ port: workerData, host: '127.0.0.1', noDelay: true });
    let began = 0;
    const send = () => { began = performance.now(); socket.write('GET /r1/1/x HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n'); };
    socket.on('connect', send);
    socket.on('data', () => { slowest = Math.max(slowest, performance.now() - began); setTimeout(send, 1); });
  }
  parentPort.on('message', () => { parentPort.postMessage(slowest); slowest = 0; });
  parentPort.postMessage(0);
`;

if (values.one)
  process.stdout.write(`${JSON.stringify(await measure(Number(values.routes), Number(values.instances)))}\n`);
else all();
process.exit(0);
