/**
 * Does a flood of sign-ins slow down everybody else? `npm run bench:login [-- --seconds N --rounds N --callers N
 * --cores 0]`. Starts the compiled gateway with `builtin:identity` on SQLite and measures three kinds of paced traffic,
 * once alone and once while 100 sign-ins wait, in alternating order: a public route, a route that wants a token, and
 * the profile, which the identity service itself answers. Linux; everything on loopback and in a temporary folder.
 */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { readArguments } from './lib/arguments.ts';
import { download } from './lib/bodies.ts';
import type { LoadResult } from './lib/load.ts';
import { describeMachine } from './lib/machine.ts';
import { freePort } from './lib/ports.ts';
import { capture, pinnedCommand, type Running, start } from './lib/processes.ts';
import { cpuNanoseconds } from './lib/procfs.ts';
import { quietest } from './lib/quiet.ts';
import { median, pairedRatios } from './lib/statistics.ts';
import { figure, markdownTable } from './lib/table.ts';
import type { LoginPlan, LoginResult } from './load-logins.ts';
import type { PacedPlan } from './load-paced.ts';

const root = fileURLToPath(new URL('../', import.meta.url));
const values = readArguments(import.meta.filename, {
  seconds: { type: 'string', default: '4' },
  rounds: { type: 'string', default: '8' },
  callers: { type: 'string', default: '100' },
  /** Cores of the gateway. The load and the upstream have the last one of the machine. */
  cores: { type: 'string', default: '0' },
  parallel: { type: 'string' },
  json: { type: 'string' },
});
const seconds = Number(values.seconds);
const rounds = Number(values.rounds);
const callers = Number(values.callers);

const BODY = '/1k.json';
const PASSWORD = 'ancient walrus paints 9 fences';
/** Of each kind, so that no account is at its limit of sessions and a lock of one holds up nobody else. */
const ACCOUNTS = 24;

interface Traffic {
  readonly name: string;
  readonly plan: Omit<PacedPlan, 'seconds'>;
}
interface Measured {
  readonly results: readonly LoadResult[];
  readonly logins?: LoginResult;
  readonly queued: number;
  readonly gatewayCores: number;
  /** Cores that other programs used meanwhile: what is above 0.1 was disturbed. */
  foreignCores?: number;
}

