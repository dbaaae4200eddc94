/**
 * What exact limits through Redis add to a request: `npm run bench:redis [-- --rounds N] [--seconds N] [--rate N]
 * [--json FILE]` after `npm run build`; Linux, redis-server installed. A gateway that counts in Redis and one that
 * counts in memory are asked in turn at the same rate over the same connections; meanwhile a third program asks the
 * same Redis with PING, which is the bare round trip under that load. Wanted: one command a request, and at the 99th
 * percentile no more on top than twice the bare round trip. How long it is without load is measured too, as a row of
 * its own.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { startRedis } from '../test/support/redis.ts';
import { readArguments } from './lib/arguments.ts';
import type { LoadResult } from './lib/load.ts';
import { describeMachine } from './lib/machine.ts';
import { freePort } from './lib/ports.ts';
import { capture, pinned, type Running, start } from './lib/processes.ts';
import { quietest } from './lib/quiet.ts';
import { median, quantile } from './lib/statistics.ts';
import { figure, markdownTable } from './lib/table.ts';
import type { PacedPlan } from './load-paced.ts';
import type { RedisPlan } from './load-redis.ts';

const root = fileURLToPath(new URL('../', import.meta.url));
const values = readArguments(import.meta.filename, {
  rounds: { type: 'string', default: '9' },
  seconds: { type: 'string', default: '3' },
  rate: { type: 'string', default: '1000' },
  json: { type: 'string' },
});
const rounds = Number(values.rounds);
const seconds = Number(values.seconds);
const perSecond = Number(values.rate);
const CONNECTIONS = 32;
const BODY = 'ok';
/** So few that they are no load themselves. */
const PINGS = 250;
const MOST_ATTEMPTS = 5;
/** Added at the 99th percentile, in bare round trips. */
const MOST_ROUND_TRIPS = 2;

interface Round {
  readonly local: LoadResult;
  readonly exact: LoadResult;
  /** While the gateway counts in Redis. */
  readonly bare: LoadResult;
  readonly idle: LoadResult;
  readonly foreignCores: number;
}

