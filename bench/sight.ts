/**
 * What does sight cost? `npm run bench:sight [-- --seconds N --rounds N]`: CPU of the whole gateway (workers and the
 * main thread that exports) for a request, with an access log alone, and with traces, objectives and security events on
 * at 0, 1 and 100 % of traces; in turns, so that a disturbance hits all. Then how long a scrape of 10,000 series takes.
 * The compiled gateway on loopback; the collector takes everything and looks at nothing.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { downloads } from './lib/bodies.ts';
import { chooseGenerator, runLoad } from './lib/load.ts';
import { freePort } from './lib/ports.ts';
import { type Running, start } from './lib/processes.ts';
import { cpuNanoseconds } from './lib/procfs.ts';
import { median, pairedRatios, quantile } from './lib/statistics.ts';
import { figure, markdownTable } from './lib/table.ts';

const root = fileURLToPath(new URL('../', import.meta.url));
const { values } = parseArgs({
  options: { seconds: { type: 'string', default: '3' }, rounds: { type: 'string', default: '5' } },
});
const seconds = Number(values.seconds);
const rounds = Number(values.rounds);
const SCRAPES = 60;
/** Until all code is compiled: at 1 % of traces that of spans runs for one request in a hundred. */
const WARM_SECONDS = 10;
/** A route has 20 series of its own. */
const SERIES_ROUTES = 495;

const folder = mkdtempSync(join(tmpdir(), 'gatehouse-sight-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true, maxRetries: 3 }));
const running: Running[] = [];
let exports = 0;
const collector = createServer((request, response) => {
  request.resume();
  request.on('end', () => {
    exports++;
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

async function main(): Promise<void> {
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
  const endpoint = `http://127.0.0.1:${(collector.address() as AddressInfo).port}`;
  const traced = (ratio: number): object => ({
    tracing: { endpoint, ratio },
    securityEvents: { to: { file: 'security.log' } },
  });
  const names = ['access log alone', 'all, no traces', 'all, 1 % of traces', 'all, 100 % of traces'] as const;
  const gateways = [
    await gateway('alone', upstream, {}, false),
    await gateway('none', upstream, { securityEvents: { to: { file: 'security.log' } } }, true),
    await gateway('one', upstream, traced(0.01), true),
    await gateway('whole', upstream, traced(1), true),
  ];
  for (const each of gateways) await burst(each, WARM_SECONDS);
  const costs: number[][] = gateways.map(() => []);
  for (let round = 0; round < rounds; round++)
    for (const nth of gateways.keys()) {
      const at = (nth + round) % gateways.length;
      costs[at]!.push(await burst(gateways[at]!, seconds));
    }
  const rows = costs.map((each, nth) => {
    const ratios = pairedRatios(each, costs[0]!);
    const middle = `${figure(quantile(ratios, 0.25))}..${figure(quantile(ratios, 0.75))}`;
    return [names[nth]!, figure(median(each)), figure(Math.min(...each)), figure(median(ratios)), middle];
  });
  console.log(markdownTable(['', 'CPU us/req', 'quiet', 'x alone', 'middle half'], rows));
  if (exports === 0) throw new Error('the collector got nothing: nothing was measured');
  console.log(`\n${exports} exports\n`);
  await scrapes();
}

interface Measured {
  readonly port: number;
  readonly process: Running;
}

async function gateway(name: string, upstream: number, more: object, hasObjectives: boolean): Promise<Measured> {
  const home = join(folder, name);
  mkdirSync(home);
  return await startGateway(home, {
    gateway: { accessLog: { file: 'access.log' }, ...more },
    services: { upstream: { instances: [{ url: `http://127.0.0.1:${upstream}` }] } },
    ...(hasObjectives
      ? { objectives: { all: { availability: '99.9%', latency: { under: '300ms', for: '99%' } } } }
      : {}),
    routes: [{ name: 'all', match: { path: '/*' }, service: 'upstream', auth: 'public' }],
  });
}

async function startGateway(
  home: string,
  document: { readonly gateway: object; readonly [section: string]: unknown },
): Promise<Measured> {
  const port = await freePort();
  const file = join(home, 'gatehouse.json');
  const gateway = { host: '127.0.0.1', port, workers: 1, dataDir: 'data', ...document.gateway };
  writeFileSync(file, JSON.stringify({ ...document, gateway }));
  const args = [join(root, 'bin/gatehouse.js'), 'start', file];
  const process_ = await start({
    role: 'proxy',
    command: process.execPath,
    args,
    folder: home,
    readyPort: port,
  });
  running.push(process_);
  return { port, process: process_ };
}

/** CPU of the gateway for a request, in microseconds. */
async function burst({ port, process: measured }: Measured, length: number): Promise<number> {
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
  return (cpuNanoseconds(measured.pids()) - before) / 1_000 / requests;
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
