/**
 * What callers lose while an instance fails, beside nginx and HAProxy where they are installed: `npx node
 * bench/faults.ts [seconds]`. Each proxy has nothing configured but three instances. 400 requests a second, four of
 * five GET, the rest POST, counted by the client. A third into each run one instance is killed, refuses (its port is
 * closed, the process lives), or resets each connection before a response. Then the slow: 2,000 callers from 200
 * addresses that send a body at a byte a second, beside 100 requests a second of others. (Slow readers need smaller
 * receive buffers than Node gives: test/failures/slow-readers.test.ts.)
 * Prints tables; everything runs on the loopback interface and ends with the script.
 */
import type { ChildProcess } from 'node:child_process';
import { fork, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { Agent, createServer, request } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readNumber } from './lib/arguments.ts';
import { freePort } from './lib/ports.ts';

const SELF = fileURLToPath(import.meta.url);
const GATEHOUSE = fileURLToPath(new URL('../tools/gatehouse.ts', import.meta.url));
const PER_SECOND = 400;
const SLOW = 2_000;
const MOST_LATE_MS = 50;
const ADDRESSES = 200;
const FAULTS = ['kill', 'refuse', 'reset'] as const;
type Fault = (typeof FAULTS)[number];

async function main(seconds: number): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'gatehouse-faults-'));
  const all = [gatehouse, nginx, haproxy].filter(({ isThere }) => isThere());
  console.log('| an instance of three | proxy | GET lost | POST lost | of | 5xx | broken |');
  console.log('| --- | --- | --- | --- | --- | --- | --- |');
  for (const fault of FAULTS) for (const proxy of all) await faultRun(proxy, fault, seconds, folder);
  console.log('\n| 2,000 slow | proxy | lost of others | of | p50 ms | p99 ms | slow ones ended |');
  console.log('| --- | --- | --- | --- | --- | --- | --- |');
  for (const proxy of all) await slowRun(proxy, seconds, folder);
  rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
}

// --- proxies -------------------------------------------------------------------------------------------------------

interface Proxy {
  readonly name: string;
  isThere(): boolean;
  launch(folder: string, port: number, instances: readonly number[]): readonly [program: string, ...args: string[]];
}

const isInstalled = (program: string): boolean => spawnSync(program, ['-v']).error === undefined;

const gatehouse: Proxy = {
  name: 'gatehouse',
  isThere: () => true,
  launch(folder, port, instances) {
    const file = join(folder, `gatehouse-${port}.json`);
    const urls = instances.map((each) => `http://127.0.0.1:${each}`);
    const gateway = { host: '127.0.0.1', port, dataDir: join(folder, `data-${port}`), accessLog: 'off', workers: 1 };
    const routes = [{ match: { path: '/*' }, service: 's', auth: 'public' }];
    writeFileSync(file, JSON.stringify({ gateway, services: { s: { instances: urls } }, routes }));
    return [process.execPath, GATEHOUSE, 'start', file];
  },
};

const nginx: Proxy = {
  name: 'nginx',
  isThere: () => isInstalled('nginx'),
  launch(folder, port, instances) {
    const file = join(folder, `nginx-${port}.conf`);
    const temp = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
      (each) => `${each}_temp_path ${folder}/${each};`,
    );
    writeFileSync(
      file,
      `daemon off; worker_processes 1; worker_rlimit_nofile 20000; pid ${folder}/nginx-${port}.pid;
error_log ${folder}/nginx.log crit; ${process.getuid?.() === 0 ? 'user root;' : ''} events { worker_connections 10000; }
http { access_log off; ${temp.join(' ')}
  upstream s { ${instances.map((each) => `server 127.0.0.1:${each};`).join(' ')} keepalive 64; }
  server { listen 127.0.0.1:${port} backlog=4096;
    location / { proxy_pass http://s; proxy_http_version 1.1; proxy_set_header Connection ""; } } }`,
    );
    return ['nginx', '-p', folder, '-c', file];
  },
};

