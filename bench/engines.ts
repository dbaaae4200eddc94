/**
 * What the gateway adds to a broker: `npm run bench:engines [-- --seconds N] [--engine nats|redis]` after `npm run
 * build`; Linux. For each broker that is installed, events are published 32 at a time, and then read by one subscriber,
 * in three ways, each pinned to the same core: by the broker's own client in a bare process, which shows what the
 * broker's protocol costs; by the same client behind a plain node:http server, which shows what any program costs that
 * takes events by HTTP and sends them as server-sent events; and by `publish` and `subscribe` of a gateway with one
 * worker; and again as batches of 50: CloudEvents over HTTP, and as many publications in one turn by the bare client.
 * CPU for each event, events a second, and how long an acknowledgement takes, one at a time, after some seconds of
 * warming up, when the process is at rest. Wanted: 202 adds at most 1 ms; CPU at most 1.5 times the bare
 * client's.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { startNats } from '../test/support/nats.ts';
import { startRedis } from '../test/support/redis.ts';
import { readArguments } from './lib/arguments.ts';
import { describeMachine } from './lib/machine.ts';
import { freePort } from './lib/ports.ts';
import { type Running, start } from './lib/processes.ts';
import { cpuNanoseconds } from './lib/procfs.ts';
import { median } from './lib/statistics.ts';
import { figure, markdownTable } from './lib/table.ts';

const root = fileURLToPath(new URL('../', import.meta.url));
const BARE = fileURLToPath(new URL('bare-engine.ts', import.meta.url));
const values = readArguments(import.meta.filename, {
  seconds: { type: 'string', default: '4' },
  engine: { type: 'string', multiple: true, choices: ['nats', 'redis'] },
});
const seconds = Number(values.seconds);
const AT_ONCE = 32;
const ALONE = 300;
const WARM_UP_MS = 3_000;
const REST_MS = 300;
const BODY = JSON.stringify({ pad: 'x'.repeat(200) });
/** Events of one request, and requests at once. */
const BATCH = 50;
const BATCHES_AT_ONCE = 4;
const BATCH_BODY = JSON.stringify(
  Array.from({ length: BATCH }, (_, index) => ({
    specversion: '1.0',
    id: String(index),
    source: '/bench',
    type: 'bench',
    data: { pad: 'x'.repeat(200) },
  })),
);

