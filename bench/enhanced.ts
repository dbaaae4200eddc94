/**
 * Measures the Enhanced document's performance table again, on the example's own gateway: throughput, average latency,
 * memory at rest, CPU under a normal load, 10,000 connections at once. `npm run bench:enhanced -- [--seconds N]
 * [--rounds N] [--held N] [--json FILE]`; Linux. Every request carries one of the tokens of real
 * sign-ins and passes the whole configuration; only the service behind is replaced by one that costs little.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { localInstances } from '../examples/enhanced/instances.ts';
import { setUp } from '../examples/enhanced/set-up.ts';
import { addresses, answerBody, enhancedUpstream } from './enhanced-upstream.ts';
import type { IdleCommand, IdleReply } from './idle-source.ts';
import { readArguments } from './lib/arguments.ts';
import { chooseGenerator, type LoadPlan, type LoadResult, runLoad } from './lib/load.ts';
import { describeMachine } from './lib/machine.ts';
import { freePort } from './lib/ports.ts';
import { capture, type Running, start } from './lib/processes.ts';
import { cpuNanoseconds, descriptorLimit, proportionalBytes, residentBytes } from './lib/procfs.ts';
import { quietest } from './lib/quiet.ts';
import { median } from './lib/statistics.ts';
import type { PacedPlan } from './load-paced.ts';

const root = fileURLToPath(new URL('../', import.meta.url));
const values = readArguments(import.meta.filename, {
  seconds: { type: 'string', default: '5' },
  rounds: { type: 'string', default: '5' },
  held: { type: 'string', default: '10000' },
  json: { type: 'string' },
});
const seconds = Number(values.seconds);
const rounds = Number(values.rounds);

/** What counts as a normal load here; the document does not say. */
const NORMAL_PER_SECOND = 500;
const CONNECTIONS = 32;
const SESSIONS = 40;
const PATH = '/api/v1/projects';
/** One source holds at most this many connections. */
const PER_SOURCE = 5_000;
const MB = 1024 ** 2;

