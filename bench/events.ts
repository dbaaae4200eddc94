/**
 * One event to many subscribers: `npm run bench:events [-- --subscribers N] [--gateways N] [--rounds N] [--json FILE]`
 * after `npm run build`; Linux. Gateways with one worker, all pinned to one core, share N subscribers, over
 * the hub's WebSockets and over server-sent events; for each event the time from the request that publishes it until
 * the last subscriber has it is taken, and the gateway's CPU. Subscribers are bare sockets of this process, so that
 * they cost little. Wanted: 10,000 subscribers in 250 ms. Each takes one file descriptor of its gateway (`ulimit
 * -n`): where there are too few for all, `--gateways 2` shares the crowd over two that share a store.
 */
import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readArguments } from './lib/arguments.ts';
import { describeMachine } from './lib/machine.ts';
import { freePort } from './lib/ports.ts';
import { type Running, start } from './lib/processes.ts';
import { cpuNanoseconds } from './lib/procfs.ts';
import { median } from './lib/statistics.ts';
import { figure, markdownTable } from './lib/table.ts';

const root = fileURLToPath(new URL('../', import.meta.url));
const values = readArguments(import.meta.filename, {
  subscribers: { type: 'string', default: '6000' },
  gateways: { type: 'string', default: '1' },
  rounds: { type: 'string', default: '10' },
  json: { type: 'string' },
});
const subscribers = Number(values.subscribers);
const gateways = Number(values.gateways);
const rounds = Number(values.rounds);
/** That connect at a time. */
const AT_ONCE = 100;
const GIVE_UP_MS = 30_000;

interface Door {
  readonly name: string;
  readonly head: string;
  readonly publishTo: string;
}

interface Gateway {
  readonly running: Running;
  readonly port: number;
}

interface Result {
  readonly door: string;
  readonly lastMs: readonly number[];
  readonly acceptedMs: readonly number[];
  /** CPU of the gateway for one event to one subscriber. */
  readonly microsecondsEach: number;
}

const DOORS: readonly Door[] = [
  {
    name: 'hub, WebSocket',
    head: `GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${randomBytes(16).toString('base64')}\r\n\r\n`,
    publishTo: '/ws/topics/news.x',
  },
  { name: 'server-sent events', head: 'GET /events HTTP/1.1\r\nHost: a\r\n\r\n', publishTo: '/publish' },
];

