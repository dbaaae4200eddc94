/**
 * A disk without room, for one process: files of a process may not grow beyond a size (RLIMIT_FSIZE), so its writes
 * fail as on a full disk, with EFBIG in place of ENOSPC, and nobody else's do. The process must be started with
 * `WITHOUT_SIGNAL`, or the first such write ends it.
 */
import { execFileSync } from 'node:child_process';
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';

/** A program and its arguments, so that a file that may not grow is an error of the write and no signal. */
export function withoutSignal(program: string, args: readonly string[]): [program: string, args: string[]] {
  return ['/bin/sh', ['-c', 'trap "" XFSZ; exec "$@"', 'sh', program, ...args]];
}

/** No file of the process grows beyond so many bytes; with null there is room again. */
export function limitFiles(pid: number, bytes: number | null): void {
  execFileSync('prlimit', ['--pid', String(pid), `--fsize=${bytes ?? 'unlimited'}:unlimited`]);
}

/** Bytes of the largest file below a folder. */
export function largestFile(folder: string): number {
  const sizes = readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => statSync(join(entry.parentPath, entry.name), { throwIfNoEntry: false })?.size ?? 0);
  return Math.max(0, ...sizes);
}