const folder = mkdtempSync(join(tmpdir(), 'gatehouse-enhanced-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true, maxRetries: 3 }));

interface System {
  readonly port: number;
  readonly gateway: Running;
  readonly tokensFile: string;
  readonly upstream: string;
}

const running: Running[] = [];
try {
  await main();
} finally {
  await Promise.all(running.reverse().map((each) => each.stop()));
}

async function main(): Promise<void> {
  const system = await startAll();
  // What was read and compiled at the start is given back a second later.
  await delay(3_000);
  await settled(system.gateway, proportionalBytes);
  const pids = system.gateway.pids();
  const atRest = { resident: residentBytes(pids), proportional: proportionalBytes(pids) };
  await signIn(system);
  await load(system, Math.min(2, seconds));
  const bursts: Burst[] = [];
  const foreign: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const [burst, foreignCores] = await quietest(running, () => timed(system));
    bursts.push(burst);
    foreign.push(foreignCores);
  }
  const middle = (key: keyof Burst): number => median(bursts.map((burst) => burst[key]));
  const [normal, foreignWhilePaced] = await quietest(running, () => paced(system));
  const held = await hold(system);
  const report = {
    machine: describeMachine(),
    command: ['npm run bench:enhanced', ...(process.argv.length > 2 ? ['--', ...process.argv.slice(2)] : [])].join(' '),
    upstream: system.upstream,
    memory: atRest,
    full: {
      connections: CONNECTIONS,
      perSecond: middle('perSecond'),
      averageMs: middle('averageMs'),
      p50Ms: middle('p50Ms'),
      p99Ms: middle('p99Ms'),
      cpuMicrosecondsPerRequest: middle('cpuUs'),
      errors: bursts.reduce((sum, burst) => sum + burst.errors, 0),
    },
    normal,
    held,
    foreignCores: { full: median(foreign), normal: foreignWhilePaced },
  };
  console.log(table(report));
  if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(report, null, 2)}\n`);
}

interface Burst {
  readonly perSecond: number;
  readonly averageMs: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly cpuUs: number;
  readonly errors: number;
}

async function timed(system: System): Promise<Burst> {
  const before = cpuNanoseconds(system.gateway.pids());
  const { requests, seconds: took, p50Ms, p99Ms, errors } = await load(system, seconds);
  const cpuUs = (cpuNanoseconds(system.gateway.pids()) - before) / 1e3 / Math.max(1, requests);
  const perSecond = requests / took;
  // As many in flight as connections, all the time (Little's law).
  return { perSecond, averageMs: (CONNECTIONS * 1000) / perSecond, p50Ms, p99Ms, cpuUs, errors };
}

async function startAll(): Promise<System> {
  const upstreamPort = await freePort();
  const upstream = enhancedUpstream(folder, upstreamPort);
  running.push(await start({ role: 'load', ...upstream, folder, readyPort: upstreamPort }));
  const port = await freePort();
  const env = {
    PORT: String(port),
    WORKERS: '1',
    DATA_DIR: join(folder, 'data'),
    SERVICE_ADDRESSES: localInstances()
      .map(({ name }) => `${name}=${addresses[Number(name.at(-1)) - 1]}:${upstreamPort}`)
      .join(' '),
    DEMO_ACCOUNT: 'true',
    // The document's limit is per address, and all of this load comes from one: it is counted and not reached.
    RATE_LIMIT_MAX: '16000000',
  };
  setUp(join(root, 'bin/gatehouse.js'), { ...process.env, ...env });
  const args = [join(root, 'bin/gatehouse.js'), 'start', join(root, 'examples/enhanced/gatehouse.ts')];
  const gateway = await start({ role: 'proxy', command: process.execPath, args, folder, env, readyPort: port });
  running.push(gateway);
  return { port, gateway, tokensFile: join(folder, 'tokens.txt'), upstream: upstream.name };
}

/** The document's login, once for each session. */
async function signIn({ port, tokensFile }: System): Promise<void> {
  const tokens: string[] = [];
  for (let i = 0; i < SESSIONS; i++) {
    const response = await fetch(`http://127.0.0.1:${port}/api/v1/auth/login`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ username: 'admin', password: 'admin123' }),
    });
    if (!response.ok) throw new Error(`sign-in got ${response.status}: ${await response.text()}`);
    tokens.push(((await response.json()) as { accessToken: string }).accessToken);
  }
  writeFileSync(tokensFile, `${tokens.join('\n')}\n`);
  const refused = await fetch(`http://127.0.0.1:${port}${PATH}`);
  if (refused.status !== 401) throw new Error(`without a token got ${refused.status} in place of 401`);
}

function plan({ port, tokensFile }: System, forSeconds: number): LoadPlan {
  const expectBytes = answerBody.length;
  return {
    port,
    tls: false,
    path: PATH,
    uploadBytes: 0,
    expectBytes,
    tokensFile,
    connections: CONNECTIONS,
    seconds: forSeconds,
  };
}

function load(system: System, forSeconds: number): Promise<LoadResult> {
  return runLoad(chooseGenerator(forSeconds), plan(system, forSeconds), folder);
}

async function paced(system: System) {
  const wanted: PacedPlan = { ...plan(system, Math.max(3, seconds)), perSecond: NORMAL_PER_SECOND };
  const script = fileURLToPath(new URL('./load-paced.ts', import.meta.url));
  const before = { at: performance.now(), cpu: cpuNanoseconds(system.gateway.pids()) };
  const out = await capture('load', process.execPath, [script, JSON.stringify(wanted)], wanted.seconds * 1000 + 15_000);
  const cpu = cpuNanoseconds(system.gateway.pids()) - before.cpu;
  const result = JSON.parse(out) as LoadResult & { averageMs: number };
  // The script's start and end are idle time of the gateway, so the share is taken of the time of the load.
  return { ...result, perSecond: NORMAL_PER_SECOND, cpuShare: cpu / 1e9 / result.seconds };
}