const folder = mkdtempSync(join(tmpdir(), 'gatehouse-login-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true, maxRetries: 3 }));
const running: Running[] = [];
try {
  await main();
} finally {
  await Promise.all(running.reverse().map((each) => each.stop()));
}

async function main(): Promise<void> {
  const { port, gateway } = await startAll();
  const base = `http://127.0.0.1:${port}`;
  await makeAccounts(base);
  const logins: LoginPlan = { port, callers, bodies: loginBodies() };
  const traffic = await trafficOf(base, port);
  // Everything compiled and every pool filled before anything counts.
  await measure(gateway, base, traffic, Math.min(3, seconds), logins);
  const quiet: Measured[] = [];
  const busy: Measured[] = [];
  for (let round = 0; round < rounds; round++) {
    const inTurn = [
      async () => quiet.push(await undisturbed(() => measure(gateway, base, traffic, seconds))),
      async () => busy.push(await undisturbed(() => measure(gateway, base, traffic, seconds, logins))),
    ];
    for (const one of round % 2 === 0 ? inTurn : inTurn.reverse()) await one();
  }
  report(traffic, quiet, busy);
}

async function undisturbed(run: () => Promise<Measured>): Promise<Measured> {
  const [measured, foreignCores] = await quietest(running, run);
  return { ...measured, foreignCores };
}

async function startAll(): Promise<{ port: number; gateway: Running }> {
  const upstreamPort = await freePort();
  const upstream = { command: process.execPath, args: [join(root, 'bench/upstream.ts'), String(upstreamPort)] };
  running.push(await start({ role: 'load', ...upstream, folder, readyPort: upstreamPort }));
  const port = await freePort();
  const file = join(folder, 'gatehouse.json');
  const document = {
    gateway: {
      host: '127.0.0.1',
      port,
      workers: values.cores.split(',').length,
      dataDir: join(folder, 'data'),
      accessLog: { file: join(folder, 'access.log') },
    },
    services: { upstream: { instances: [`http://127.0.0.1:${upstreamPort}`] } },
    identity: {
      enabled: true,
      firstAdmin: 'off',
      registration: { verifyEmail: 'off' },
      // All callers have one address here.
      lockout: { addressAttempts: 100_000 },
      addressLimits: { calls: '1000000/1m', signUps: '1000000/1m' },
      tokens: { accessTtl: '1h' },
      passwords: { queueShare: 1, ...(values.parallel === undefined ? {} : { parallel: Number(values.parallel) }) },
    },
    routes: [
      { match: { path: BODY }, service: 'upstream', auth: 'public' },
      { match: { path: '/members/*' }, service: 'upstream', rewrite: { stripPrefix: '/members' } },
    ],
  };
  writeFileSync(file, JSON.stringify(document, null, 2));
  mkdirSync(document.gateway.dataDir);
  const args = [join(root, 'bin/gatehouse.js'), 'start', file];
  const gateway = await start({ role: 'proxy', command: process.execPath, args, folder, readyPort: port });
  running.push(gateway);
  spawnSync('taskset', ['-apc', values.cores, String(gateway.pid)]);
  return { port, gateway };
}

function nameOf(kind: string, number: number): string {
  return `${kind}${number}`;
}

async function post(base: string, path: string, body: object): Promise<Record<string, unknown>> {
  const headers = { 'content-type': 'application/json' };
  const answer = await fetch(`${base}/api/auth${path}`, { method: 'POST', headers, body: JSON.stringify(body) });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${path} answered ${answer.status}: ${text}`);
  return JSON.parse(text) as Record<string, unknown>;
}

/** Some to sign in with, some whose password is guessed, and one that looks at its profile. */
async function makeAccounts(base: string): Promise<void> {
  for (const kind of ['right', 'wrong']) {
    for (let number = 0; number < ACCOUNTS; number++) {
      const username = nameOf(kind, number);
      await post(base, '/register', { email: `${username}@example.com`, username, password: PASSWORD });
    }
  }
  await post(base, '/register', { email: 'reader@example.com', username: 'reader', password: PASSWORD });
}

function loginBodies(): string[] {
  const made: string[] = [];
  for (let number = 0; number < ACCOUNTS; number++) {
    made.push(JSON.stringify({ username: nameOf('right', number), password: PASSWORD }));
    made.push(JSON.stringify({ username: nameOf('wrong', number), password: 'not at all the password' }));
  }
  return made;
}

async function trafficOf(base: string, port: number): Promise<Traffic[]> {
  const { accessToken } = await post(base, '/login', { username: 'reader', password: PASSWORD });
  const tokensFile = join(folder, 'tokens.txt');
  writeFileSync(tokensFile, `${accessToken}\n`);
  const profile = await fetch(`${base}/api/auth/me`, { headers: { authorization: `Bearer ${accessToken}` } });
  const profileBytes = (await profile.arrayBuffer()).byteLength;
  if (profile.status !== 200) throw new Error(`the profile answered ${profile.status}`);
  const common = { port, tls: false, uploadBytes: 0, connections: 16 };
  const kilobyte = { ...common, expectBytes: download(BODY).bytes.length };
  return [
    { name: 'public route, 300/s', plan: { ...kilobyte, path: BODY, perSecond: 300 } },
    { name: 'route with a token, 300/s', plan: { ...kilobyte, path: `/members${BODY}`, perSecond: 300, tokensFile } },
    {
      name: 'profile (identity), 50/s',
      plan: { ...common, expectBytes: profileBytes, path: '/api/auth/me', perSecond: 50, tokensFile },
    },
  ];
}

async function measure(
  gateway: Running,
  base: string,
  traffic: readonly Traffic[],
  forSeconds: number,
  logins?: LoginPlan,
): Promise<Measured> {
  const flood = logins === undefined ? undefined : startLogins(logins);
  // Until the queue stands, or what ran before has drained.
  await delay(1_500);
  const script = join(root, 'bench/load-paced.ts');
  const cpu = cpuNanoseconds(gateway.pids());
  const startedAt = performance.now();
  const bursts = traffic.map(({ plan }) =>
    capture('load', process.execPath, [script, JSON.stringify({ ...plan, seconds: forSeconds })], 60_000),
  );
  await delay((forSeconds * 1_000) / 2);
  const queued = await gauge(base, 'gatehouse_identity_hashes_queued');
  const results = (await Promise.all(bursts)).map((text) => JSON.parse(text) as LoadResult);
  const gatewayCores = (cpuNanoseconds(gateway.pids()) - cpu) / 1e6 / (performance.now() - startedAt);
  if (flood === undefined) return { results, queued, gatewayCores };
  const loginResult = await flood.stop();
  // What still waits is nobody's any more: the callers have gone.
  await delay(500);
  return { results, logins: loginResult, queued, gatewayCores };
}

function startLogins(plan: LoginPlan): { stop(): Promise<LoginResult> } {
  const [command, args] = pinnedCommand('load', process.execPath, [
    join(root, 'bench/load-logins.ts'),
    JSON.stringify(plan),
  ]);
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk;
  });
  return {
    async stop() {
      const closed = once(child, 'close');
      child.kill('SIGTERM');
      await closed;
      return JSON.parse(text) as LoginResult;
    },
  };
}

async function gauge(base: string, name: string): Promise<number> {
  const text = await (await fetch(`${base}/metrics/prometheus`)).text();
  return Number(new RegExp(`^${name} (\\d+)`, 'm').exec(text)?.[1] ?? Number.NaN);
}

function report(traffic: readonly Traffic[], quiet: readonly Measured[], busy: readonly Measured[]): void {
  const rows = traffic.map(({ name }, at) => {
    const series = (from: readonly Measured[], key: 'p50Ms' | 'p99Ms') =>
      from.map((one) => one.results[at]?.[key] ?? Number.NaN);
    const cells = (['p50Ms', 'p99Ms'] as const).flatMap((key) => {
      const [alone, beside] = [series(quiet, key), series(busy, key)];
      return [figure(median(alone)), figure(median(beside)), figure(median(pairedRatios(beside, alone)))];
    });
    const errors = [...quiet, ...busy].reduce((sum, one) => sum + (one.results[at]?.errors ?? 0), 0);
    return [name, ...cells, String(errors)];
  });
  const header = ['traffic', 'p50 ms', 'with logins', 'ratio', 'p99 ms', 'with logins', 'ratio', 'errors'];
  const statuses: Record<string, number> = {};
  let loginSeconds = 0;
  for (const { logins } of busy) {
    loginSeconds += logins?.seconds ?? 0;
    for (const [status, count] of Object.entries(logins?.statuses ?? {}))
      statuses[status] = (statuses[status] ?? 0) + count;
  }
  const decided = (statuses['200'] ?? 0) + (statuses['401'] ?? 0);
  const machine = describeMachine();
  console.log(
    [
      `${machine.cpu}, ${machine.cores} cores, Linux ${machine.kernel}, Node ${machine.node}; gateway on core(s) ${values.cores}`,
      `${rounds} rounds of ${seconds} s, alone and with ${callers} callers that sign in without end, in alternating order; medians`,
      '',
      markdownTable(header, rows),
      '',
      `sign-ins: ${figure(decided / loginSeconds)}/s, by status ${JSON.stringify(statuses)}, waiting ${figure(median(busy.map((one) => one.queued)))}`,
      `cores used by others: ${figure(median(quiet.map((one) => one.foreignCores ?? 0)))} alone, ${figure(median(busy.map((one) => one.foreignCores ?? 0)))} with logins`,
      `cores used by the gateway: ${figure(median(quiet.map((one) => one.gatewayCores)))} alone, ${figure(median(busy.map((one) => one.gatewayCores)))} with logins`,
    ].join('\n'),
  );
  if (values.json !== undefined)
    writeFileSync(values.json, `${JSON.stringify({ machine, values, quiet, busy }, null, 2)}\n`);
}