const haproxy: Proxy = {
  name: 'haproxy',
  isThere: () => isInstalled('haproxy'),
  launch(folder, port, instances) {
    const file = join(folder, `haproxy-${port}.cfg`);
    const servers = instances.map((each, i) => `  server s${i} 127.0.0.1:${each} check`).join('\n');
    writeFileSync(
      file,
      `global\n  maxconn 3000\n  nbthread 1\ndefaults\n  mode http\n  timeout connect 5s\n  timeout client 60s
  timeout server 60s\n  option redispatch\nfrontend f\n  bind 127.0.0.1:${port}\n  default_backend b
backend b\n  balance roundrobin\n${servers}\n`,
    );
    return ['haproxy', '-f', file];
  },
};

// --- runs ----------------------------------------------------------------------------------------------------------

async function faultRun(proxy: Proxy, fault: Fault, seconds: number, folder: string): Promise<void> {
  await using scene = await Scene.start(proxy, folder);
  const load = new Load(scene.port, PER_SECOND, 0.2);
  await pause((seconds * 1_000) / 3);
  if (fault === 'kill') scene.instances[1]!.kill('SIGKILL');
  else scene.instances[1]!.send(fault);
  await pause((seconds * 2_000) / 3);
  await load.end();
  const { GET, POST } = load.lost;
  console.log(
    `| ${fault === 'kill' ? 'killed' : `${fault}s`} | ${proxy.name} | ${GET} | ${POST} | ${load.asked} | ${load.failures} | ${load.broken} |`,
  );
}

async function slowRun(proxy: Proxy, seconds: number, folder: string): Promise<void> {
  await using scene = await Scene.start(proxy, folder);
  const slow = new SlowCrowd(scene.port);
  await pause(2_000);
  const load = new Load(scene.port, PER_SECOND / 4, 0.2);
  await pause(seconds * 1_000);
  await load.end();
  const ended = slow.end();
  const at = (share: number): string =>
    load.tookMs.toSorted((a, b) => a - b)[Math.floor(load.tookMs.length * share)]!.toFixed(1);
  const lost = load.lost.GET + load.lost.POST;
  console.log(`| bodies | ${proxy.name} | ${lost} | ${load.asked} | ${at(0.5)} | ${at(0.99)} | ${ended} |`);
}

class Scene implements AsyncDisposable {
  readonly port: number;
  readonly instances: readonly ChildProcess[];
  readonly #proxy: ChildProcess;

  private constructor(port: number, instances: readonly ChildProcess[], proxy: ChildProcess) {
    this.port = port;
    this.instances = instances;
    this.#proxy = proxy;
  }

  static async start(proxy: Proxy, folder: string): Promise<Scene> {
    const instances = [0, 1, 2].map(() => fork(SELF, ['instance']));
    const ports = await Promise.all(instances.map(async (each) => (await once(each, 'message'))[0] as number));
    const port = await freePort();
    const [program, ...args] = proxy.launch(folder, port, ports);
    const child = spawn(program, args, { stdio: ['ignore', 'ignore', 'ignore'] });
    const scene = new Scene(port, instances, child);
    for (let tries = 0; (await ask(port, 'GET', new Agent())) !== 'ok'; tries++) {
      if (tries === 200 || child.exitCode !== null) throw new Error(`${proxy.name} does not serve`);
      await pause(100);
    }
    return scene;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of [this.#proxy, ...this.instances]) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      const gone = once(child, 'exit');
      child.kill(child === this.#proxy ? 'SIGTERM' : 'SIGKILL');
      const late = setTimeout(() => child.kill('SIGKILL'), 3_000);
      await gone;
      clearTimeout(late);
    }
  }
}

/** So many requests a second, whatever becomes of them. */
class Load {
  asked = 0;
  failures = 0;
  broken = 0;
  readonly lost = { GET: 0, POST: 0 };
  readonly tookMs: number[] = [];
  readonly #agent = new Agent({ keepAlive: true });
  readonly #open = new Set<Promise<void>>();
  readonly #timer: NodeJS.Timeout;

