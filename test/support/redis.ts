/**
 * Redis servers of their own for a test: finds the installed binary, starts it on free loopback ports in a temporary
 * folder, without writing anything that should last, and removes it all afterwards. Can be paused, killed and started
 * again on the same port, and be one server, a master with a sentinel, or a cluster.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, constants, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { pauseProcess } from './pause.ts';
import { freePort, isFree } from './ports.ts';

const HOW = 'install it with: apt-get install redis-server (only the binary is used, no service needs to run)';
const START_DEADLINE_MS = 10_000;

export interface RedisServer {
  readonly host: string;
  readonly port: number;
  readonly url: string;
  /** Runs one command with redis-cli's syntax and gives its raw reply. */
  command(...args: readonly string[]): Promise<string>;
  /** Stops answering, as a machine that hangs does; `resume` goes on. */
  pause(): void;
  resume(): void;
  /** Ends at once, without a word to its clients. `start` brings it back on the same port, empty. */
  kill(): Promise<void>;
  start(): Promise<void>;
  stop(): Promise<void>;
}

function findBinary(): string {
  const folders = (process.env['PATH'] ?? '')
    .split(delimiter)
    .concat('/usr/bin', '/usr/local/bin', '/opt/homebrew/bin');
  for (const folder of folders) {
    const path = join(folder, 'redis-server');
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // Not here.
    }
  }
  throw new Error(`redis-server was not found; ${HOW}`);
}

/** A node of a cluster takes the port 10,000 above as well. */
async function freeClusterPort(): Promise<number> {
  for (;;) {
    const port = await freePort();
    if (await isFree(port + 10_000)) return port;
  }
}

/** A command over a connection of its own; rejects if nobody answers in a second. */
function ask(port: number, args: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1');
    let reply = '';
    const end = (act: () => void): void => {
      socket.destroy();
      act();
    };
    socket.setTimeout(1_000, () => end(() => reject(new Error('no reply'))));
    socket.on('error', (error) => end(() => reject(error)));
    socket.on('data', (part) => {
      reply += part.toString('utf8');
      if (reply.endsWith('\r\n')) end(() => resolve(reply.trim()));
    });
    socket.write(`*${args.length}\r\n${args.map((arg) => `$${Buffer.byteLength(arg)}\r\n${arg}\r\n`).join('')}`);
  });
}

async function until(what: string, condition: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + START_DEADLINE_MS;
  while (!(await condition().catch(() => false))) {
    if (performance.now() > deadline) throw new Error(`${what} did not happen in time`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

async function launch(
  port: number,
  folder: string,
  more: readonly string[],
  last: readonly string[] = [],
): Promise<ChildProcess> {
  const settings = [
    '--bind',
    '127.0.0.1',
    '--save',
    '',
    '--appendonly',
    'no',
    '--dir',
    folder,
    '--loglevel',
    'warning',
  ];
  const child = spawn(findBinary(), [...more, '--port', String(port), ...settings, ...last], { stdio: 'ignore' });
  await until(`redis-server on port ${port}`, async () => (await ask(port, ['PING'])).includes('PONG'));
  return child;
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGKILL');
  await exited;
}

async function startOn(port: number, more: readonly string[] = [], last: readonly string[] = []): Promise<RedisServer> {
  const folder = mkdtempSync(join(tmpdir(), 'gatehouse-redis-'));
  let child = await launch(port, folder, more, last);
  return {
    host: '127.0.0.1',
    port,
    url: `redis://127.0.0.1:${port}`,
    command: (...args) => ask(port, args),
    pause: () => pauseProcess(child.pid!),
    resume: () => child.kill('SIGCONT'),
    kill: () => end(child),
    async start() {
      child = await launch(port, folder, more, last);
    },
    async stop() {
      await end(child);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

export async function startRedis(): Promise<RedisServer> {
  return await startOn(await freePort());
}

/** One that writes each change to its disk before it acknowledges it; `start` after `kill` brings all of it back. */
export async function startDurableRedis(): Promise<RedisServer> {
  return await startOn(await freePort(), [], ['--appendonly', 'yes', '--appendfsync', 'always']);
}

export interface RedisGroup {
  readonly url: string;
  readonly servers: readonly RedisServer[];
  stop(): Promise<void>;
}

/** Three masters that share the slots. */
export async function startRedisCluster(): Promise<RedisGroup> {
  const servers: RedisServer[] = [];
  for (let i = 0; i < 3; i++) {
    servers.push(
      await startOn(await freeClusterPort(), ['--cluster-enabled', 'yes', '--cluster-config-file', `nodes-${i}.conf`]),
    );
  }
  const [first] = servers as [RedisServer, ...RedisServer[]];
  for (const [i, server] of servers.entries()) {
    const from = Math.floor((16_384 * i) / servers.length);
    const to = Math.floor((16_384 * (i + 1)) / servers.length) - 1;
    await server.command('CLUSTER', 'ADDSLOTSRANGE', String(from), String(to));
    if (server !== first) await first.command('CLUSTER', 'MEET', server.host, String(server.port));
  }
  await until('a Redis cluster', async () => {
    const states = await Promise.all(servers.map((server) => server.command('CLUSTER', 'INFO')));
    return states.every((state) => state.includes('cluster_state:ok') && state.includes('cluster_known_nodes:3'));
  });
  const url = `redis+cluster://${servers.map(({ host, port }) => `${host}:${port}`).join(',')}`;
  return { url, servers, stop: async () => void (await Promise.all(servers.map((server) => server.stop()))) };
}

/** A master and one sentinel that knows it as `main`; the sentinel alone may fail it over. */
export async function startRedisSentinel(): Promise<RedisGroup> {
  const master = await startRedis();
  const replica = await startRedis();
  await replica.command('REPLICAOF', master.host, String(master.port));
  const folder = mkdtempSync(join(tmpdir(), 'gatehouse-sentinel-'));
  const port = await freePort();
  const file = join(folder, 'sentinel.conf');
  writeFileSync(
    file,
    `port ${port}\nbind 127.0.0.1\ndir ${folder}\nsentinel monitor main ${master.host} ${master.port} 1\nsentinel down-after-milliseconds main 500\nsentinel failover-timeout main 3000\n`,
  );
  const sentinel = spawn(findBinary(), [file, '--sentinel'], { stdio: 'ignore' });
  await until('a Redis sentinel', async () => {
    return (await ask(port, ['SENTINEL', 'replicas', 'main'])).includes(String(replica.port));
  });
  return {
    url: `redis+sentinel://127.0.0.1:${port}/main`,
    servers: [master, replica],
    async stop() {
      await end(sentinel);
      rmSync(folder, { recursive: true, force: true });
      await Promise.all([master.stop(), replica.stop()]);
    },
  };
}
