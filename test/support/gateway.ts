/** A whole gateway for one test: real workers, real sockets, a port of its own, gone when the test is over. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import './compile-cache.ts';
import { createLogger } from '../../src/base/log.ts';
import type { RunningGateway } from '../../src/main.ts';
import { startGateway } from '../../src/main.ts';
import type { Scope } from './scope.ts';

export interface TestGateway extends RunningGateway {
  readonly port: number;
  readonly url: string;
  /** Lines of the process log. */
  readonly logged: readonly string[];
  /** Folder of its own. */
  readonly folder: string;
}

interface Document {
  readonly gateway?: Readonly<Record<string, unknown>>;
  readonly [section: string]: unknown;
}

/** Without a spare: a test that lives longer than 5 s would start a second worker that it has no use for. */
const GATEWAY = { host: '127.0.0.1', port: 0, workers: 1, spareWorker: false, accessLog: 'off' } as const;

/**
 * Starts a gateway with this document; host, port, data folder and log are filled in. One worker unless it says more.
 */
export async function startTestGateway(
  test: Scope,
  document: Document,
  env: Readonly<Record<string, string>> = {},
): Promise<TestGateway> {
  const folder = await mkdtemp(join(tmpdir(), 'gh-'));
  const logged: string[] = [];
  const gateway = await startGateway({
    document: {
      ...document,
      gateway: { ...GATEWAY, dataDir: folder, ...document.gateway },
    },
    env,
    cwd: folder,
    log: createLogger('info', (line) => void logged.push(line)),
    writeLog: (line) => void logged.push(line),
  }).catch(async (error: unknown) => {
    await rm(folder, { recursive: true, force: true });
    throw error;
  });
  test.after(async () => {
    await gateway.stop({ timeoutMs: 500 });
    await rm(folder, { recursive: true, force: true });
  });
  const { port } = gateway.addresses[0]!;
  return Object.assign(Object.create(gateway) as RunningGateway, {
    port,
    url: `http://127.0.0.1:${port}`,
    logged,
    folder,
  });
}
