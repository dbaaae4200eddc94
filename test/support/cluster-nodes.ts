/** Real processes of one cluster for a test, and callers who count what they get. */
import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { clusterClient } from '../../src/cluster-client/index.ts';
import type { Scope } from './scope.ts';

const PROGRAM = fileURLToPath(new URL('../../tools/gatehouse.ts', import.meta.url));
/** An administrator of every node. */
export const ROOT = 'root-key-0123456789abcdef0123456789';

export interface ClusterProcess {
  readonly name: string;
  readonly child: ChildProcess;
  readonly url: string;
  readonly file: string;
}

export interface NodeWishes {
  readonly store: string;
  /** Keys of `cluster` besides those that a test needs to be quick. */
  readonly cluster?: Readonly<Record<string, unknown>>;
  /** Other keys of the document. */
  readonly document?: Readonly<Record<string, unknown>>;
  readonly env?: Readonly<Record<string, string>>;
}

export async function startNode(t: Scope, folder: string, name: string, wishes: NodeWishes): Promise<ClusterProcess> {
  const file = join(folder, `${name}.json`);
  await writeFile(
    file,
    JSON.stringify({
      gateway: {
        host: '127.0.0.1',
        port: 0,
        workers: 1,
        spareWorker: false,
        accessLog: 'off',
        dataDir: join(folder, name),
      },
      cluster: {
        name: 'test',
        node: name,
        store: wishes.store,
        heartbeat: '300ms',
        suspectAfter: '3s',
        goneAfter: '6s',
        lease: '2s',
        rollout: { watch: '1s', timeout: '15s', waves: ['60%', '100%'] },
        ...wishes.cluster,
      },
      routes: [{ match: { path: '/hello' }, auth: 'public', respond: { status: 200, body: 'own' } }],
      ...wishes.document,
    }),
  );
  const child = spawn(process.execPath, [PROGRAM, 'start', file, '--json'], {
    stdio: ['ignore', 'pipe', 'ignore'],
    env: { ...process.env, NODE_TEST_CONTEXT: '', API_KEY_1: `${ROOT}:root:cluster:admin:premium`, ...wishes.env },
  });
  t.after(() => {
    child.kill('SIGCONT');
    child.kill('SIGKILL');
  });
  const [line] = (await once(createInterface(child.stdout!), 'line')) as [string];
  const { addresses } = JSON.parse(line) as { addresses: { port: number }[] };
  return { name, child, url: `http://127.0.0.1:${addresses[0]!.port}`, file };
}

/** A folder for the nodes. */
export async function scene(t: Scope): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'gh-cluster-'));
  t.after(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }));
  return folder;
}

export async function waitFor<T>(
  read: () => Promise<T>,
  isRight: (value: T) => boolean,
  what: string,
  patienceMs = 60_000,
): Promise<T> {
  let last: unknown;
  const giveUpMs = performance.now() + patienceMs;
  while (performance.now() < giveUpMs) {
    try {
      const value = await read();
      if (isRight(value)) return value;
      last = value;
    } catch (error) {
      last = error;
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`it did not happen: ${what}; last seen: ${JSON.stringify(last)}`);
}

/** Asks each node about a hundred times a second until told to stop. */
export class Callers {
  readonly answers = new Map<string, number>();
  failures = 0;
  #isOver = false;
  readonly #loops: Promise<void>[];

  constructor(scope: Scope, nodes: readonly ClusterProcess[]) {
    scope.after(() => this.stop());
    this.#loops = nodes.map((node) => this.#loop(node));
  }

  get served(): number {
    return [...this.answers.values()].reduce((sum, count) => sum + count, 0);
  }

  async #loop({ url }: ClusterProcess): Promise<void> {
    while (!this.#isOver) {
      try {
        const response = await fetch(`${url}/hello`);
        const text = await response.text();
        if (response.status === 200) this.answers.set(text, (this.answers.get(text) ?? 0) + 1);
        else this.failures++;
      } catch {
        this.failures++;
      }
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  async stop(): Promise<void> {
    this.#isOver = true;
    await Promise.all(this.#loops);
  }
}

export const version = (body: string): string =>
  `routes:\n  - { match: { path: /hello }, auth: public, respond: { status: 200, body: "${body}" } }\n`;

export const clientOf = (nodes: readonly ClusterProcess[]) =>
  clusterClient({ url: nodes.map(({ url }) => url), apiKey: ROOT });
