/**
 * The whole example as processes on ports of their own: two gateways, the machines with three workers. For the test,
 * which ends it, and for the drill.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type ClusterClient, clusterClient } from '../../src/cluster-client/index.ts';
import { freePorts } from '../../test/support/ports.ts';

const HERE = fileURLToPath(new URL('.', import.meta.url));
const GATEHOUSE = fileURLToPath(new URL('../../tools/gatehouse.ts', import.meta.url));
const OPERATOR = 'operator-key-0123456789abcdef01234567';
export const APPLICATION = 'application-key-0123456789abcdef01234';

export class Aware {
  readonly urls: readonly string[];
  readonly machines: string;
  readonly cluster: ClusterClient;
  readonly #ports: readonly number[];
  readonly #folder = mkdtempSync(join(tmpdir(), 'gh-aware-'));
  readonly #children = new Map<string, ChildProcess>();

  static async start(): Promise<Aware> {
    const aware = new Aware(await freePorts(3));
    try {
      aware.startGateway('gateway-1');
      aware.startGateway('gateway-2');
      aware.#start('machines', ['services/machines.ts'], {
        PORT: String(aware.#ports[2]),
        OPERATOR_KEY: OPERATOR,
        GATEWAYS: aware.urls.join(','),
      });
      await waitFor(
        () => aware.workersAlive(),
        (count) => count === 3,
        'three workers have joined',
      );
      return aware;
    } catch (error) {
      // No other code knows its processes.
      await aware.stop();
      throw error;
    }
  }

  private constructor(ports: readonly number[]) {
    this.#ports = ports;
    this.urls = ports.slice(0, 2).map((port) => `http://127.0.0.1:${port}`);
    this.machines = `http://127.0.0.1:${ports[2]}`;
    this.cluster = clusterClient({ url: this.urls, apiKey: APPLICATION });
  }

  #start(name: string, args: readonly string[], env: Readonly<Record<string, string>>): void {
    const child = spawn(process.execPath, args, {
      cwd: HERE,
      stdio: ['ignore', 'ignore', 'inherit'],
      env: {
        ...process.env,
        NODE_TEST_CONTEXT: '',
        LOG_LEVEL: 'error',
        AWARE_DATA: this.#folder,
        API_KEY_1: `${OPERATOR}:operator:cluster:admin:standard`,
        API_KEY_2: `${APPLICATION}:application:cluster:tasks:standard`,
        ...env,
      },
    });
    this.#children.set(name, child);
  }

  /** `gateway-1` or `gateway-2`. */
  startGateway(name: string): void {
    const port = this.#ports[Number(name.at(-1)) - 1];
    this.#start(name, [GATEHOUSE, 'start', 'gatehouse.yaml'], { GATEHOUSE_NODE: name, GATEWAY_PORT: String(port) });
  }

  /** kill -9 of a gateway; resolves when it is gone. */
  async killGateway(name: string): Promise<void> {
    const child = this.#children.get(name);
    if (child === undefined) throw new TypeError(`there is no ${name}`);
    const exit = once(child, 'exit');
    child.kill('SIGKILL');
    await exit;
  }

  /** kill -9 of a worker; the machines start it again. */
  async killWorker(name: string): Promise<unknown> {
    return await (await fetch(`${this.machines}/kill/${name}`, { method: 'POST' })).json();
  }

  async workersAlive(): Promise<number> {
    const nodes = await this.cluster.nodes();
    return nodes.filter(({ kind, presence }) => kind === 'worker' && presence === 'alive').length;
  }

  /** Resolves when it is ready; a row of a killed one may still look alive. */
  async gatewayIsReady(name: string): Promise<void> {
    const url = this.urls[Number(name.at(-1)) - 1];
    await waitFor(
      async () => (await fetch(`${url}/health/ready`)).status,
      (status) => status === 200,
      `${name} is ready`,
    );
  }

  async stop(): Promise<void> {
    for (const child of [...this.#children.values()].reverse()) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      const exit = once(child, 'exit');
      child.kill('SIGTERM');
      await exit;
    }
    rmSync(this.#folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

export async function waitFor<T>(read: () => Promise<T>, isRight: (value: T) => boolean, what: string): Promise<T> {
  const giveUpMs = performance.now() + 60_000;
  while (performance.now() < giveUpMs) {
    const value = await read().catch(() => undefined);
    if (value !== undefined && isRight(value)) return value;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`it did not happen: ${what}`);
}
