/**
 * The sources compiled as `npm run compile` does it, in a folder of `.cache` named after what they say: made when they
 * have changed, never stale. Threads of gateways in tests, and gateways that tests start as programs, run from there: a
 * worker's modules put together load in a third of the time that they take one by one. A test's own thread runs the
 * sources, so that no class or constant that it shares with a gateway's main thread exists twice.
 */
import { createHash } from 'node:crypto';
import {
  existsSync,
  globSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
} from 'node:fs';
import { join } from 'node:path';
import { compile } from './bundle.ts';

const ROOT = join(import.meta.dirname, '..');
const CACHE = join(ROOT, '.cache', 'compiled');
/** What the sources read from beside their folder. */
const BESIDE = ['console', 'schema', 'package.json'];
/** What reads a configuration in a test's own thread, of which it gets plain data (preload-tests.ts). */
const BUILD = 'control/config/build';
/** How many are kept: a run that has begun before an edit still needs its own. */
const KEPT = 4;

/** The folder that stands for `dist`. */
export async function compiledForTests(): Promise<string> {
  const folder = join(CACHE, contentOf(['src/**/*.ts', 'tools/{bundle,compiled-for-tests}.ts', 'package-lock.json']));
  const dist = join(folder, 'dist');
  if (existsSync(folder)) return dist;
  const draft = `${folder}.${process.pid}`;
  mkdirSync(draft, { recursive: true });
  await compile(join(draft, 'dist'), [BUILD]);
  for (const name of BESIDE) symlinkSync(join(ROOT, name), join(draft, name));
  try {
    renameSync(draft, folder);
  } catch (error) {
    rmSync(draft, { recursive: true });
    // Another run has made the same.
    if (!existsSync(folder)) throw error;
  }
  removeOld();
  return dist;
}

function contentOf(patterns: readonly string[]): string {
  const hash = createHash('sha256').update(process.version);
  for (const file of globSync(patterns, { cwd: ROOT }).sort()) {
    if (!file.endsWith('.test.ts')) hash.update(`${file}\0`).update(readFileSync(join(ROOT, file)));
  }
  return hash.digest('hex').slice(0, 16);
}

/** Those that were made first; drafts of runs that were ended too. */
function removeOld(): void {
  const folders = readdirSync(CACHE).map((name) => join(CACHE, name));
  const byAge = folders.sort((a, b) => statSync(b).ctimeMs - statSync(a).ctimeMs);
  for (const folder of byAge.slice(KEPT)) rmSync(folder, { recursive: true, force: true });
}
