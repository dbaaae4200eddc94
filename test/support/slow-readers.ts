/** A crowd that reads a byte a second of what it asks for (slow_readers.py). */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { Scope } from './scope.ts';

const SCRIPT = fileURLToPath(new URL('./slow_readers.py', import.meta.url));

export interface SlowReaders {
  /** How many have had a byte of their response. */
  answered: number;
  /** How many connections the other side has ended. */
  ended: number;
  close(): void;
}

/** Resolves once all have asked. From so many loopback addresses. */
export async function slowReaders(
  test: Scope,
  { port, count, path, addresses }: { port: number; count: number; path: string; addresses: number },
): Promise<SlowReaders> {
  const child = spawn('/usr/bin/python3', [SCRIPT, port, count, path, addresses].map(String), {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const readers: SlowReaders = { answered: 0, ended: 0, close: () => void child.stdin.end() };
  test.after(() => {
    child.stdin.destroy();
    child.kill('SIGKILL');
  });
  await new Promise<void>((resolve, reject) => {
    child.once('exit', (code) => reject(new Error(`the slow readers ended with ${code}`)));
    createInterface(child.stdout).on('line', (line) => {
      if (line === 'asked') resolve();
      else [readers.answered = 0, readers.ended = 0] = line.split(' ').map(Number);
    });
  });
  return readers;
}
