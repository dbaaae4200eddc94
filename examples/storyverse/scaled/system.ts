/**
 * Starts StoryVerse as the deployment has it: PostgreSQL and Redis, an identity process, a limits process, two
 * gateways, and the services, each a process of its own. Used by scaled.ts for people and by its test.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { startPostgres } from '../../../test/support/postgres.ts';
import { startRedis } from '../../../test/support/redis.ts';

const STARTED_WITHIN_MS = 30_000;
const root = fileURLToPath(new URL('../../..', import.meta.url));
const here = fileURLToPath(new URL('..', import.meta.url));

export interface Part {
  readonly name: string;
  readonly url: string;
  readonly process: ChildProcess;
}

export interface ScaledSystem {
  readonly gateways: readonly Part[];
  readonly identity: Part;
  readonly limits: Part;
  readonly services: readonly Part[];
  readonly redis: Awaited<ReturnType<typeof startRedis>>;
  readonly databaseUrl: string;
  stop(): Promise<void>;
}

export interface ScaledOptions {
  /** The command line, such as `['bin/gatehouse.js']`, relative to the project. */
  readonly command: readonly string[];
  /** Port of a part by its name; 0 for a free one. */
  readonly port: (name: string) => number;
  /** What the parts print; null shows nothing. */
  readonly print: ((line: string) => void) | null;
}

export async function startScaled({ command, port, print }: ScaledOptions): Promise<ScaledSystem> {
  const folder = mkdtempSync(join(tmpdir(), 'storyverse-'));
  const ends: (() => Promise<unknown> | unknown)[] = [() => rmSync(folder, { recursive: true, force: true })];
  const stop = async (): Promise<void> => {
    for (const end of ends.splice(0).reverse()) await end();
  };
  const run = async (name: string, args: string[], listen: number, env: Record<string, string>): Promise<Part> => {
    const child = spawn(process.execPath, args, {
      cwd: root,
      env: { ...process.env, ...env },
      stdio: ['ignore', print === null ? 'ignore' : 'inherit', print === null ? 'ignore' : 'inherit'],
    });
    ends.push(() => finish(child));
    await listening(listen, name, child);
    const url = `http://127.0.0.1:${listen}`;
    print?.(`  ${name.padEnd(16)} ${url}  (process ${child.pid})`);
    return { name, url, process: child };
  };
  const portOf = async (name: string): Promise<number> => port(name) || (await freePort());

  try {
    const [postgres, redis] = await Promise.all([startPostgres(), startRedis()]);
    ends.push(
      () => redis.stop(),
      () => postgres.stop(),
    );
    const databaseUrl = await postgres.database('storyverse');
    print?.(`  ${'PostgreSQL'.padEnd(16)} ${databaseUrl}\n  ${'Redis'.padEnd(16)} ${redis.url}`);
    const service = async (file: string, name: string): Promise<Part> => {
      const at = await portOf(name);
      return run(name, [`${here}services/${file}.ts`], at, {
        PORT: String(at),
        INSTANCE: name,
        STORYVERSE_DATA: folder,
      });
    };
    const services = await Promise.all([
      service('stories', 'stories-1'),
      service('stories', 'stories-2'),
      service('library', 'library-1'),
      service('generator', 'generator-1'),
    ]);
    const urlsOf = (kind: string): string =>
      services
        .filter(({ name }) => name.startsWith(kind))
        .map(({ url }) => url)
        .join(',');
    const identityPort = await portOf('identity');
    const limitsPort = await portOf('limits');
    const gatewayPorts = [await portOf('gateway-1'), await portOf('gateway-2')];
    const shared = {
      DATABASE_URL: databaseUrl,
      REDIS_URL: redis.url,
      GATEHOUSE_MASTER_KEY: 'a master key for this machine only, 32 bytes or more',
      PUBLIC_URL: `http://127.0.0.1:${gatewayPorts[0]}`,
      AUTHENTICATION_URLS: `http://127.0.0.1:${identityPort}`,
      RATE_LIMITING_URLS: `http://127.0.0.1:${limitsPort}`,
      STORIES_URLS: urlsOf('stories'),
      LIBRARY_URLS: urlsOf('library'),
      GENERATOR_URLS: urlsOf('generator'),
    };
    const configuration = `${here}scaled/gatehouse.ts`;
    const gatehouse = (name: string, at: number, args: readonly string[]): Promise<Part> => {
      mkdirSync(join(folder, name));
      const own = { STORYVERSE_PORT: String(at), STORYVERSE_DATA: join(folder, name), WORKERS: '1' };
      return run(name, [...command, ...args], at, { ...shared, ...own });
    };
    const apart = (command: string, at: number): string[] => [
      command,
      '--listen',
      `127.0.0.1:${at}`,
      '--config',
      configuration,
    ];
    // All at once: who comes first makes the tables, and the others wait for that.
    const [identity, limits, ...gateways] = await Promise.all([
      gatehouse('identity', identityPort, apart('identity', identityPort)),
      gatehouse('limits', limitsPort, apart('limits', limitsPort)),
      ...gatewayPorts.map((at, i) => gatehouse(`gateway-${i + 1}`, at, ['start', configuration])),
    ]);
    return { gateways, identity, limits, services, redis, databaseUrl, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** SIGTERM, and the end. */
async function finish(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.kill('SIGTERM');
  await ended;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  return typeof address === 'object' && address !== null ? address.port : 0;
}

function isListening(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

async function listening(port: number, name: string, child: ChildProcess): Promise<void> {
  const deadline = performance.now() + STARTED_WITHIN_MS;
  while (!(await isListening(port))) {
    if (child.exitCode !== null) throw new Error(`${name} ended with ${child.exitCode} before it listened`);
    if (performance.now() > deadline) throw new Error(`${name} does not listen on port ${port}`);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}
