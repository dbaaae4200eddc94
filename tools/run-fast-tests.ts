/**
 * `npm run test:fast`: the tests of `src/base` and `src/data` that start no server, for while one writes. The files
 * share a process per core instead of having one each: most of the time of a small file is the start of its process.
 * `npm test` gives every file its own.
 */
import { spawn } from 'node:child_process';
import { globSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname } from 'node:path';
import '../test/support/compile-cache.ts';

const ROOT = dirname(import.meta.dirname);
const OPTIONS = ['--test', '--test-isolation=none', '--test-timeout=60000', '--test-reporter=dot'];

const files = globSync('src/{base,data}/**/*.test.ts', { cwd: ROOT, exclude: ['src/data/limiter/redis/**'] }).sort();
const processes = Math.min(4, availableParallelism());
const codes = await Promise.all(
  Array.from({ length: processes }, (_, share) => {
    const own = files.filter((_, index) => index % processes === share);
    const child = spawn(process.execPath, [...OPTIONS, ...own], { cwd: ROOT, stdio: 'inherit' });
    return new Promise<number>((resolve, reject) => {
      child.on('error', reject);
      child.on('exit', (code) => resolve(code ?? 1));
    });
  }),
);
process.exitCode = Math.max(...codes);
