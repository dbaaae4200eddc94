/**
 * A PostgreSQL server of its own for a test: finds the installed binaries, makes a cluster in a temporary folder,
 * starts it on a free loopback port and removes it all afterwards. PostgreSQL refuses to run as root, so then it runs
 * as the `postgres` user that the distribution's package made.
 */
import { type ExecFileOptions, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chownSync, existsSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { freePort } from './ports.ts';

const run = promisify(execFile);
const HOW = 'install it with: apt-get install postgresql (only the binaries are used, no service needs to run)';

export interface PostgresServer {
  /** A new empty database each time. */
  database(name: string): Promise<string>;
  /** Runs a statement as the superuser and gives its rows, one a line. */
  run(statement: string): Promise<string>;
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

/**
 * A cluster that `initdb` has made, which takes a second, and that each server copies: made once for a version and a
 * user, and complete under its name, since it gets the name last.
 */
async function emptyCluster(binaries: string, options: ExecFileOptions): Promise<string> {
  const { stdout } = await run(join(binaries, 'initdb'), ['--version'], options);
  const version = String(stdout).replace(/[^0-9.]+/g, '-');
  const made = join(tmpdir(), `gatehouse-postgres-empty${version}${options.uid ?? process.getuid?.() ?? 0}`);
  if (existsSync(made)) return made;
  const making = join(String(options.cwd), 'empty');
  await run(join(binaries, 'initdb'), ['-D', making, '-U', 'gatehouse', '-A', 'trust', '-E', 'UTF8', '-N'], options);
  try {
    renameSync(making, made);
  } catch (error) {
    // Another test was faster.
    if (!existsSync(made)) throw error;
  }
  return made;
}

export async function startPostgres(): Promise<PostgresServer> {
  const binaries = findBinaries();
  const user = await unprivileged();
  const folder = mkdtempSync(join(tmpdir(), 'gatehouse-postgres-'));
  if (user.uid !== undefined && user.gid !== undefined) chownSync(folder, user.uid, user.gid);
  const data = join(folder, 'data');
  const options = { ...user, cwd: folder, env: { PATH: process.env['PATH'] ?? '', LC_ALL: 'C' } };
  await run('cp', ['-R', await emptyCluster(binaries, options), data], options);
  const port = await freePort();
  const sql = async (text: string): Promise<string> => {
    const where = ['-h', '127.0.0.1', '-p', String(port), '-U', 'gatehouse', '-d', 'postgres'];
    const flags = ['-X', '-q', '-A', '-t', '-v', 'ON_ERROR_STOP=1'];
    const { stdout } = await run(join(binaries, 'psql'), [...flags, ...where, '-c', text], options);
    return String(stdout).trim();
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
    run: sql,
    halt: () => halt(),
    start,
    async stop() {
      await halt();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
