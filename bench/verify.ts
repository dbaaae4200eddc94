/**
 * What a token costs the first time it is seen: `npm run bench:verify [-- --seconds N --rounds N --callers N --rates
 * A,B --cores 0]`. Every request carries another ES256 token, so that no cache of verified tokens ever helps; 50
 * callers on kept connections. Paced at fixed rates, with times counted from when a request was due, and once in a
 * closed loop at full load, which is bounded by the processor and not by a target. Linux; everything on loopback.
 */

import { spawnSync } from 'node:child_process';
import { generateKeyPairSync, sign } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readArguments } from './lib/arguments.ts';
import { download } from './lib/bodies.ts';
import type { LoadPlan, LoadResult } from './lib/load.ts';
import { describeMachine } from './lib/machine.ts';
import { freePort } from './lib/ports.ts';
import { capture, type Running, start } from './lib/processes.ts';
import { cpuNanoseconds } from './lib/procfs.ts';
import { quietest } from './lib/quiet.ts';
import { median, quantile } from './lib/statistics.ts';
import { figure, markdownTable } from './lib/table.ts';
import type { PacedPlan } from './load-paced.ts';

const root = fileURLToPath(new URL('../', import.meta.url));
const values = readArguments(import.meta.filename, {
  seconds: { type: 'string', default: '2' },
  rounds: { type: 'string', default: '8' },
  callers: { type: 'string', default: '50' },
  rates: { type: 'string', default: '500,1000,2000' },
  /** Cores of the gateway, with a worker for each. The load and the upstream have the last one of the machine. */
  cores: { type: 'string', default: '0' },
  json: { type: 'string' },
});
const seconds = Number(values.seconds);
const rounds = Number(values.rounds);
const callers = Number(values.callers);
const rates = values.rates.split(',').map(Number);

const BODY = '/1k.json';
const ISSUER = 'https://issuer.bench';
const AUDIENCE = 'bench';
/** Tokens of one burst at full load; more than any machine verifies in that time on one core. */
const FULL_LOAD_PER_SECOND = 15_000;
const TARGET_MS = 10;

