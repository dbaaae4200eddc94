/**
 * The public suite of HTTP cache tests (npm package `http-cache-tests`), brought to `.cache/` by its checksum. It is
 * not a dependency, because it has all of an old npm as one of its own, which nothing here needs.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const VERSION = '0.4.5';
const SHA512 = 'DjuwN9nUZXLTW+wav1LRESCZNVxl8SshwOy4z1pxuWbWt5/ay6sM9QQ1lebBaDO6P1IMBoK6mdf+PuVP/QNL8A==';
const CACHE = fileURLToPath(new URL('../.cache/', import.meta.url));

/** Its folder. Throws when it cannot be had or is not what it was. */
export function httpCacheSuite(): string {
  const folder = join(CACHE, `http-cache-tests-${VERSION}`);
  if (existsSync(folder)) return folder;
  mkdirSync(CACHE, { recursive: true });
  const work = mkdtempSync(join(CACHE, 'suite-'));
  try {
    execFileSync('npm', [
      'pack',
      `http-cache-tests@${VERSION}`,
      '--silent',
      '--ignore-scripts',
      '--pack-destination',
      work,
    ]);
    const archive = join(work, `http-cache-tests-${VERSION}.tgz`);
    const found = createHash('sha512').update(readFileSync(archive)).digest('base64');
    if (found !== SHA512) throw new Error(`http-cache-tests ${VERSION}: the checksum is ${found}, expected ${SHA512}`);
    execFileSync('tar', ['-xzf', archive, '-C', work]);
    renameSync(join(work, 'package'), folder);
  } catch (error) {
    // Another process may have been faster.
    if (!existsSync(folder)) throw error;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  return folder;
}
