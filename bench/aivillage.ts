/**
 * Measures the AIVillage document's performance table again, on the running example: each group of endpoints one call
 * after the other, as the document's averages and percentiles want it, then many callers at once and a thousand
 * WebSockets.
 * `npm run bench:aivillage -- [--calls N] [--sockets N] [--seconds N] [--json FILE]`; Linux.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { WebSocket } from 'ws';
import { readArguments } from './lib/arguments.ts';
import { describeMachine } from './lib/machine.ts';
import { freePort } from './lib/ports.ts';

const values = readArguments(import.meta.filename, {
  calls: { type: 'string', default: '200' },
  sockets: { type: 'string', default: '1000' },
  seconds: { type: 'string', default: '10' },
  json: { type: 'string' },
});
const [calls, sockets, seconds] = [Number(values.calls), Number(values.sockets), Number(values.seconds)];
const SECRET = 'a-secret-for-the-benchmark-of-32-bytes';
const PASSWORD = 'ancient walrus paints 9 fences';
const CALLERS = 50;
const root = fileURLToPath(new URL('../', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'gatehouse-aivillage-'));
const PORTS = ['PORT', 'FORGE_PORT', 'FOG_PORT', 'UTILITY_PORT', 'FOG_NODE_1_PORT', 'FOG_NODE_2_PORT'];

interface Figures {
  readonly average: number;
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
}

const ports: Record<string, string> = {};
for (const name of PORTS) ports[name] = String(await freePort());
const url = `http://127.0.0.1:${ports['PORT']}`;
const example = spawn(process.execPath, [join(root, 'examples/run.ts'), 'aivillage'], {
  env: { ...process.env, ...ports, AIVILLAGE_DATA: folder, JWT_SECRET_KEY: SECRET, LOG_LEVEL: 'error', WORKERS: '1' },
  stdio: ['ignore', 'pipe', 'inherit'],
});
try {
  await started(example);
  await main();
} finally {
  example.kill('SIGTERM');
  if (example.exitCode === null) await once(example, 'exit');
  rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
}

async function started({ stdout }: ChildProcess): Promise<void> {
  let said = '';
  for await (const text of stdout!) {
    said += String(text);
    if (said.includes('Ctrl-C ends it.')) return;
  }
  throw new Error(`the example did not start: ${said}`);
}

async function main(): Promise<void> {
  const account = { email: 'ada@example.com', username: 'ada', password: PASSWORD };
  await good('/v1/auth/register', { method: 'POST', body: JSON.stringify(account) });
  const measured = {
    // Deliberately slow: argon2id with 19 MB.
    'Authentication: sign in': await each(Math.min(calls, 40), () =>
      good('/v1/auth/login', { method: 'POST', body: JSON.stringify({ username: 'ada', password: PASSWORD }) }),
    ),
    'Authentication: a token that was not seen before': await each(calls, (n) =>
      good('/v1/tokens', { headers: bearer(`once-${n}`) }),
    ),
    'Model endpoints: list': await each(calls, (n) => good('/v1/models', { headers: bearer(`model-${n % 10}`) })),
    'Model training: begin (the plan alone)': await each(calls, (n) =>
      good('/v1/models/train', {
        method: 'POST',
        headers: bearer(`train-${n % 10}`),
        body: JSON.stringify({ phase_name: 'cognate', real_training: false }),
      }),
    ),
    'P2P network: status': await each(calls, (n) => good('/v1/p2p/status', { headers: bearer(`p2p-${n % 10}`) })),
    'Health checks': await each(calls, () => good('/health')),
    'WebSocket set-up, until a ping is answered': await each(calls, (n) =>
      socketOf(`ws-${n % 10}`).then((ws) => ws.terminate()),
    ),
  };
  const held = await Promise.all(Array.from({ length: sockets }, (_, n) => socketOf(`held-${n}`)));
  const throughput = await flood();
  const open = held.filter((socket) => socket.readyState === WebSocket.OPEN).length;
  for (const socket of held) socket.terminate();
  const report = {
    machine: describeMachine(),
    measured,
    throughput,
    sockets: { asked: sockets, open },
    memoryMb: memoryMb(),
  };
  console.log(table(report));
  if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(report, null, 2)}\n`);
}

function bearer(subject: string): Record<string, string> {
  const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const claims = {
    sub: subject,
    scopes: ['read', 'write'],
    rate_limit_tier: 'enterprise',
    exp: Math.floor(Date.now() / 1_000) + 3_600,
  };
  const head = `${part({ alg: 'HS256', typ: 'JWT' })}.${part(claims)}`;
  return { Authorization: `Bearer ${head}.${createHmac('sha256', SECRET).update(head).digest('base64url')}` };
}

/** Milliseconds until the whole response is there. */
async function good(
  path: string,
  { headers, ...init }: { method?: string; body?: string; headers?: Record<string, string> } = {},
): Promise<void> {
  const response = await fetch(url + path, { ...init, headers: { 'Content-Type': 'application/json', ...headers } });
  const text = await response.text();
  if (!response.ok) throw new Error(`${path} got ${response.status}: ${text}`);
}