const folder = mkdtempSync(join(tmpdir(), 'gatehouse-events-bench-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true, maxRetries: 3 }));

const results: Result[] = [];
for (const door of DOORS) results.push(await measure(door));
report();

async function measure(door: Door): Promise<Result> {
  const place = mkdtempSync(join(folder, `${door.name.slice(0, 3)}-`));
  const all: Gateway[] = [];
  for (let i = 0; i < gateways; i++) all.push(await startGateway(place, i));
  const pids = (): readonly number[] => all.flatMap(({ running }) => running.pids());
  const [{ port: publishPort }] = all as [Gateway];
  const crowd: Socket[] = [];
  /** Marks that subscribers have not seen yet. */
  let missing = 0;
  let mark = '';
  let lastAt = 0;
  let complete: () => void = () => {};
  const subscribe = async (who: number): Promise<void> => {
    const socket = connect({ port: all[who % gateways]!.port, host: '127.0.0.1' });
    crowd.push(socket);
    let tail = '';
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject);
      socket.once('close', () => reject(new Error('a subscriber was cut off')));
      socket.on('data', (bytes: Buffer) => {
        const text = tail + bytes.toString('latin1');
        if (text.includes('\r\n\r\n')) resolve();
        if (mark !== '' && text.includes(mark)) {
          tail = '';
          lastAt = performance.now();
          if (--missing === 0) complete();
        } else tail = text.slice(-200);
      });
      socket.write(door.head);
    });
  };
  try {
    for (let i = 0; i < subscribers; i += AT_ONCE) {
      await Promise.all(Array.from({ length: Math.min(AT_ONCE, subscribers - i) }, (_, n) => subscribe(i + n)));
    }
    const lastMs: number[] = [];
    const acceptedMs: number[] = [];
    let cpuNs = 0;
    // The first one warms it up.
    for (let round = 0; round <= rounds; round++) {
      mark = randomBytes(9).toString('hex');
      missing = subscribers;
      const everybody = new Promise<void>((resolve, reject) => {
        const timer = setTimeout(() => reject(new Error(`${missing} subscribers got nothing`)), GIVE_UP_MS);
        complete = () => {
          clearTimeout(timer);
          resolve();
        };
      });
      const cpuBefore = cpuNanoseconds(pids());
      const beganAt = performance.now();
      const response = await fetch(`http://127.0.0.1:${publishPort}${door.publishTo}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ mark, pad: 'x'.repeat(200) }),
      });
      const acceptedAt = performance.now();
      if (response.status !== 202) throw new Error(`status ${response.status}: ${await response.text()}`);
      await response.arrayBuffer();
      await everybody;
      if (round === 0) continue;
      cpuNs += cpuNanoseconds(pids()) - cpuBefore;
      lastMs.push(lastAt - beganAt);
      acceptedMs.push(acceptedAt - beganAt);
    }
    return { door: door.name, lastMs, acceptedMs, microsecondsEach: cpuNs / 1_000 / rounds / subscribers };
  } finally {
    for (const socket of crowd) socket.removeAllListeners('close').destroy();
    for (const { running } of all) await running.stop();
  }
}

async function startGateway(place: string, index: number): Promise<Gateway> {
  const port = await freePort();
  const dataDir = join(place, String(index));
  mkdirSync(dataDir);
  const document = {
    gateway: {
      host: '127.0.0.1',
      port,
      workers: 1,
      dataDir,
      accessLog: 'off',
      limits: { maxConnections: 100_000, maxTunnels: 100_000 },
    },
    events: {
      store: `sqlite:${join(place, 'events.db')}`,
      streams: { news: {} },
      maxSubscribers: 100_000,
      hub: {
        topics: [{ topic: 'news.>', subscribe: 'anyone', publish: 'anyone', join: true }],
        limits: { connections: 100_000 },
        heartbeat: '60s',
      },
    },
    routes: [
      { match: { path: '/ws/*' }, builtin: 'realtime', auth: 'public', realtime: { anonymous: true } },
      {
        match: { path: '/events' },
        subscribe: { stream: 'news', maxPerCaller: 100_000, format: 'data' },
        auth: 'public',
      },
      { match: { path: '/publish' }, publish: { stream: 'news' }, auth: 'public' },
    ],
  };
  const file = join(dataDir, 'gatehouse.json');
  writeFileSync(file, JSON.stringify(document));
  const args = [join(root, 'bin/gatehouse.js'), 'start', file];
  const running = await start({ role: 'proxy', command: process.execPath, args, folder: dataDir, readyPort: port });
  return { running, port };
}

function report(): void {
  const { cpu, cores, node, pinned } = describeMachine();
  console.log(
    `${subscribers} subscribers of ${gateways} gateway${gateways === 1 ? '' : 's'}, ${rounds} events each; ${cpu}, ${cores} cores, Node ${node}`,
  );
  if (!pinned) console.log('not pinned to a core: the figures mean little');
  const rows = results.map(({ door, lastMs, acceptedMs, microsecondsEach }) => [
    door,
    figure(median(lastMs)),
    figure(Math.max(...lastMs)),
    figure(median(acceptedMs)),
    figure(microsecondsEach),
  ]);
  const head = ['door', 'last subscriber, ms', 'longest, ms', '202, ms', 'CPU for each, µs'];
  console.log(markdownTable(head, rows));
  if (values.json !== undefined)
    writeFileSync(values.json, `${JSON.stringify({ subscribers, rounds, results }, null, 2)}\n`);
}
