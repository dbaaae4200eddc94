/**
 * A NATS server with JetStream of its own for a test: the installed binary on a free loopback port with a folder of its
 * own, which can be paused, killed and started again on the same port with what was on its disk.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pauseProcess } from './pause.ts';
import { freePort } from './ports.ts';
import { limitFiles, withoutSignal } from './room.ts';

const START_WITHIN_MS = 120_000;

export interface BrokerServer {
  readonly url: string;
  /** Stops answering, as a machine that hangs does; `resume` goes on. */
  pause(): void;
  resume(): void;
  /** Ends at once, without a word to its clients. */
  kill(): Promise<void>;
  /** After `kill`: on the same port, with what was on the disk. */
  start(): Promise<void>;
  stop(): Promise<void>;
}

export async function endChild(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGKILL');
  await exited;
}

/** Resolves when somebody listens there. Rejects when the process ended before, or when it takes too long. */
export async function listening(port: number, child: ChildProcess): Promise<void> {
  const giveUpMs = performance.now() + START_WITHIN_MS;
  for (;;) {
    if (child.exitCode !== null) throw new Error(`it ended with code ${child.exitCode}`);
    const isThere = await new Promise<boolean>((resolve) => {
      const socket = connect(port, '127.0.0.1');
      socket.once('connect', () => {
        socket.destroy();
        resolve(true);
      });
      socket.once('error', () => resolve(false));
    });
    if (isThere) return;
    if (performance.now() > giveUpMs) throw new Error(`nobody listens on port ${port}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

export interface NatsServer extends BrokerServer {
  /** Where it keeps its streams. */
  readonly folder: string;
  /** No file of it grows beyond so many bytes, as on a full disk; null: there is room again. */
  limitFiles(bytes: number | null): void;
}

export async function startNats(): Promise<NatsServer> {
  const folder = mkdtempSync(join(tmpdir(), 'gatehouse-nats-'));
  const port = await freePort();
  const launch = async (): Promise<ChildProcess> => {
    const path = `${process.env['PATH'] ?? ''}:/usr/sbin:/usr/local/sbin`;
    const args = ['-a', '127.0.0.1', '-p', String(port), '-js', '-sd', folder];
    const child = spawn(...withoutSignal('nats-server', args), {
      stdio: 'ignore',
      env: { ...process.env, PATH: path },
    });
    await Promise.race([
      listening(port, child),
      once(child, 'error').then(([error]) => Promise.reject(error as Error)),
    ]);
    return child;
  };
  let child = await launch();
  return {
    url: `nats://127.0.0.1:${port}`,
    folder,
    limitFiles: (bytes) => limitFiles(child.pid!, bytes),
    pause: () => pauseProcess(child.pid!),
    resume: () => child.kill('SIGCONT'),
    kill: () => endChild(child),
    async start() {
      child = await launch();
    },
    async stop() {
      await endChild(child);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
