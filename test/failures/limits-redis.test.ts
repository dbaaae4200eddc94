/**
 * Two gateways, each a process with two workers, count in one Redis: exactly, or within the stated bound of leases; and
 * what callers see while that Redis hangs, dies and comes back under load. Callers are told apart by what a trusted
 * proxy says.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { Agent, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { type RedisServer, startRedis } from '../support/redis.ts';

const PROGRAM = fileURLToPath(new URL('../../tools/gatehouse.ts', import.meta.url));
const LIMIT = 60;
const WORKERS = 2;
const PATIENCE_MS = 15_000;

let redis: RedisServer;
const agents: Agent[] = [];
before(async () => {
  redis = await startRedis();
});
after(async () => {
  for (const agent of agents) agent.destroy();
  await redis.stop();
});

async function startProcess(t: TestContext, settings: object): Promise<number> {
  const folder = await mkdtemp(join(tmpdir(), 'gh-redis-'));
  const file = join(folder, 'gatehouse.json');
  const document = {
    gateway: { host: '127.0.0.1', port: 0, workers: WORKERS, dataDir: folder, trustProxy: ['127.0.0.0/8'] },
    stores: { redis: redis.url },
    limits: { redis: settings },
    routes: [
      {
        match: { path: '/a' },
        respond: { status: 200 },
        auth: 'public',
        rateLimit: { by: 'ip', limits: [`${LIMIT}/1h`] },
      },
    ],
  };
  await writeFile(file, JSON.stringify(document));
  const child = spawn(process.execPath, [PROGRAM, 'start', file, '--json'], {
    stdio: ['ignore', 'pipe', 'ignore'],
    env: { ...process.env, NODE_TEST_CONTEXT: '' },
  });
  const exited = once(child, 'exit');
  t.after(async () => {
    child.kill('SIGKILL');
    await exited;
    await rm(folder, { recursive: true, force: true });
  });
  const [line] = (await once(createInterface(child.stdout), 'line')) as [string];
  return (JSON.parse(line) as { addresses: { port: number }[] }).addresses[0]!.port;
}

interface Seen {
  readonly status: number;
  readonly ms: number;
}

function ask(port: number, address: string, agent: Agent): Promise<Seen> {
  const started = performance.now();
  return new Promise((resolve, reject) => {
    const headers = { 'x-forwarded-for': address };
    const call = request({ host: '127.0.0.1', port, path: '/a', headers, agent }, (response) => {
      response.resume();
      response.on('end', () => resolve({ status: response.statusCode ?? 0, ms: performance.now() - started }));
    });
    call.on('error', reject);
    call.end();
  });
}

/** Eight clients at a time with a connection each, spread over the gateways. */
async function flood(ports: readonly number[], address: string, each: number): Promise<Seen[]> {
  const clients = Array.from({ length: 8 }, async (_, i) => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    agents.push(agent);
    const seen: Seen[] = [];
    for (let n = 0; n < each; n++) seen.push(await ask(ports[i % ports.length]!, address, agent));
    agent.destroy();
    return seen;
  });
  return (await Promise.all(clients)).flat();
}

const count = (seen: readonly Seen[], status: number): number => seen.filter((one) => one.status === status).length;

let addresses = 0;
const someone = (): string => `198.51.100.${++addresses}`;

/** Floods as new callers until one of them gets what is wanted: workers reach Redis one after the other. */
async function eventually(ports: readonly number[], isRight: (seen: readonly Seen[]) => boolean): Promise<Seen[]> {
  const deadline = performance.now() + PATIENCE_MS;
  for (;;) {
    const seen = await flood(ports, someone(), 25);
    if (isRight(seen)) return seen;
    assert.ok(performance.now() < deadline, `${count(seen, 200)} of ${LIMIT} were let through`);
  }
}

test('two processes admit exactly the limit together, each time', { timeout: 60_000 }, async (t) => {
  const settings = { fallback: 'closed', timeout: '2s' };
  const ports = await Promise.all([startProcess(t, settings), startProcess(t, settings)]);
  await eventually(ports, (seen) => count(seen, 503) === 0);
  for (let i = 0; i < 5; i++) {
    const seen = await flood(ports, someone(), 25);
    assert.deepEqual([count(seen, 200), count(seen, 429)], [LIMIT, 200 - LIMIT]);
  }
});

test('leased: two processes never pass the limit at once, and waste a batch of each worker at most', {
  timeout: 60_000,
}, async (t) => {
  const settings = { mode: 'leased', leaseShare: '10%', leaseTime: '60s', fallback: 'closed', timeout: '2s' };
  const ports = await Promise.all([startProcess(t, settings), startProcess(t, settings)]);
  await eventually(ports, (seen) => count(seen, 503) === 0);
  const batch = LIMIT * 0.1;
  for (let i = 0; i < 5; i++) {
    const admitted = count(await flood(ports, someone(), 40), 200);
    assert.ok(admitted <= LIMIT, `${admitted} of ${LIMIT}`);
    assert.ok(admitted >= LIMIT - ports.length * WORKERS * batch, `${admitted} of ${LIMIT}`);
  }
});

test('Redis hangs, dies and comes back under load: nobody waits, nothing fails, and it is exact again', {
  timeout: 90_000,
}, async (t) => {
  const settings = { fallback: 'local', timeout: '100ms' };
  const ports = await Promise.all([startProcess(t, settings), startProcess(t, settings)]);
  await eventually(ports, (seen) => count(seen, 200) === LIMIT);

  const patient = someone();
  let isOver = false;
  const seen: Seen[] = [];
  const load = Array.from({ length: 8 }, async (_, i) => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    agents.push(agent);
    while (!isOver) seen.push(await ask(ports[i % 2]!, patient, agent));
  });
  const until = async (more: number): Promise<void> => {
    const wanted = seen.length + more;
    while (seen.length < wanted) await new Promise((resolve) => setTimeout(resolve, 1));
  };
  try {
    await until(300);
    redis.pause();
    await until(1_000);
    redis.resume();
    await until(300);
    await redis.kill();
    await until(1_000);
    await redis.start();
    await until(300);
  } finally {
    redis.resume();
    isOver = true;
  }
  await Promise.all(load);
  assert.deepEqual([...new Set(seen.map(({ status }) => status))].sort(), [200, 429]);
  // What Redis counted, what it counted anew since it came back empty, and each process by itself meanwhile.
  assert.ok(count(seen, 200) <= LIMIT * (2 + ports.length), `${count(seen, 200)} of ${seen.length}`);
  const slowest = Math.max(...seen.map(({ ms }) => ms));
  assert.ok(slowest < 1_500, `${slowest} ms for a decision within 100 ms`);

  const again = await eventually(ports, (one) => count(one, 200) === LIMIT);
  assert.equal(count(again, 429), 200 - LIMIT);
});
