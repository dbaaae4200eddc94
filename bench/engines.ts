/**
 * What the gateway adds to a broker: `npm run bench:engines [-- --seconds N] [--engine nats|redis]` after `npm run
 * build`; Linux. For each broker that is installed: events published by its own client in a bare process, and by
 * `publish` of a gateway with one worker, both pinned to the same core, 32 at a time; CPU for each event, events a
 * second, and how long an acknowledgement takes, one at a time. Then one subscriber: the same events read by a bare
 * client, and by server-sent events of a gateway. Wanted: 202 adds at most 1 ms; CPU at most 1.5 times the bare
 * client's. The gateway's figure holds the HTTP request, which the bare client does not have. Prints a table.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { startNats } from '../test/support/nats.ts';
import { startRedis } from '../test/support/redis.ts';
import { describeMachine } from './lib/machine.ts';
import { freePort } from './lib/ports.ts';
import { type Running, start } from './lib/processes.ts';
import { cpuNanoseconds } from './lib/procfs.ts';
import { median } from './lib/statistics.ts';
import { figure, markdownTable } from './lib/table.ts';

const root = fileURLToPath(new URL('../', import.meta.url));
const BARE = fileURLToPath(new URL('bare-engine.ts', import.meta.url));
const { values } = parseArgs({
  options: { seconds: { type: 'string', default: '4' }, engine: { type: 'string', multiple: true } },
});
const seconds = Number(values.seconds);
const AT_ONCE = 32;
const ALONE = 300;
const BODY = JSON.stringify({ pad: 'x'.repeat(200) });

const folder = mkdtempSync(join(tmpdir(), 'gatehouse-engines-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true, maxRetries: 3 }));

interface Figures {
  readonly perSecond: number;
  readonly microseconds: number;
  readonly alone: number;
  /** CPU for each event that one subscriber gets. */
  readonly received: number;
}

const BROKERS = { nats: startNats, redis: startRedis };
const rows: string[][] = [];
for (const name of (values.engine ?? ['nats', 'redis']) as ('nats' | 'redis')[]) {
  const broker = await BROKERS[name]();
  try {
    const bare = await measureBare(name, broker.url);
    const gateway = await measureGateway(broker.url);
    const row = (who: string, { perSecond, microseconds, alone, received }: Figures): string[] => [
      name,
      who,
      figure(perSecond),
      figure(microseconds),
      figure(alone),
      figure(received),
    ];
    rows.push(row('bare client', bare), row('gateway', gateway));
    const ratio = (key: 'microseconds' | 'received'): string => figure(gateway[key] / bare[key]);
    rows.push([name, 'ratio', '', ratio('microseconds'), `+${figure(gateway.alone - bare.alone)}`, ratio('received')]);
  } finally {
    await broker.stop();
  }
}
const { cpu, cores, node, pinned } = describeMachine();
console.log(`${cpu}, ${cores} cores, Node ${node}${pinned ? '' : ', not pinned: the figures mean little'}`);
const head = [
  'broker',
  'by',
  'events a second',
  'CPU to publish one, µs',
  'acknowledged alone, ms',
  'CPU to get one, µs',
];
console.log(markdownTable(head, rows));
process.exit(0);

async function measureBare(name: string, url: string): Promise<Figures> {
  const running = await start({
    role: 'proxy',
    command: process.execPath,
    args: [BARE, name, url, String(seconds), String(AT_ONCE), String(ALONE), BODY],
    folder: mkdtempSync(join(folder, 'bare-')),
    ipc: true,
  });
  const figures = await new Promise<Figures>((resolve, reject) => {
    running.child.once('message', (message) => resolve(message as Figures));
    running.child.once('exit', () => reject(new Error(running.output())));
  });
  await running.stop();
  return figures;
}

async function measureGateway(broker: string): Promise<Figures> {
  const { running, port } = await startGateway(broker);
  const agent = new Agent({ keepAlive: true, maxSockets: AT_ONCE });
  try {
    await Promise.all(Array.from({ length: AT_ONCE }, () => publish(agent, port)));
    const alone: number[] = [];
    for (let i = 0; i < ALONE; i++) {
      const beganAt = performance.now();
      await publish(agent, port);
      alone.push(performance.now() - beganAt);
    }
    let count = 0;
    const cpuBefore = cpuNanoseconds(running.pids());
    const endAt = performance.now() + seconds * 1_000;
    await Promise.all(
      Array.from({ length: AT_ONCE }, async () => {
        for (; performance.now() < endAt; count++) await publish(agent, port);
      }),
    );
    const microseconds = (cpuNanoseconds(running.pids()) - cpuBefore) / 1_000 / count;
    const total = count + ALONE + AT_ONCE;
    const readBefore = cpuNanoseconds(running.pids());
    await subscribe(port, total);
    const received = (cpuNanoseconds(running.pids()) - readBefore) / 1_000 / total;
    return { perSecond: count / seconds, microseconds, alone: median(alone), received };
  } finally {
    agent.destroy();
    await running.stop();
  }
}

async function startGateway(broker: string): Promise<{ running: Running; port: number }> {
  const port = await freePort();
  const dataDir = mkdtempSync(join(folder, 'gateway-'));
  const file = join(dataDir, 'gatehouse.json');
  const document = {
    gateway: { host: '127.0.0.1', port, workers: 1, dataDir, accessLog: 'off' },
    events: { engines: { broker: { url: broker } }, streams: { news: { engine: 'broker' } } },
    routes: [
      { match: { path: '/publish' }, publish: { stream: 'news' }, auth: 'public' },
      { match: { path: '/events' }, subscribe: { stream: 'news', from: 'earliest', format: 'data' }, auth: 'public' },
    ],
  };
  writeFileSync(file, JSON.stringify(document));
  const args = [join(root, 'bin/gatehouse.js'), 'start', file];
  const running = await start({ role: 'proxy', command: process.execPath, args, folder: dataDir, readyPort: port });
  return { running, port };
}

/** Resolves once it is acknowledged. */
function publish(agent: Agent, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/json', 'content-length': BODY.length };
    const call = request({ agent, port, host: '127.0.0.1', path: '/publish', method: 'POST', headers }, (response) => {
      response.resume();
      response.once('end', () => {
        if (response.statusCode === 202) resolve();
        else reject(new Error(`status ${response.statusCode}`));
      });
    });
    call.once('error', reject);
    call.end(BODY);
  });
}

/** Resolves when so many events have come. */
function subscribe(port: number, total: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const call = request({ port, host: '127.0.0.1', path: '/events' }, (response) => {
      let seen = 0;
      let tail = '';
      response.on('data', (bytes: Buffer) => {
        const parts = (tail + bytes.toString('latin1')).split('\ndata:');
        tail = parts.at(-1)!.slice(-6);
        seen += parts.length - 1;
        if (seen < total) return;
        response.destroy();
        resolve();
      });
    });
    call.once('error', reject);
    call.end();
  });
}
