/**
 * One process takes over from another under load: both have real workers, one port, one data folder. What is counted is
 * what callers saw. A successor that fails or is killed costs nothing either.
 */
import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { callGateway } from '../../src/cli/control-socket.ts';
import { Predecessor } from '../../src/control/takeover.ts';
import { Fleet } from '../support/fleet.ts';
import { startTestGateway, type TestGateway } from '../support/gateway.ts';
import { Load } from '../support/measured-load.ts';
import { RawCaller } from '../support/raw.ts';
import { until } from '../support/until.ts';

const PROGRAM = fileURLToPath(new URL('../../tools/gatehouse.ts', import.meta.url));
const TOKEN = 'a-token-of-some-length';
const PATIENCE_MS = 60_000;

interface Running {
  readonly child: ChildProcess;
  readonly port: number;
  readonly errors: () => string;
}

/** Starts the program; resolves when it says that it listens, or with its exit code when it does not get there. */
async function launch(
  t: TestContext,
  file: string,
  ...more: string[]
): Promise<Running | { code: number; errors: string }> {
  const child = spawn(process.execPath, [PROGRAM, 'start', file, '--json', ...more], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, NODE_TEST_CONTEXT: '' },
  });
  t.after(() => void child.kill('SIGKILL'));
  let errors = '';
  child.stderr!.setEncoding('utf8').on('data', (part: string) => {
    errors += part;
  });
  let out = '';
  const line = new Promise<string>((resolve) => {
    child.stdout!.setEncoding('utf8').on('data', (part: string) => {
      out += part;
      if (out.includes('\n')) resolve(out);
    });
  });
  const first = await Promise.race([line, once(child, 'exit').then(([code]) => code as number)]);
  if (typeof first === 'number') return { code: first, errors };
  const { addresses } = JSON.parse(first) as { addresses: { port: number }[] };
  return { child, port: addresses[0]!.port, errors: () => errors };
}

async function start(t: TestContext, file: string, ...more: string[]): Promise<Running> {
  const started = await launch(t, file, ...more);
  if ('code' in started) assert.fail(`it ended with ${started.code}: ${started.errors}`);
  return started;
}