const folder = mkdtempSync(join(tmpdir(), 'gatehouse-verify-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true, maxRetries: 3 }));
const keys = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const running: Running[] = [];
let made = 0;

interface Measured extends LoadResult {
  readonly cpuUs: number;
  /** Cores that other programs used meanwhile: what is above 0.1 was disturbed. */
  readonly foreignCores: number;
}

try {
  await main();
} finally {
  await Promise.all(running.reverse().map((each) => each.stop()));
}

async function main(): Promise<void> {
  const port = await startAll();
  const gateway = running.at(-1);
  if (gateway === undefined) throw new Error('nothing runs');
  await burst(gateway, 'bench/load-paced.ts', { ...planOf(port, 2, 1_000), perSecond: 500 } as PacedPlan);
  const results = new Map<string, Measured[]>();
  for (let round = 0; round < rounds; round++) {
    for (const rate of rates) {
      add(results, `${rate}/s`, await paced(gateway, port, rate, seconds));
      // What of it is not the token's: the same load with one token, which the cache knows.
      add(results, `${rate}/s, one token`, await paced(gateway, port, rate, seconds, 1));
    }
    add(results, 'closed loop', await closedLoop(gateway, port));
  }
  report(results);
}

function add(results: Map<string, Measured[]>, name: string, one: Measured): void {
  const series = results.get(name);
  if (series === undefined) results.set(name, [one]);
  else series.push(one);
}

async function startAll(): Promise<number> {
  const upstreamPort = await freePort();
  const upstream = { command: process.execPath, args: [join(root, 'bench/upstream.ts'), String(upstreamPort)] };
  running.push(await start({ role: 'load', ...upstream, folder, readyPort: upstreamPort }));
  const publicKey = join(folder, 'public.pem');
  writeFileSync(publicKey, keys.publicKey.export({ type: 'spki', format: 'pem' }));
  const port = await freePort();
  const file = join(folder, 'gatehouse.json');
  const issuer = { issuer: ISSUER, audience: AUDIENCE, publicKey, algorithms: ['ES256'] };
  const document = {
    gateway: {
      host: '127.0.0.1',
      port,
      workers: values.cores.split(',').length,
      dataDir: folder,
      accessLog: { file: join(folder, 'access.log') },
    },
    services: { upstream: { instances: [`http://127.0.0.1:${upstreamPort}`] } },
    routes: [
      { match: { path: '/*' }, service: 'upstream', auth: { jwt: { issuers: [issuer] }, scopes: ['projects:read'] } },
    ],
  };
  writeFileSync(file, JSON.stringify(document, null, 2));
  const args = [join(root, 'bin/gatehouse.js'), 'start', file];
  const gateway = await start({ role: 'proxy', command: process.execPath, args, folder, readyPort: port });
  running.push(gateway);
  spawnSync('taskset', ['-apc', values.cores, String(gateway.pid)]);
  return port;
}

/** A file of tokens that were never sent before. */
function freshTokens(count: number): string {
  const encode = (part: object): string => Buffer.from(JSON.stringify(part)).toString('base64url');
  const head = encode({ alg: 'ES256', typ: 'JWT', kid: 'bench' });
  const now = Math.floor(Date.now() / 1_000);
  const lines: string[] = [];
  for (let i = 0; i < count; i++) {
    const claims = { iss: ISSUER, aud: AUDIENCE, sub: `user-${i % 1_000}`, jti: `token-${made++}` };
    const text = `${head}.${encode({ ...claims, iat: now, exp: now + 3_600, scope: 'projects:read projects:write' })}`;
    const signature = sign('sha256', Buffer.from(text), { key: keys.privateKey, dsaEncoding: 'ieee-p1363' });
    lines.push(`${text}.${signature.toString('base64url')}`);
  }
  const file = join(folder, 'tokens.txt');
  writeFileSync(file, `${lines.join('\n')}\n`);
  return file;
}

function planOf(port: number, forSeconds: number, tokens: number): LoadPlan {
  const target = { port, tls: false, path: BODY, uploadBytes: 0, expectBytes: download(BODY).bytes.length };
  return { ...target, tokensFile: freshTokens(tokens), connections: callers, seconds: forSeconds };
}

async function paced(
  gateway: Running,
  port: number,
  perSecond: number,
  forSeconds: number,
  tokens = Math.ceil(perSecond * forSeconds),
): Promise<Measured> {
  return await run(() => {
    const plan: PacedPlan = { ...planOf(port, forSeconds, tokens), perSecond };
    return burst(gateway, 'bench/load-paced.ts', plan);
  });
}

async function closedLoop(gateway: Running, port: number): Promise<Measured> {
  const result = await run(() =>
    burst(gateway, 'bench/load.ts', planOf(port, seconds, FULL_LOAD_PER_SECOND * seconds)),
  );
  if (result.requests > FULL_LOAD_PER_SECOND * seconds) throw new Error('the tokens came round again');
  return result;
}

/** The quietest of a few tries, each with tokens of its own. */
async function run(measure: () => Promise<Omit<Measured, 'foreignCores'>>): Promise<Measured> {
  const [result, foreignCores] = await quietest(running, measure);
  return { ...result, foreignCores };
}

async function burst(gateway: Running, script: string, plan: LoadPlan): Promise<Omit<Measured, 'foreignCores'>> {
  const before = cpuNanoseconds(gateway.pids());
  const text = await capture('load', process.execPath, [join(root, script), JSON.stringify(plan)], 60_000);
  const result = JSON.parse(text) as LoadResult;
  const cpuUs = (cpuNanoseconds(gateway.pids()) - before) / 1e3 / Math.max(1, result.requests);
  return { ...result, cpuUs };
}

function report(results: ReadonlyMap<string, readonly Measured[]>): void {
  const rows = [...results].map(([name, series]) => {
    const all = (key: 'p50Ms' | 'p99Ms' | 'cpuUs'): number[] => series.map((one) => one[key]);
    return [
      name,
      name.includes('/s') ? '-' : figure(median(series.map((one) => one.requests / one.seconds))),
      figure(median(all('p50Ms'))),
      figure(median(all('p99Ms'))),
      `${figure(Math.min(...all('p99Ms')))}..${figure(quantile(all('p99Ms'), 1))}`,
      figure(median(all('cpuUs'))),
      figure(median(series.map((one) => one.foreignCores))),
      String(series.reduce((sum, one) => sum + one.errors, 0)),
    ];
  });
  const header = ['load', 'answers/s', 'p50 ms', 'p99 ms', 'p99 of rounds', 'CPU us/req', 'others', 'errors'];
  const machine = describeMachine();
  console.log(
    [
      `${machine.cpu}, ${machine.cores} cores, Linux ${machine.kernel}, Node ${machine.node}; gateway on core(s) ${values.cores}`,
      `${callers} callers, every token seen for the first time where nothing else is said, ${rounds} rounds of ${seconds} s; medians; target p99 ${TARGET_MS} ms`,
      '',
      markdownTable(header, rows),
    ].join('\n'),
  );
  if (values.json !== undefined)
    writeFileSync(
      values.json,
      `${JSON.stringify({ machine, values, results: Object.fromEntries(results) }, null, 2)}\n`,
    );
}
