/**
 * `npm run test:fast`: the tests of `src/base` and `src/data` that start no server, for while one writes. The files
 * share a process per core instead of having one each: most of the time of a small file is the start of its process.
 */
import { spawn } from 'node:child_process';
import { dirname } from 'node:path';
import '../test/support/compile-cache.ts';
import { fastTests, shared } from './fast-tests.ts';

const ROOT = dirname(import.meta.dirname);
const OPTIONS = ['--test', '--test-isolation=none', '--test-timeout=60000', '--test-reporter=dot'];

const codes = await Promise.all(
  shared(fastTests()).map((files) => {
    const child = spawn(process.execPath, [...OPTIONS, ...files], { cwd: ROOT, stdio: 'inherit' });
    return new Promise<number>((resolve, reject) => {
      child.on('error', reject);
      child.on('exit', (code) => resolve(code ?? 1));
    });
  }),
);
process.exitCode = Math.max(...codes);