const folder = mkdtempSync(join(tmpdir(), 'gatehouse-engines-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true, maxRetries: 3 }));

interface Figures {
  readonly perSecond: number;
  readonly microseconds: number;
  readonly alone: number;
  /** CPU for each event of a batch. */
  readonly batched: number;
  /** CPU for each event that one subscriber gets. */
  readonly received: number;
}

interface Target {
  readonly running: Running;
  readonly port: number;
}

const BROKERS = { nats: startNats, redis: startRedis };
const rows: string[][] = [];
for (const name of (values.engine ?? ['nats', 'redis']) as ('nats' | 'redis')[]) {
  const broker = await BROKERS[name]();
  try {
    const bare = await measureBare(name, broker.url);
    const plain = await measureOverHttp(await startPlain(name, broker.url));
    const gateway = await measureOverHttp(await startGateway(broker.url));
    const row = (who: string, { perSecond, microseconds, batched, alone, received }: Figures): string[] => [
      name,
      who,
      figure(perSecond),
      figure(microseconds),
      figure(batched),
      figure(alone),
      figure(received),
    ];
    rows.push(row('bare client', bare), row('bare client behind node:http', plain), row('gateway', gateway));
    for (const [who, other] of [['bare client', bare] as const, ['node:http', plain] as const]) {
      const ratio = (key: 'microseconds' | 'batched' | 'received'): string => figure(gateway[key] / other[key]);
      const more = `+${figure(gateway.alone - other.alone)}`;
      rows.push([name, `gateway to ${who}`, '', ratio('microseconds'), ratio('batched'), more, ratio('received')]);
    }
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
  `one of a batch of ${BATCH}, µs`,
  'acknowledged alone, ms',
  'CPU to get one, µs',
];
console.log(markdownTable(head, rows));
process.exit(0);

async function measureBare(name: string, url: string): Promise<Figures> {
  const running = await startBare('alone', name, url, 0);
  const figures = await new Promise<Figures>((resolve, reject) => {
    running.child.once('message', (message) => resolve(message as Figures));
    running.child.once('exit', () => reject(new Error(running.output())));
  });
  await running.stop();
  return figures;
}

async function startPlain(name: string, url: string): Promise<Target> {
  const port = await freePort();
  return { running: await startBare('http', name, url, port), port };
}

function startBare(mode: 'alone' | 'http', name: string, url: string, port: number): Promise<Running> {
  return start({
    role: 'proxy',
    command: process.execPath,
    args: [
      BARE,
      mode,
      name,
      url,
      ...[seconds, AT_ONCE, ALONE, port].map(String),
      BODY,
      String(BATCH),
      String(BATCHES_AT_ONCE),
    ],
    folder: mkdtempSync(join(folder, 'bare-')),
    ipc: mode === 'alone',
    ...(port === 0 ? {} : { readyPort: port }),
  });
}

async function measureOverHttp({ running, port }: Target): Promise<Figures> {
  const agent = new Agent({ keepAlive: true, maxSockets: AT_ONCE });
  const publishFor = async (ms: number, body = BODY, atOnce = AT_ONCE): Promise<number> => {
    let count = 0;
    const endAt = performance.now() + ms;
    await Promise.all(
      Array.from({ length: atOnce }, async () => {
        for (; performance.now() < endAt; count++) await publish(agent, port, body);
      }),
    );
    return count;
  };
  const cpu = (): number => cpuNanoseconds(running.pids()) / 1_000;
  try {
    const warmed = await publishFor(WARM_UP_MS);
    await atRest(running);
    const alone: number[] = [];
    for (let i = 0; i < ALONE; i++) {
      const beganAt = performance.now();
      await publish(agent, port, BODY);
      alone.push(performance.now() - beganAt);
    }
    const before = cpu();
    const count = await publishFor(seconds * 1_000);
    const microseconds = (cpu() - before) / count;
    const total = warmed + ALONE + count;
    const readBefore = cpu();
    await subscribe(port, total);
    const received = (cpu() - readBefore) / total;
    await publishFor(WARM_UP_MS, BATCH_BODY, BATCHES_AT_ONCE);
    const batchesBefore = cpu();
    const batches = await publishFor(seconds * 1_000, BATCH_BODY, BATCHES_AT_ONCE);
    const batched = (cpu() - batchesBefore) / (batches * BATCH);
    return { perSecond: count / seconds, microseconds, alone: median(alone), batched, received };
  } finally {
    agent.destroy();
    await running.stop();
  }
}

/** Resolves when it has done nothing to speak of for a moment: it has started, and its spare worker too. */
async function atRest(running: Running): Promise<void> {
  for (let quiet = 0, i = 0; quiet < 2 && i < 60; i++) {
    const before = cpuNanoseconds(running.pids());
    await delay(REST_MS);
    const share = (cpuNanoseconds(running.pids()) - before) / 1e6 / REST_MS;
    quiet = share < 0.03 ? quiet + 1 : 0;
  }
}

async function startGateway(broker: string): Promise<Target> {
  const port = await freePort();
  const dataDir = mkdtempSync(join(folder, 'gateway-'));
  const file = join(dataDir, 'gatehouse.json');
  const document = {
    gateway: { host: '127.0.0.1', port, workers: 1, spareWorker: false, dataDir, accessLog: 'off' },
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
function publish(agent: Agent, port: number, body: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const type = body === BATCH_BODY ? 'application/cloudevents-batch+json' : 'application/json';
    const headers = { 'content-type': type, 'content-length': body.length };
    const call = request({ agent, port, host: '127.0.0.1', path: '/publish', method: 'POST', headers }, (response) => {
      response.resume();
      response.once('end', () => {
        if (response.statusCode === 202) resolve();
        else reject(new Error(`status ${response.statusCode}`));
      });
    });
    call.once('error', reject);
    call.end(body);
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