async function hold(system: System) {
  const asked = Number(values.held);
  // Less where `ulimit -n` allows less, and the table says so.
  const possible = Math.min(asked, descriptorLimit() - 500);
  const before = await settled(system.gateway, proportionalBytes);
  const sources: Running[] = [];
  for (let left = possible; left > 0; left -= PER_SOURCE) {
    const args = [fileURLToPath(new URL('./idle-source.ts', import.meta.url))];
    const source = await start({ role: 'load', command: process.execPath, args, folder, ipc: true });
    sources.push(source);
    running.push(source);
    await tell(source, { open: Math.min(left, PER_SOURCE), protocol: 'h1', port: system.port });
  }
  const request = `GET /health/live HTTP/1.1\r\nHost: 127.0.0.1:${system.port}\r\n\r\n`;
  const expectBytes = (await (await fetch(`http://127.0.0.1:${system.port}/health/live`)).text()).length;
  const asking = sources.map((source) => tell(source, { request, expectBytes }));
  const answered = (await Promise.all(asking)).reduce((sum, reply) => sum + reply.answered, 0);
  const after = await settled(system.gateway, proportionalBytes);
  const meanwhile = await load(system, seconds);
  const open = (await Promise.all(sources.map((source) => tell(source, { count: true })))).reduce(
    (sum, reply) => sum + reply.open,
    0,
  );
  const bytes = (after - before) / open;
  return { asked, open, answered, bytes, perSecond: meanwhile.requests / meanwhile.seconds, errors: meanwhile.errors };
}

function tell(source: Running, command: IdleCommand): Promise<IdleReply> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error('the source of idle connections does not answer')), 60_000);
    source.child.once('message', (reply) => {
      clearTimeout(timer);
      resolve(reply as IdleReply);
    });
    source.child.send(command);
  });
}

/** Once it stands still (two readings half a second apart within 1 %), after at most 8 s. */
async function settled(of: Running, read: (pids: readonly number[]) => number): Promise<number> {
  let before = read(of.pids());
  for (let reading = 0; reading < 16; reading++) {
    await delay(500);
    const now = read(of.pids());
    if (Math.abs(now - before) < before * 0.01) return now;
    before = now;
  }
  return before;
}

function table(report: {
  machine: ReturnType<typeof describeMachine>;
  command: string;
  upstream: string;
  memory: { resident: number; proportional: number };
  full: {
    connections: number;
    perSecond: number;
    averageMs: number;
    p50Ms: number;
    p99Ms: number;
    cpuMicrosecondsPerRequest: number;
    errors: number;
  };
  normal: { perSecond: number; cpuShare: number; averageMs: number; p99Ms: number; errors: number };
  foreignCores: { full: number; normal: number };
  held: { asked: number; open: number; answered: number; bytes: number; perSecond: number; errors: number };
}): string {
  const { machine, memory, full, normal, held, foreignCores } = report;
  const number = (value: number, digits = 0): string =>
    value.toLocaleString('en-US', { minimumFractionDigits: digits, maximumFractionDigits: digits });
  const rows = [
    ['Throughput', '10,000+ requests/s', `${number(full.perSecond)} requests/s, ${full.errors} errors`],
    [
      'Latency',
      '< 5 ms on average',
      `${number(full.averageMs, 2)} ms at that throughput (99 %: ${number(full.p99Ms, 2)} ms); ${number(normal.averageMs, 2)} ms at ${normal.perSecond}/s`,
    ],
    [
      'Memory',
      '< 100 MB at rest',
      `${number(memory.resident / MB)} MB resident, ${number(memory.proportional / MB)} MB proportional`,
    ],
    [
      'CPU',
      '< 10 % under normal load',
      `${number(normal.cpuShare * 100, 1)} % of one core at ${normal.perSecond} requests/s; ${number(full.cpuMicrosecondsPerRequest, 1)} µs per request under full load`,
    ],
    [
      'Connections',
      '10,000+ at once',
      `${number(held.open)} of ${number(held.asked)} open, ${number(held.answered)} answered, ${number(held.bytes / 1024, 1)} KB each; meanwhile ${number(held.perSecond)} requests/s with ${held.errors} errors`,
    ],
  ];
  return [
    '| | the document | measured |',
    '| --- | --- | --- |',
    ...rows.map((row) => `| ${row.join(' | ')} |`),
    '',
    `${machine.cpu}, ${machine.cores} cores, Node ${machine.node}, Linux ${machine.kernel}; one worker${machine.pinned ? ', alone on its core' : ''}; ${full.connections} connections; upstream ${report.upstream}; other programs meanwhile used ${number(foreignCores.full, 2)} and ${number(foreignCores.normal, 2)} cores`,
    `\`${report.command}\``,
  ].join('\n');
}