const folder = mkdtempSync(join(tmpdir(), 'gatehouse-redis-bench-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true, maxRetries: 3 }));
const redis = await startRedis();
const running: Running[] = [];
try {
  await main();
} finally {
  await Promise.all(running.map((each) => each.stop()));
  await redis.stop();
}

async function main(): Promise<void> {
  // As the other end of every benchmark here: beside the load, so that the gateway has its core to itself.
  const id = /process_id:(\d+)/.exec(await redis.command('INFO', 'server'))?.[1];
  if (pinned && id !== undefined) spawnSync('taskset', ['-cp', '1', id]);
  const ports = { local: await startGateway('local', {}), exact: await startGateway('exact', { redis: redis.url }) };
  for (const port of Object.values(ports)) await paced(port, 1);
  const done: Round[] = [];
  let commands = 0;
  for (let round = 0; round < rounds; round++) {
    // In turn and in changing order, so that a slow phase of the machine hits all three.
    const [result, foreignCores] = await quietest(running, async () => {
      const beside: { bare?: LoadResult } = {};
      const steps = {
        local: async () => (await Promise.all([paced(ports.local, seconds), bare()]))[0],
        idle: () => bare(),
        exact: async () => {
          const before = await scripts();
          const [taken, alone] = await Promise.all([paced(ports.exact, seconds), bare()]);
          commands = ((await scripts()) - before) / (perSecond * seconds);
          beside.bare = alone;
          return taken;
        },
      };
      const order = round % 2 === 0 ? (['local', 'idle', 'exact'] as const) : (['exact', 'idle', 'local'] as const);
      const taken: Partial<Record<keyof typeof steps, LoadResult>> = {};
      for (const name of order) taken[name] = await steps[name]();
      return { ...taken, ...beside } as Pick<Round, 'local' | 'exact' | 'bare' | 'idle'>;
    });
    done.push({ ...result, foreignCores });
  }
  report(done, commands);
}

async function startGateway(name: string, stores: object): Promise<number> {
  const port = await freePort();
  const document = {
    gateway: { host: '127.0.0.1', port, workers: 1, dataDir: join(folder, name), accessLog: 'off' },
    stores,
    // A stall of the machine must not be answered without Redis.
    limits: { redis: { timeout: '5s', fallback: 'closed' } },
    routes: [
      {
        match: { path: '/limited' },
        respond: { status: 200, body: BODY },
        auth: 'public',
        rateLimit: { by: 'ip', limits: ['10000000/1m', '16000000/1h'] },
      },
    ],
  };
  const file = join(folder, `${name}.json`);
  writeFileSync(file, JSON.stringify(document));
  const args = [join(root, 'bin/gatehouse.js'), 'start', file];
  running.push(await start({ role: 'proxy', command: process.execPath, args, folder, readyPort: port }));
  return port;
}

async function paced(port: number, forSeconds: number): Promise<LoadResult> {
  const plan = { port, path: '/limited', connections: CONNECTIONS, seconds: forSeconds, expectBytes: BODY.length };
  return await load('load-paced.ts', { ...plan, perSecond } as PacedPlan, forSeconds);
}

async function bare(): Promise<LoadResult> {
  return await load('load-redis.ts', { port: redis.port, perSecond: PINGS, seconds } satisfies RedisPlan, seconds);
}

async function load(script: string, plan: object, forSeconds: number): Promise<LoadResult> {
  const path = fileURLToPath(new URL(script, import.meta.url));
  for (let attempt = 1; ; attempt++) {
    const out = await capture('load', process.execPath, [path, JSON.stringify(plan)], forSeconds * 1_000 + 15_000);
    const result = JSON.parse(out) as LoadResult;
    if (result.errors === 0) return result;
    // On a machine that others keep busy, answers may still be under way when the load ends.
    if (attempt === MOST_ATTEMPTS) throw new Error(`${script}: ${result.errors} requests were not answered in time`);
  }
}

/** Scripts that Redis has run so far. */
async function scripts(): Promise<number> {
  const text = await redis.command('INFO', 'commandstats');
  return [...text.matchAll(/cmdstat_eval(?:sha)?:calls=(\d+)/g)].reduce((sum, match) => sum + Number(match[1]), 0);
}

function report(done: readonly Round[], commands: number): void {
  const of = (pick: (round: Round) => number): string => {
    const all = done.map(pick);
    return `${figure(median(all))} (${figure(quantile(all, 0.25))} to ${figure(quantile(all, 0.75))})`;
  };
  const added = (q: 'p50Ms' | 'p99Ms') => (round: Round) => round.exact[q] - round.local[q];
  const trips = (q: 'p50Ms' | 'p99Ms') => (round: Round) => added(q)(round) / round.bare[q];
  const rows = [
    ['limits in memory', of(({ local }) => local.p50Ms), of(({ local }) => local.p99Ms)],
    ['limits in Redis, exact', of(({ exact }) => exact.p50Ms), of(({ exact }) => exact.p99Ms)],
    ['added', of(added('p50Ms')), of(added('p99Ms'))],
    ['PING meanwhile', of(({ bare: meanwhile }) => meanwhile.p50Ms), of(({ bare: meanwhile }) => meanwhile.p99Ms)],
    ['PING without load', of(({ idle }) => idle.p50Ms), of(({ idle }) => idle.p99Ms)],
    ['added, in bare round trips under load', of(trips('p50Ms')), of(trips('p99Ms'))],
  ];
  const share = median(done.map(trips('p99Ms')));
  console.log(`${perSecond} requests a second over ${CONNECTIONS} connections, ${done.length} rounds of ${seconds} s`);
  console.log(`cores used by others: ${figure(median(done.map(({ foreignCores }) => foreignCores)))}`);
  console.log(markdownTable(['ms; median (middle half) of the rounds', 'p50', 'p99'], rows));
  console.log(`commands to Redis for each request: ${figure(commands)}`);
  console.log(
    `added at p99: ${figure(share)} bare round trips, ${share <= MOST_ROUND_TRIPS ? 'met' : 'MISSED'} (at most ${MOST_ROUND_TRIPS})`,
  );
  if (values.json !== undefined)
    writeFileSync(values.json, `${JSON.stringify({ machine: describeMachine(), rounds: done, commands }, null, 1)}\n`);
}