async function each(count: number, call: (n: number) => Promise<void>): Promise<Figures> {
  for (let n = 0; n < 5; n++) await call(n);
  const times: number[] = [];
  for (let n = 0; n < count; n++) {
    const at = performance.now();
    await call(n + 5);
    times.push(performance.now() - at);
  }
  return figuresOf(times);
}

function figuresOf(times: number[]): Figures {
  times.sort((a, b) => a - b);
  const at = (share: number): number => times[Math.min(times.length - 1, Math.floor(times.length * share))] ?? 0;
  return { average: times.reduce((sum, ms) => sum + ms, 0) / times.length, p50: at(0.5), p95: at(0.95), p99: at(0.99) };
}

async function socketOf(subject: string): Promise<WebSocket> {
  const socket = new WebSocket(`${url.replace('http', 'ws')}/ws`, { headers: bearer(subject) });
  await once(socket, 'open');
  const answered = once(socket, 'message');
  socket.send('{"type":"ping"}');
  await answered;
  return socket;
}

/** Callers at once, each with a token and thereby limits of its own. */
async function flood(): Promise<{ perMinute: number; p95: number; refused: number }> {
  const endsMs = performance.now() + seconds * 1_000;
  const times: number[] = [];
  let refused = 0;
  let number = 0;
  const caller = async (): Promise<void> => {
    while (performance.now() < endsMs) {
      const at = performance.now();
      const response = await fetch(`${url}/v1/fog/nodes`, { headers: bearer(`flood-${number++ % 2_000}`) });
      await response.arrayBuffer();
      times.push(performance.now() - at);
      if (response.status !== 200) refused++;
    }
  };
  await Promise.all(Array.from({ length: CALLERS }, caller));
  return { perMinute: Math.round((times.length / seconds) * 60), p95: figuresOf(times).p95, refused };
}

/** Resident memory of the gateway's process, which is the one that listens for callers. */
function memoryMb(): number {
  for (const pid of readFileSync(`/proc/${example.pid}/task/${example.pid}/children`, 'utf8').trim().split(' ')) {
    if (!readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('gatehouse.yaml')) continue;
    const found = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
    return Math.round(Number(found?.[1] ?? 0) / 1_024);
  }
  return 0;
}

function table({
  machine,
  measured,
  throughput,
  sockets: held,
  memoryMb: memory,
}: {
  machine: ReturnType<typeof describeMachine>;
  measured: Readonly<Record<string, Figures>>;
  throughput: Awaited<ReturnType<typeof flood>>;
  sockets: { asked: number; open: number };
  memoryMb: number;
}): string {
  const ms = (value: number): string => value.toFixed(1);
  return [
    '| | average | p50 | p95 | p99 |',
    '| --- | ---: | ---: | ---: | ---: |',
    ...Object.entries(measured).map(
      ([name, { average, p50, p95, p99 }]) => `| ${name} | ${ms(average)} | ${ms(p50)} | ${ms(p95)} | ${ms(p99)} |`,
    ),
    '',
    `${throughput.perMinute} requests a minute of ${CALLERS} callers at once (95 % within ${ms(throughput.p95)} ms, ${throughput.refused} refused) while ${held.open} of ${held.asked} WebSockets were open; the gateway took ${memory} MB`,
    `${machine.cpu}, ${machine.cores} cores, Node ${machine.node}, Linux ${machine.kernel}; services, nodes and load on the same cores`,
  ].join('\n');
}
