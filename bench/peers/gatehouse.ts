/**
 * Gatehouse itself, as a user starts it: compiled, one worker, access log to a file, metrics on. `compare.ts` makes two
 * of these from two checkouts.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { audience, issuer, limits } from '../jobs/gateway.ts';
import type { Launch, Peer, Setup } from './peer.ts';

export const projectRoot = fileURLToPath(new URL('../../', import.meta.url));

export function gatehouseAt(root: string, name: string): Peer {
  return {
    name,
    features: new Set([
      'http',
      'tls',
      'websocket',
      'idle',
      'gateway',
      'http2',
      'h2c-upstream',
      'grpc',
      'transcode',
      'cache',
    ] as const),
    note: 'one worker, JSON access log to a file, metrics, X-Request-ID, Forwarded, X-Forwarded-*, Via',
    missing: () => (existsSync(join(root, 'bin/gatehouse.js')) ? undefined : 'this checkout has no bin/gatehouse.js'),
    version: () => version(root),
    prepare: (setup) => prepare(root, setup),
  };
}

export const gatehouse = gatehouseAt(projectRoot, 'gatehouse');

function version(root: string): string {
  const { version: number } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
  const git = spawnSync('git', ['-C', root, 'describe', '--always', '--dirty'], { encoding: 'utf8' });
  return git.status === 0 ? `${number} (${git.stdout.trim()})` : number;
}

const built = new Set<string>();

/** Compiles the checkout unless its output is newer than every source; without types, which nothing here reads. */
function build(root: string): void {
  if (built.has(root)) return;
  const output = join(root, 'dist/index.js');
  const startedAt = Date.now();
  if (!existsSync(output) || newestSource(join(root, 'src')) > statSync(output).mtimeMs) {
    const options = { cwd: root, encoding: 'utf8', timeout: 120_000 } as const;
    const result = spawnSync('npm', ['run', '--silent', 'compile'], options);
    const wrote = existsSync(output) && statSync(output).mtimeMs >= startedAt - 1_000;
    if (!wrote) throw new Error(`the build failed\n${`${result.stdout}${result.stderr}`.slice(-600)}`);
  }
  built.add(root);
}

function newestSource(folder: string): number {
  let newest = 0;
  for (const entry of readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
    if (entry.endsWith('.ts') && !entry.endsWith('.test.ts'))
      newest = Math.max(newest, statSync(join(folder, entry)).mtimeMs);
  }
  return newest;
}

function prepare(root: string, setup: Setup): Launch {
  build(root);
  const accessLog = join(setup.folder, 'access.log');
  const file = setup.gateway === undefined ? plainConfig(setup, accessLog) : gatewayFile;
  return {
    command: process.execPath,
    args: [join(root, 'bin/gatehouse.js'), 'start', file],
    env: { ...variables(setup, accessLog), WORKERS: '1' },
    accessLog,
    metricsPath: '/metrics',
  };
}

/** The gateway job is a file to read, `bench/jobs/gateway.yaml`; what differs from run to run are its variables. */
const gatewayFile = fileURLToPath(new URL('../jobs/gateway.yaml', import.meta.url));

function variables(setup: Setup, accessLog: string): Record<string, string> {
  if (setup.gateway === undefined) return {};
  return {
    BENCH_PORT: String(setup.port),
    BENCH_DATA: setup.folder,
    BENCH_UPSTREAM: `http://127.0.0.1:${setup.upstreamPort}`,
    BENCH_ACCESS_LOG: accessLog,
    BENCH_PUBLIC_KEY: setup.gateway.publicKeyFile,
    BENCH_ISSUER: issuer,
    BENCH_AUDIENCE: audience,
    BENCH_PER_MINUTE: String(limits.perMinute),
    BENCH_PER_HOUR: String(limits.perHour),
  };
}

/** Defaults throughout, except that idle connections may stay for as long as the idle job measures. */
function plainConfig(setup: Setup, accessLog: string): string {
  const file = join(setup.folder, 'gatehouse.json');
  const address = { host: '127.0.0.1', port: setup.port };
  const certificates = [{ cert: setup.tls?.certFile, key: setup.tls?.keyFile }];
  const { upstream = 'h1', protoFile } = setup.http2 ?? {};
  const protocol = upstream === 'h1' ? {} : { protocol: upstream };
  const route = protoFile === undefined ? { upgrades: ['websocket'] } : { transcode: { proto: protoFile } };
  const cache = setup.cache === true ? { cache: { lifetimes: { 200: '1h' } } } : {};
  const document = {
    gateway: {
      ...(setup.tls === undefined ? address : { listeners: [{ ...address, tls: { certificates } }] }),
      workers: 1,
      dataDir: setup.folder,
      accessLog: { file: accessLog },
      timeouts: { keepAlive: '10m' },
    },
    services: { upstream: { instances: [`http://127.0.0.1:${setup.upstreamPort}`], ...protocol } },
    routes: [{ match: { path: '/*' }, service: 'upstream', auth: 'public', ...route, ...cache }],
  };
  writeFileSync(file, JSON.stringify(document, null, 2));
  return file;
}
