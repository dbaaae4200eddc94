/**
 * What does sight cost? `npm run bench:sight [-- --seconds N --rounds N]`: CPU of the whole gateway (workers and the
 * main thread that exports) for a request, with an access log alone, and with traces, objectives and security events on
 * at 0, 1 and 100 % of traces; in turns, so that a disturbance hits all. Then how long a scrape of 10,000 series takes.
 * The compiled gateway on loopback; the collector takes everything and looks at nothing.
 *
 * Each gateway is warm before it counts: V8 reports what it has compiled (`--trace-opt`), and load goes on until three
 * bursts of two seconds in a row in which it optimized at most two functions, for a minute at most. At 1 % of traces the
 * code of spans runs for one request in a hundred and would take minutes to get there, as it does in a gateway that has
 * just started; so that one begins with all traces, and is reloaded to 1 % when it is warm. All are made warm twice,
 * since V8 drops the code of what did not run for a while. Printed are the seconds of warmth, the functions that were
 * optimized in them, and those that still were while it was measured.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { readArguments } from './lib/arguments.ts';
import { downloads } from './lib/bodies.ts';
import { chooseGenerator, runLoad } from './lib/load.ts';
import { freePort } from './lib/ports.ts';
import { pinned, type Running, start } from './lib/processes.ts';
import { cpuNanoseconds } from './lib/procfs.ts';
import { median, pairedRatios, quantile } from './lib/statistics.ts';
import { figure, markdownTable } from './lib/table.ts';

const root = fileURLToPath(new URL('../', import.meta.url));
const values = readArguments(import.meta.filename, {
  seconds: { type: 'string', default: '3' },
  rounds: { type: 'string', default: '5' },
});
const seconds = Number(values.seconds);
const rounds = Number(values.rounds);
const SCRAPES = 60;
/** One burst of warmth. */
const WARM_SECONDS = 2;
const MOST_WARM_SECONDS = 60;
/** So many bursts in a row are calm before a gateway is warm. */
const CALM_BURSTS = 3;
/** Functions that V8 optimizes in a calm burst: some run once a second, and are never through with it. */
const MOST_OPTIMIZED = 2;
const RELOAD_MS = 30_000;
const POLL_MS = 50;
/** A route has 20 series of its own. */
const SERIES_ROUTES = 495;

