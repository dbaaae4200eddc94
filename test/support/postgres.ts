/**
 * A PostgreSQL server of its own for a test: finds the installed binaries, makes a cluster in a temporary folder,
 * starts it on a free loopback port and removes it all afterwards. PostgreSQL refuses to run as root, so then it runs
 * as the `postgres` user that the distribution's package made.
 */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chownSync, existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const HOW = 'install it with: apt-get install postgresql (only the binaries are used, no service needs to run)';

export interface PostgresServer {
  /** A new empty database each time. */
  database(name: string): Promise<string>;
  /** Ends every connection and refuses new ones, as when the server is away; `start` brings it back. */
  halt(): Promise<void>;
  start(): Promise<void>;
  stop(): Promise<void>;
}

function findBinaries(): string {
  const roots = ['/usr/lib/postgresql', '/usr/local/pgsql', '/opt/homebrew/opt', '/usr/pgsql'];
  for (const root of roots) {
    if (!existsSync(root)) continue;
    if (existsSync(join(root, 'bin', 'initdb'))) return join(root, 'bin');
    const versions = readdirSync(root).sort((a, b) => Number.parseFloat(b) - Number.parseFloat(a));
    for (const version of versions) {
      if (existsSync(join(root, version, 'bin', 'initdb'))) return join(root, version, 'bin');
    }
  }
  for (const folder of (process.env['PATH'] ?? '').split(':')) {
    if (existsSync(join(folder, 'initdb'))) return folder;
  }
  throw new Error(`PostgreSQL's initdb was not found; ${HOW}`);
}

async function unprivileged(): Promise<{ uid?: number; gid?: number }> {
  if (process.getuid?.() !== 0) return {};
  try {
    const [uid, gid] = await Promise.all(
      ['-u', '-g'].map(async (flag) => (await run('id', [flag, 'postgres'])).stdout),
    );
    return { uid: Number(uid), gid: Number(gid) };
  } catch {
    throw new Error(`PostgreSQL refuses to run as root and there is no user "postgres"; ${HOW}`);
  }
}

async function freePort(): Promise<number> {
  const probe = createServer();
  probe.listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const address = probe.address();
  probe.close();
  await once(probe, 'close');
  if (address === null || typeof address === 'string') throw new Error('no free port');
  return address.port;
}

export async function startPostgres(): Promise<PostgresServer> {
  const binaries = findBinaries();
  const user = await unprivileged();
  const folder = mkdtempSync(join(tmpdir(), 'gatehouse-postgres-'));
  if (user.uid !== undefined && user.gid !== undefined) chownSync(folder, user.uid, user.gid);
  const data = join(folder, 'data');
  const options = { ...user, cwd: folder, env: { PATH: process.env['PATH'] ?? '', LC_ALL: 'C' } };
  await run(join(binaries, 'initdb'), ['-D', data, '-U', 'gatehouse', '-A', 'trust', '-E', 'UTF8', '-N'], options);
  const port = await freePort();
  const sql = async (text: string): Promise<void> => {
    const where = ['-h', '127.0.0.1', '-p', String(port), '-U', 'gatehouse', '-d', 'postgres'];
    await run(join(binaries, 'psql'), ['-X', '-q', '-v', 'ON_ERROR_STOP=1', ...where, '-c', text], options);
  };
  let halt: () => Promise<void> = async () => {};
  const start = async (): Promise<void> => {
    const settings = ['fsync=off', 'shared_buffers=16MB', 'max_connections=60', 'listen_addresses=127.0.0.1'];
    const flags = settings.flatMap((setting) => ['-c', setting]);
    const server = spawn(join(binaries, 'postgres'), ['-D', data, '-p', String(port), '-k', folder, ...flags], {
      ...options,
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    const ended = once(server, 'exit');
    // SIGINT is PostgreSQL's fast shutdown: it drops the connections and exits cleanly.
    halt = async () => {
      server.kill('SIGINT');
      await ended;
    };
    let said = '';
    await new Promise<void>((done, fail) => {
      server.stderr.setEncoding('utf8').on('data', (text: string) => {
        said = (said + text).slice(-4_000);
        if (said.includes('ready to accept connections')) done();
      });
      void ended.then(() => fail(new Error(`PostgreSQL did not start: ${said}`)));
    });
  };
  await start();
  return {
    async database(name) {
      await sql(`create database ${name}`);
      return `postgres://gatehouse@127.0.0.1:${port}/${name}`;
    },
    halt: () => halt(),
    start,
    async stop() {
      await halt();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
