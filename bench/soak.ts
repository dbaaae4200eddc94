/**
 * The soak: a gateway with limits, rules against abuse and bans, for five minutes under callers who never come twice by
 * the same name, with a table that is too small for them. Memory must stay flat, the table bounded, and callers who
 * have used up their limit must stay refused. `npm run soak [-- --seconds N] [--rate N] [--json FILE]`; Linux; exit
 * code 1 if anything is not as it should be. Gateway and load share one core.
 */
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { readArguments } from './lib/arguments.ts';
import { Hostile } from './lib/hostile.ts';
import { describeMachine } from './lib/machine.ts';
import { freePort } from './lib/ports.ts';
import { type Running, start } from './lib/processes.ts';
import { cpuNanoseconds, residentBytes } from './lib/procfs.ts';
import { median } from './lib/statistics.ts';
import { figure, markdownTable } from './lib/table.ts';

const root = fileURLToPath(new URL('../', import.meta.url));
const values = readArguments(import.meta.filename, {
  seconds: { type: 'string', default: '300' },
  rate: { type: 'string', default: '1500' },
  json: { type: 'string' },
});
const seconds = Math.max(20, Number(values.seconds));
const MB = 1024 ** 2;
/** Of each known caller: this many, and one more every 36 s. */
const KNOWN_LIMIT = 100;
const KNOWN_CALLERS = 20;
/** Last minute against second minute. */
const MOST_GROWTH = 1.1;

/** 503: the table is full and the caller is not in it yet; 403: banned. */
const EXPECTED =
  /^(address (200|403|429|503)|user (200|403|503)|key (401|403|429|503)|guess (401|403|429|503)|scan (403|404)|nonsense (400|403|505)|repeat (200|403|429|503)|known (200|429))$/;

interface Sample {
  readonly second: number;
  readonly residentBytes: number;
  readonly live: number;
  readonly cells: number;
  readonly bans: number;
}