  constructor(port: number, perSecond: number, posts: number) {
    let dueMs = performance.now();
    this.#timer = setInterval(() => {
      // What a busy machine kept back is left out: a burst would be another question.
      dueMs = Math.max(dueMs, performance.now() - MOST_LATE_MS);
      for (; dueMs < performance.now(); dueMs += 1_000 / perSecond) {
        const method = ++this.asked % Math.round(1 / posts) === 0 ? 'POST' : 'GET';
        const one = this.#one(port, method).finally(() => this.#open.delete(one));
        this.#open.add(one);
      }
    }, 5);
  }

  async #one(port: number, method: 'GET' | 'POST'): Promise<void> {
    const beganMs = performance.now();
    const outcome = await ask(port, method, this.#agent);
    this.tookMs.push(performance.now() - beganMs);
    if (outcome === 'ok') return;
    this.lost[method]++;
    if (outcome === 'failed') this.failures++;
    else this.broken++;
  }

  async end(): Promise<void> {
    clearInterval(this.#timer);
    await Promise.all(this.#open);
    this.#agent.destroy();
  }
}

function ask(port: number, method: string, agent: Agent): Promise<'ok' | 'failed' | 'broken'> {
  return new Promise((resolve) => {
    const body = method === 'POST' ? 'x'.repeat(100) : '';
    const headers = { 'content-length': body.length };
    const call = request({ host: '127.0.0.1', port, path: '/', method, agent, headers }, (response) => {
      response.resume();
      response.on('end', () => resolve(response.statusCode === 200 ? 'ok' : 'failed'));
      response.on('error', () => resolve('broken'));
    });
    call.setTimeout(10_000, () => call.destroy());
    call.on('error', () => resolve('broken')).end(body);
  });
}

/** Callers that send a byte a second. */
class SlowCrowd {
  readonly #sockets: Socket[] = [];
  readonly #timer: NodeJS.Timeout;
  #ended = 0;

  constructor(port: number) {
    for (let i = 0; i < SLOW; i++) {
      const localAddress = `127.0.1.${1 + (i % ADDRESSES)}`;
      const socket = connect({ host: '127.0.0.1', port, localAddress });
      socket.on('error', () => {}).on('close', () => this.#ended++);
      socket.resume().write('POST /slow HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n');
      this.#sockets.push(socket);
    }
    this.#timer = setInterval(() => {
      for (const socket of this.#sockets) socket.write('x');
    }, 1_000);
  }

  /** How many the proxy had ended before. */
  end(): number {
    clearInterval(this.#timer);
    const ended = this.#ended;
    for (const socket of this.#sockets) socket.destroy();
    return ended;
  }
}

// --- the rest ------------------------------------------------------------------------------------------------------

/** An instance, as a process of its own: tells its port, and fails as it is told. */
function serveInstance(): void {
  let resets = false;
  const server = createServer((incoming, response) => {
    if (resets) {
      incoming.socket.resetAndDestroy();
      return;
    }
    incoming.resume().on('end', () => response.end('ok'));
  });
  server.keepAliveTimeout = 0;
  server.on('connection', (socket) => {
    if (resets) socket.resetAndDestroy();
  });
  server.listen(0, '127.0.0.1', 4_096, () => process.send!((server.address() as AddressInfo).port));
  process.on('message', (fault: Fault) => {
    if (fault === 'reset') resets = true;
    else {
      server.close();
      server.closeIdleConnections();
      setTimeout(() => server.closeAllConnections(), 100);
    }
  });
  process.on('disconnect', () => process.exit());
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

if (process.argv[2] === 'instance') serveInstance();
else await main(readNumber(import.meta.filename, 'seconds', 9));