const folder = mkdtempSync(join(tmpdir(), 'gatehouse-sight-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true, maxRetries: 3 }));
const running: Running[] = [];
/** What each gateway has exported, by the path of its endpoint. */
const exported = new Map<string, { exports: number; bytes: number }>();
const collector = createServer((request, response) => {
  let bytes = 0;
  request.on('data', (piece: Buffer) => {
    bytes += piece.length;
  });
  request.on('end', () => {
    const of = exportedBy(request.url ?? '');
    of.exports++;
    of.bytes += bytes;
    response.writeHead(200, { 'content-type': 'application/x-protobuf' }).end();
  });
});
try {
  await main();
} finally {
  collector.close();
  collector.closeAllConnections();
  await Promise.all(running.reverse().map((each) => each.stop()));
}

function exportedBy(path: string): { exports: number; bytes: number } {
  let of = exported.get(path);
  if (of === undefined) {
    of = { exports: 0, bytes: 0 };
    exported.set(path, of);
  }
  return of;
}

async function main(): Promise<void> {
  // The collector is here: with the load on the second core, away from what is measured.
  if (pinned) spawnSync('taskset', ['-apc', '1', String(process.pid)]);
  await new Promise<void>((done) => collector.listen(0, '127.0.0.1', done));
  const upstream = await freePort();
  const script = fileURLToPath(new URL('upstream.ts', import.meta.url));
  running.push(
    await start({
      role: 'load',
      command: process.execPath,
      args: [script, String(upstream)],
      folder,
      readyPort: upstream,
    }),
  );
  const origin = `http://127.0.0.1:${(collector.address() as AddressInfo).port}`;
  const securityEvents = { to: { file: 'security.log' } };
  const traced = (path: string, ratio: number): object => ({
    tracing: { endpoint: origin + path, ratio },
    securityEvents,
  });
  const names = ['access log alone', 'all, no traces', 'all, 1 % of traces', 'all, 100 % of traces'] as const;
  const gateways = [
    await gateway('alone', upstream, {}, false),
    await gateway('none', upstream, { securityEvents }, true),
    await gateway('one', upstream, traced('/one', 1), true),
    await gateway('whole', upstream, traced('/whole', 1), true),
  ];
  const warmth: number[] = [];
  for (const each of gateways) warmth.push(await warm(each));
  await reload(gateways[2]!, upstream, traced('/one', 0.01));
  // Once more: of what does not run for a while V8 drops the code.
  for (const [nth, each] of gateways.entries()) warmth[nth]! += await warm(each);
  const compiled = gateways.map(optimized);
  const before = { one: { ...exportedBy('/one') }, whole: { ...exportedBy('/whole') } };
  const costs: number[][] = gateways.map(() => []);
  const requests = gateways.map(() => 0);
  for (let round = 0; round < rounds; round++)
    for (const nth of gateways.keys()) {
      const at = (nth + round) % gateways.length;
      const result = await burst(gateways[at]!, seconds);
      costs[at]!.push(result.us);
      requests[at]! += result.requests;
    }
  const rows = costs.map((each, nth) => {
    const ratios = pairedRatios(each, costs[0]!);
    const middle = `${figure(quantile(ratios, 0.25))}..${figure(quantile(ratios, 0.75))}`;
    const late = optimized(gateways[nth]!) - compiled[nth]!;
    const costly = [median(each), Math.min(...each), median(ratios)].map(figure);
    return [names[nth]!, ...costly, middle, `${warmth[nth]}`, `${compiled[nth]}`, `${late}`];
  });
  const head = ['', 'CPU us/req', 'quiet', 'x alone', 'middle half', 'warm s', 'optimized', 'late'];
  console.log(markdownTable(head, rows));
  const perRequest = (['one', 'whole'] as const).map((kind, nth) => {
    const { exports, bytes } = exportedBy(`/${kind}`);
    const fresh = exports - before[kind].exports;
    if (fresh === 0) throw new Error(`'${kind}' exported nothing: nothing was measured`);
    const more = bytes - before[kind].bytes;
    console.log(`\n${kind}: ${fresh} exports of ${figure(more / fresh / 1_024)} KB`);
    return more / requests[nth + 2]!;
  });
  const share = perRequest[0]! / perRequest[1]!;
  if (!(share > 0.005 && share < 0.02)) throw new Error(`${figure(share * 100)} % of traces were sampled, not 1 %`);
  console.log('');
  await scrapes();
}

/** Loads a gateway until V8 has little left to compile; the seconds that took. */
async function warm(gateway: Measured): Promise<number> {
  let passed = 0;
  for (let calm = 0; calm < CALM_BURSTS && passed < MOST_WARM_SECONDS; passed += WARM_SECONDS) {
    const before = optimized(gateway);
    await burst(gateway, WARM_SECONDS);
    calm = optimized(gateway) - before <= MOST_OPTIMIZED ? calm + 1 : 0;
  }
  return passed;
}

/** Functions that V8 has optimized so far, in all threads. */
function optimized({ home }: Measured): number {
  return readFileSync(join(home, 'output.log'), 'latin1').split('[completed optimizing ').length - 1;
}

interface Measured {
  readonly port: number;
  readonly home: string;
  readonly process: Running;
}

interface Document {
  readonly gateway: object;
  readonly [section: string]: unknown;
}

function documentOf(upstream: number, more: object, hasObjectives: boolean): Document {
  return {
    gateway: { accessLog: { file: 'access.log' }, ...more },
    services: { upstream: { instances: [{ url: `http://127.0.0.1:${upstream}` }] } },
    ...(hasObjectives
      ? { objectives: { all: { availability: '99.9%', latency: { under: '300ms', for: '99%' } } } }
      : {}),
    routes: [{ name: 'all', match: { path: '/*' }, service: 'upstream', auth: 'public' }],
  };
}

async function gateway(name: string, upstream: number, more: object, hasObjectives: boolean): Promise<Measured> {
  const home = join(folder, name);
  mkdirSync(home);
  return await startGateway(home, documentOf(upstream, more, hasObjectives));
}

function write(home: string, port: number, document: Document): string {
  const file = join(home, 'gatehouse.json');
  const gateway = { host: '127.0.0.1', port, workers: 1, dataDir: 'data', ...document.gateway };
  writeFileSync(file, JSON.stringify({ ...document, gateway }));
  return file;
}

async function startGateway(home: string, document: Document): Promise<Measured> {
  const port = await freePort();
  const file = write(home, port, document);
  const args = ['--trace-opt', join(root, 'bin/gatehouse.js'), 'start', file];
  const process_ = await start({
    role: 'proxy',
    command: process.execPath,
    args,
    folder: home,
    readyPort: port,
  });
  running.push(process_);
  return { port, home, process: process_ };
}

/** The same gateway with other settings: it reloads what is saved. */
async function reload({ home, port }: Measured, upstream: number, more: object): Promise<void> {
  const told = 'the configuration was reloaded';
  write(home, port, documentOf(upstream, more, true));
  for (let waited = 0; !readFileSync(join(home, 'output.log'), 'latin1').includes(told); waited += POLL_MS) {
    if (waited > RELOAD_MS) throw new Error('the gateway did not reload');
    await pause(POLL_MS);
  }
}

/** `us`: CPU of the gateway for a request, in microseconds. */
async function burst(
  { port, process: measured }: Measured,
  length: number,
): Promise<{ readonly us: number; readonly requests: number }> {
  const [body] = downloads;
  const plan = {
    port,
    tls: false,
    path: body!.path,
    uploadBytes: 0,
    expectBytes: body!.bytes.length,
    connections: 64,
    seconds: length,
  };
  const before = cpuNanoseconds(measured.pids());
  const { requests, errors } = await runLoad(chooseGenerator(length), plan, folder);
  if (errors > 0 || requests === 0) throw new Error(`${errors} of ${requests} requests failed\n${measured.output()}`);
  return { us: (cpuNanoseconds(measured.pids()) - before) / 1_000 / requests, requests };
}

async function scrapes(): Promise<void> {
  const home = join(folder, 'scraped');
  mkdirSync(home);
  const routes = Array.from({ length: SERIES_ROUTES }, (_, i) => ({
    name: `r${i}`,
    match: { path: `/r${i}` },
    respond: { status: 200 },
    auth: 'public',
  }));
  const { port } = await startGateway(home, { gateway: {}, routes });
  for (let i = 0; i < SERIES_ROUTES; i++) await (await fetch(`http://127.0.0.1:${port}/r${i}`)).arrayBuffer();
  const times: number[] = [];
  let series = 0;
  for (let i = 0; i < SCRAPES; i++) {
    const begun = performance.now();
    const text = await (await fetch(`http://127.0.0.1:${port}/metrics/prometheus`)).text();
    times.push(performance.now() - begun);
    series = text.split('\n').filter((line) => line !== '' && !line.startsWith('#')).length;
  }
  const head = ['series', 'p50 ms', 'least ms', 'most ms'];
  const row = [series.toLocaleString('en-US'), median(times), Math.min(...times), Math.max(...times)];
  console.log(markdownTable(head, [row.map((each) => (typeof each === 'number' ? figure(each) : each))]));
}