const folder = mkdtempSync(join(tmpdir(), 'gatehouse-soak-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true, maxRetries: 3 }));
spawnSync('taskset', ['-cp', '1', String(process.pid)]);

const port = await freePort();
const secret = randomBytes(32).toString('hex');
const gateway = await startSoaked();
try {
  const problems = await soak();
  for (const problem of problems) console.log(`NOT AS IT SHOULD BE: ${problem}`);
  if (problems.length === 0) console.log('all as it should be');
  process.exitCode = problems.length === 0 ? 0 : 1;
} finally {
  await gateway.stop();
}

async function startSoaked(): Promise<Running> {
  const limited = (by: string) => ({ by, limits: ['5/1m', '50/1h'] });
  const respond = { status: 200, body: 'ok' };
  const document = {
    gateway: {
      host: '127.0.0.1',
      port,
      workers: 1,
      dataDir: folder,
      trustProxy: ['127.0.0.0/8'],
      accessLog: { file: join(folder, 'access.log') },
    },
    // 65,520 cells; the callers that are live at any time would need more.
    limits: { memory: '1mb', overflow: 'deny' },
    abuse: {
      exempt: ['127.0.0.0/8', '192.0.2.0/24'],
      ban: { first: '5s', factor: 2, longest: '20s', forget: '1m' },
      maxBans: 1_000,
    },
    routes: [
      { match: { path: '/address' }, respond, auth: 'public', rateLimit: limited('ip') },
      { match: { path: '/known' }, respond, auth: 'public', rateLimit: { by: 'ip', limits: [`${KNOWN_LIMIT}/1h`] } },
      { match: { path: '/user' }, respond, auth: { jwt: {} }, rateLimit: limited('user') },
      { match: { path: '/key' }, respond, auth: { apiKey: {} }, rateLimit: limited('apiKey') },
    ],
  };
  const file = join(folder, 'gatehouse.json');
  writeFileSync(file, JSON.stringify(document));
  return await start({
    role: 'load',
    command: process.execPath,
    args: [join(root, 'bin/gatehouse.js'), 'start', file],
    folder,
    readyPort: port,
    env: {
      JWT_SECRET: secret,
      JWT_ISSUER: 'soak',
      JWT_AUDIENCE: 'soak',
      API_KEY_1: 'soak-0123456789abcdef0123456789abcdef:soak:soak:standard',
    },
  });
}

async function soak(): Promise<string[]> {
  const hostile = new Hostile({
    port,
    perSecond: Number(values.rate),
    connections: 64,
    secret,
    known: KNOWN_CALLERS,
  });
  await useUp();
  const started = performance.now();
  const cpuBefore = cpuNanoseconds(gateway.pids());
  hostile.start();
  const samples: Sample[] = [];
  for (let second = 1; second <= seconds && gateway.alive(); second++) {
    await delay(Math.max(0, started + second * 1_000 - performance.now()));
    samples.push({ second, ...(await look()) });
    if (second % 30 === 0) console.error(`${second} s: ${line(samples.at(-1) as Sample)}`);
  }
  hostile.stop();
  const ran = (performance.now() - started) / 1_000;
  const cores = (cpuNanoseconds(gateway.pids()) - cpuBefore) / 1e9 / ran;
  return report(samples, hostile.counts, ran, cores);
}

/** Spends what the known callers have, so that whatever they get afterwards is what the hour gives back. */
async function useUp(): Promise<void> {
  for (let known = 0; known < KNOWN_CALLERS; known++) {
    const headers = { 'x-forwarded-for': `192.0.2.${known + 1}` };
    let status = 200;
    let count = 0;
    for (; status === 200; count++) {
      const answer = await fetch(`http://127.0.0.1:${port}/known`, { headers });
      await answer.arrayBuffer();
      status = answer.status;
    }
    if (status !== 429 || count < KNOWN_LIMIT + 1 || count > KNOWN_LIMIT + 3) {
      throw new Error(`caller ${known} got ${count - 1} of ${KNOWN_LIMIT}, then ${status}`);
    }
  }
}

async function look(): Promise<Omit<Sample, 'second'>> {
  const text = await (await fetch(`http://127.0.0.1:${port}/metrics/prometheus`)).text();
  const value = (name: string): number => {
    const at = text.split('\n').find((each) => each.startsWith(`gatehouse_${name}`));
    return at === undefined ? Number.NaN : Number(at.slice(at.lastIndexOf(' ')));
  };
  return {
    residentBytes: residentBytes(gateway.pids()),
    live: value('limit_table_cells{state="live"}'),
    cells: value('limit_table_cells{state="all"}'),
    bans: value('bans_active'),
  };
}

function line({ residentBytes: bytes, live, cells, bans }: Sample): string {
  return `${figure(bytes / MB)} MB resident, ${figure(live)} of ${figure(cells)} cells live, ${figure(bans)} bans`;
}

function report(samples: readonly Sample[], counts: Hostile['counts'], ran: number, cores: number): string[] {
  const problems: string[] = [];
  if (!gateway.alive()) problems.push(`the gateway ended\n${gateway.output()}`);
  // Of five minutes the second and the fifth; of shorter runs the same shares.
  const part = Math.floor(samples.length / 5);
  const resident = (from: number): number =>
    median(samples.slice(from, from + part).map(({ residentBytes: bytes }) => bytes));
  const [second, last] = [resident(part), resident(samples.length - part)];
  const growth = last / second;
  if (!(growth <= MOST_GROWTH)) problems.push(`memory grew by ${figure((growth - 1) * 100)} %`);
  const fullest = samples.reduce((most, one) => (one.live > most.live ? one : most));
  if (!(fullest.live > 0 && fullest.live <= fullest.cells)) problems.push(`table: ${line(fullest)}`);
  const mostBans = Math.max(...samples.map(({ bans }) => bans));
  if (!(mostBans > 0 && mostBans <= 1_000)) problems.push(`${mostBans} bans at a time`);

  const givenBack = (ran * KNOWN_LIMIT) / 3_600;
  const most = Math.max(...counts.admitted);
  const asked = Math.min(...counts.asked);
  if (most > Math.ceil(givenBack) + 1) problems.push(`a caller got ${most} where ${figure(givenBack)} were due`);
  const unexpected = [...counts.byStatus].filter(([name]) => !EXPECTED.test(name));
  if (unexpected.length > 0)
    problems.push(`answers: ${unexpected.map(([name, count]) => `${count} ${name}`).join(', ')}`);
  if (counts.answered < counts.sent * 0.99) problems.push(`${counts.sent} requests, ${counts.answered} answers`);

  const byStatus = (status: string): string =>
    figure([...counts.byStatus].reduce((sum, [name, count]) => (name.endsWith(status) ? sum + count : sum), 0));
  const rows = [
    ['run', `${figure(ran)} s, ${figure(counts.answered)} requests, ${figure(counts.answered / ran)} a second`],
    [
      'answers',
      ['200', '400', '401', '403', '404', '429', '503'].map((code) => `${byStatus(code)} x ${code}`).join(', '),
    ],
    ['resident, second fifth', `${figure(second / MB)} MB`],
    ['resident, last fifth', `${figure(last / MB)} MB (${figure((growth - 1) * 100)} %; at most 10 %)`],
    ['fullest table', `${figure(fullest.live)} of ${figure(fullest.cells)} cells`],
    ['bans at a time', `${figure(mostBans)} (at most 1,000)`],
    ['known callers', `at most ${most} each let through of ${figure(asked)} tries; ${figure(givenBack)} were due`],
    ['processor', `${figure(cores)} cores`],
  ];
  console.log(markdownTable(['soak', ''], rows as string[][]));
  if (values.json !== undefined) {
    const all = { machine: describeMachine(), samples, counts: { ...counts, byStatus: [...counts.byStatus] }, cores };
    writeFileSync(values.json, `${JSON.stringify(all, null, 1)}\n`);
  }
  return problems;
}