async function folderOf(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'gh-takeover-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** Callers that make a connection for each request, and count what became of it. */
class FreshCallers {
  asked = 0;
  readonly faults = new Map<string, number>();
  readonly #port: number;
  readonly #loops: Promise<void>[];
  #stopped = false;

  constructor(port: number, callers: number) {
    this.#port = port;
    this.#loops = Array.from({ length: callers }, () => this.#loop());
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#loops);
  }

  async #loop(): Promise<void> {
    while (!this.#stopped) {
      const outcome = await this.#ask();
      this.asked++;
      if (outcome !== '200') this.faults.set(outcome, (this.faults.get(outcome) ?? 0) + 1);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  #ask(): Promise<string> {
    return new Promise((resolve) => {
      const fail = (error: NodeJS.ErrnoException): void => resolve(error.code ?? error.message);
      const call = request({ port: this.#port, host: '127.0.0.1', path: '/w/fresh', agent: false }, (response) => {
        response.resume().on('end', () => resolve(String(response.statusCode)));
        response.on('error', fail);
      });
      call.on('error', fail).end();
    });
  }
}

test('a new process takes over from the old one under load, and no request is lost', async (t) => {
  const folder = await folderOf(t);
  const file = join(folder, 'gatehouse.json');
  const document = (port: number) => ({
    gateway: {
      ...{ host: '127.0.0.1', port, workers: 2, dataDir: join(folder, 'data'), accessLog: 'off' },
      operations: { host: '127.0.0.1', port: 0 },
    },
    registry: { token: TOKEN },
    services: { work: { discovery: { registry: true }, pool: { perAddress: '100%' }, requestBuffer: 'off' } },
    routes: [{ match: { path: '/w/*' }, service: 'work', auth: 'public' }],
  });
  await writeFile(file, JSON.stringify(document(0)));
  const fleet = await Fleet.start(t, ['a', 'b']);
  let old = await start(t, file);
  const { port } = old;
  const registration = { gateway: `http://127.0.0.1:${port}`, token: TOKEN, service: 'work', lease: '60s' };
  await Promise.all(fleet.instances.map((instance) => instance.register(registration)));
  // Workers hear of them a moment after the registry has taken them.
  const isKnown = async (): Promise<boolean> => {
    const caller = new RawCaller(port).send('GET /w/0 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
    return (await caller.answer()).status === 200;
  };
  const giveUp = AbortSignal.timeout(PATIENCE_MS);
  for (let known = 0; known < 10; known = (await isKnown()) ? known + 1 : 0) giveUp.throwIfAborted();
  const load = new Load(port, { everyMs: 30 });
  await load.more(20);
  const fresh = new FreshCallers(port, 4);
  for (let round = 0; round < 2; round++) {
    const ended = once(old.child, 'exit');
    const next = await start(t, file, '--takeover');
    assert.equal(next.port, port, 'the same port, which the configuration leaves open');
    assert.deepEqual(await ended, [0, null], old.errors());
    const answer = await callGateway(join(folder, 'data', 'gatehouse.sock'), 'GET', '/status');
    assert.equal((answer.body as { pid: number }).pid, next.child.pid);
    await load.more(20);
    old = next;
  }
  // It was known to neither but by what the former ones had on the disk.
  await fleet.add('c').then((instance) => instance.register(registration));
  await until(() => load.GET.answered('c') > 0, 'the third one is asked', PATIENCE_MS);
  await fresh.stop();
  await load.stop();
  t.diagnostic(`${load.describe()}; ${fresh.asked} on connections of their own: ${JSON.stringify([...fresh.faults])}`);
  for (const tally of [load.GET, load.PUT, load.POST]) assert.equal(tally.lost, 0, load.describe());
  // Somebody listens all the time. A connection that waits to be accepted when the old process closes is reset by the
  // kernel, unless net.ipv4.tcp_migrate_req is on.
  const { ECONNRESET = 0, ...others } = Object.fromEntries(fresh.faults);
  assert.deepEqual(others, {});
  assert.ok(ECONNRESET <= 4, 'one for each caller at the most');
  assert.deepEqual(
    readdirSync(join(folder, 'data')).filter((name) => name.startsWith('.')),
    [],
    'nothing of the handing over is left',
  );
});

async function registryGateway(t: TestContext): Promise<TestGateway> {
  return await startTestGateway(t, {
    registry: { token: TOKEN },
    services: { work: { discovery: { registry: true } } },
    routes: [{ match: { path: '/x' }, respond: { body: 'ok' }, auth: 'public' }],
  });
}

function register(gateway: TestGateway, port: number): Promise<Response> {
  return fetch(`${gateway.url}/api/v1/registry/services/work/instances`, {
    method: 'POST',
    headers: { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json' },
    body: JSON.stringify({ url: `http://127.0.0.1:${port}` }),
  });
}

test('a successor that goes away is forgotten: registrations waited, then are taken here', async (t) => {
  const gateway = await registryGateway(t);
  const socket = join(gateway.folder, 'gatehouse.sock');
  for (let i = 0; i < 2; i++) {
    const predecessor = await Predecessor.ask(socket);
    assert.equal(predecessor?.estate.addresses[0]?.port, gateway.port);
    await assert.rejects(Predecessor.ask(socket), /another process is taking over already/);
    let answered = false;
    const registering = register(gateway, 9_000 + i).then((response) => {
      answered = true;
      return response.status;
    });
    assert.equal((await fetch(`${gateway.url}/x`)).status, 200, 'other requests go on');
    assert.equal(answered, false);
    // As after a SIGKILL: the connection ends, and a socket that the successor had put there is dead.
    await rm(join(gateway.folder, 'registry.sock'));
    await rm(socket);
    predecessor.keep();
    assert.equal(await registering, 201);
  }
  await until(() => readdirSync(gateway.folder).includes('gatehouse.sock'), 'its control socket is back', PATIENCE_MS);
  assert.equal((await callGateway(socket, 'POST', '/reload?dryRun=1')).status, 200);
});

test('a successor that cannot start says why, and the old process goes on with all it had', async (t) => {
  const folder = await folderOf(t);
  const file = join(folder, 'gatehouse.json');
  const write = (more: object): Promise<void> =>
    writeFile(
      file,
      JSON.stringify({
        gateway: { host: '127.0.0.1', port: 0, workers: 1, dataDir: folder, accessLog: 'off', watch: false },
        registry: { token: TOKEN },
        services: { work: { discovery: { registry: true } } },
        routes: [{ match: { path: '/x' }, respond: { body: 'ok' }, auth: 'public' }],
        ...more,
      }),
    );
  await write({});
  const old = await start(t, file);
  const other = createServer().listen(0, '127.0.0.1');
  await once(other, 'listening');
  t.after(() => void other.close());
  await write({ admin: { listen: `127.0.0.1:${(other.address() as AddressInfo).port}` } });
  const next = await launch(t, file, '--takeover');
  assert.ok('code' in next, 'it ended');
  assert.equal(next.code, 5);
  assert.match(next.errors, /admin\.listen: .* another process is listening there/);
  await write({});
  await until(() => old.errors().includes('this one goes on'), 'the old one has heard of it', PATIENCE_MS);
  const socket = join(folder, 'gatehouse.sock');
  assert.equal((await callGateway(socket, 'POST', '/reload')).status, 200);
  const caller = new RawCaller(old.port).send('GET /api/v1/registry/services HTTP/1.1\r\nHost: a\r\n\r\n');
  assert.equal((await caller.answer()).status, 401, 'the registry answers');
  caller.close();
});

test('without a process to take over from, --takeover is a start like any other', async (t) => {
  const folder = await folderOf(t);
  const file = join(folder, 'gatehouse.json');
  const gateway = { host: '127.0.0.1', port: 0, workers: 1, dataDir: folder, accessLog: 'off' };
  const routes = [{ match: { path: '/x' }, respond: { body: 'ok' }, auth: 'public' }];
  await writeFile(file, JSON.stringify({ gateway, routes }));
  const only = await start(t, file, '--takeover');
  assert.equal((await fetch(`http://127.0.0.1:${only.port}/x`)).status, 200);
  const second = await launch(t, file);
  assert.ok('code' in second && second.code === 5);
  assert.match(second.errors, /another gateway is running/);
});

test('accounts, events and the cluster go over to the new process: nothing acknowledged is lost or done twice', async (t) => {
  const folder = await folderOf(t);
  const file = join(folder, 'gatehouse.json');
  await writeFile(
    file,
    JSON.stringify({
      gateway: { host: '127.0.0.1', port: 0, workers: 1, dataDir: join(folder, 'data'), accessLog: 'off' },
      cluster: { name: 'one', node: 'only' },
      identity: {
        enabled: true,
        registration: { verifyEmail: 'off' },
        firstAdmin: 'off',
        passwords: { memory: '8mb', passes: 1 },
      },
      events: { streams: { work: {} } },
      routes: [
        { match: { path: '/own' }, respond: { body: 'ok' }, auth: { jwt: {} } },
        { match: { path: '/events/:id', methods: ['POST'] }, publish: { stream: 'work' }, auth: 'public' },
        {
          match: { path: '/events', methods: ['GET'] },
          subscribe: { stream: 'work', from: 'earliest' },
          auth: 'public',
        },
      ],
    }),
  );
  const old = await start(t, file);
  const url = `http://127.0.0.1:${old.port}`;
  const post = async (path: string, body: object) => {
    const headers = { 'content-type': 'application/json' };
    const response = await fetch(`${url}${path}`, { method: 'POST', headers, body: JSON.stringify(body) });
    return { status: response.status, body: (await response.json()) as Record<string, string> };
  };
  const account = { username: 'ada', password: 'ancient walrus paints 9 fences' };
  assert.ok((await post('/api/auth/register', { email: 'ada@example.com', ...account })).status < 300);
  const signedIn = await post('/api/auth/login', account);
  assert.equal(signedIn.status, 200);
  let tokens = signedIn.body;

  let isOver = false;
  const published: number[] = [];
  let refreshed = 0;
  const publishing = (async () => {
    for (let id = 0; !isOver; id++) {
      const { status } = await post(`/events/${id}`, { id });
      assert.ok(status < 300, `event ${id}: ${status}`);
      published.push(id);
    }
  })();
  const refreshing = (async () => {
    for (; !isOver; refreshed++) {
      const { status, body } = await post('/api/auth/refresh', { refreshToken: tokens['refreshToken'] });
      assert.equal(status, 200, `refresh ${refreshed}: ${JSON.stringify(body)}`);
      tokens = body;
    }
  })();
  const both = Promise.all([publishing, refreshing]);
  const ended = once(old.child, 'exit');
  const next = await Promise.race([start(t, file, '--takeover'), both.then(() => assert.fail('it goes on meanwhile'))]);
  assert.equal(next.port, old.port);
  assert.deepEqual(await ended, [0, null], old.errors());
  const [events, sessions] = [published.length, refreshed];
  await until(() => published.length > events + 5 && refreshed > sessions + 5, 'the new one goes on', PATIENCE_MS);
  isOver = true;
  await both;

  assert.equal((await post('/api/auth/login', account)).status, 200);
  const authorization = `Bearer ${tokens['accessToken']}`;
  assert.equal((await fetch(`${url}/own`, { headers: { authorization } })).status, 200, 'keys of tokens are the same');
  assert.deepEqual(await eventsOf(`${url}/events`, published.length), published);
  const { body } = await callGateway(join(folder, 'data', 'gatehouse.sock'), 'GET', '/status');
  assert.equal((body as { pid: number }).pid, next.child.pid);
  const isQueen = async (): Promise<boolean> =>
    /^gatehouse_cluster_queen(\{[^}]*\})? 1$/m.test(await (await fetch(`${url}/metrics`)).text());
  const giveUp = AbortSignal.timeout(PATIENCE_MS);
  while (!(await isQueen())) giveUp.throwIfAborted();
});

/** The ids of the first events that a stream sends, in their order. */
async function eventsOf(url: string, count: number): Promise<number[]> {
  const leave = new AbortController();
  const response = await fetch(url, { headers: { accept: 'text/event-stream' }, signal: leave.signal });
  const ids: number[] = [];
  let text = '';
  for await (const part of response.body!) {
    text += Buffer.from(part).toString();
    ids.splice(0, ids.length, ...[...text.matchAll(/"id":(\d+)/g)].map(([, id]) => Number(id)));
    if (ids.length >= count) break;
  }
  leave.abort();
  return ids;
}
