/** The tests that start no server, and may share a process: `npm run test:fast`, and the first part of `npm test`. */
import { globSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname } from 'node:path';

const ROOT = dirname(import.meta.dirname);

/** The files, from the root of the checkout. */
export function fastTests(): string[] {
  return globSync('src/{base,data}/**/*.test.ts', { cwd: ROOT, exclude: ['src/data/limiter/redis/**'] }).sort();
}

/** The files of each process: one process per core, up to four. */
export function shared(files: readonly string[]): string[][] {
  const processes = Math.min(4, availableParallelism());
  return Array.from({ length: processes }, (_, share) => files.filter((_file, index) => index % processes === share));
}
