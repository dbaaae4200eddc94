/**
 * What the single executable runs: unpacks Gatehouse, which it carries, into a folder of the user's once, and runs it
 * from there. `--run-script FILE ARGUMENTS` runs a file in place of it: with this Gatehouse starts its own helpers.
 *
 * The folder is `GATEHOUSE_UNPACK_DIR`, or `gatehouse` in the user's cache (`XDG_CACHE_HOME`, `~/.cache`), or one
 * of this process alone where none can be written. It is named by what is in it, is only used if nobody else could have
 * written to it, and appears whole or not at all. Programs that clean caches may take files out of it: those without
 * which no gateway starts are looked for at each start, and where one is missing or cut off it is unpacked anew.
 */
import { existsSync, lstatSync, mkdirSync, mkdtempSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { getAsset, getRawAsset } from 'node:sea';
import { pathToFileURL } from 'node:url';
import vm from 'node:vm';
import { zstdDecompressSync } from 'node:zlib';

const RUN_SCRIPT = '--run-script';
const ENTRY = 'bin/gatehouse.js';

const [program, , ...args] = process.argv;
if (args[0] === RUN_SCRIPT) {
  process.argv = [program, ...args.slice(1)];
  await load(resolve(args[1] ?? ''));
} else {
  const entry = join(unpacked(), ENTRY);
  process.argv = [program, entry, ...args];
  await load(entry);
}

/** `import()` of an executable finds only Node's own modules; this one is the loader of files. */
function load(file) {
  const text = `import(${JSON.stringify(pathToFileURL(file).href)})`;
  const importModuleDynamically = vm.constants.USE_MAIN_CONTEXT_DEFAULT_LOADER;
  return new vm.Script(text, { importModuleDynamically }).runInThisContext();
}

function unpacked() {
  const name = getAsset('name', 'utf8');
  for (const parent of folders()) {
    try {
      mkdirSync(parent, { recursive: true, mode: 0o700 });
      if (!isOursAlone(parent)) continue;
      const folder = join(parent, name);
      if (!isWhole(folder)) unpack(parent, folder);
      return folder;
    } catch {
      // It cannot be written: the next one.
    }
  }
  const own = mkdtempSync(join(tmpdir(), 'gatehouse-'));
  process.on('exit', () => rmSync(own, { recursive: true, force: true }));
  const folder = join(own, name);
  unpack(own, folder);
  return folder;
}

function folders() {
  const { GATEHOUSE_UNPACK_DIR: told, XDG_CACHE_HOME: cache } = process.env;
  if (told) return [resolve(told)];
  return [...(cache ? [join(cache, 'gatehouse')] : []), join(homedir(), '.cache', 'gatehouse')];
}

/** Code is run from there, so nobody else may have put it there. */
function isOursAlone(folder) {
  const { uid, mode } = lstatSync(folder);
  return process.getuid === undefined || (uid === process.getuid() && (mode & 0o022) === 0);
}

function isWhole(folder) {
  if (!existsSync(folder)) return false;
  return JSON.parse(getAsset('needed', 'utf8')).every(
    ([path, length]) => statSync(join(folder, path), { throwIfNoEntry: false })?.size === length,
  );
}

function unpack(parent, folder) {
  const half = mkdtempSync(join(parent, '.unpacking-'));
  try {
    const bytes = zstdDecompressSync(Buffer.from(getRawAsset('files')));
    const files = JSON.parse(getAsset('index', 'utf8'));
    const made = new Set();
    for (const [path, offset, length] of files) {
      const place = join(half, path);
      const into = dirname(place);
      if (!made.has(into)) mkdirSync(into, { recursive: true });
      made.add(into);
      writeFileSync(place, bytes.subarray(offset, offset + length));
    }
    putInPlace(half, folder);
  } catch (error) {
    rmSync(half, { recursive: true, force: true });
    throw error;
  }
}

function putInPlace(half, folder) {
  try {
    renameSync(half, folder);
    return;
  } catch (error) {
    if (!existsSync(folder)) throw error;
  }
  const former = `${half}-former`;
  // Another process was quicker; or it has holes and makes room: whoever runs from it finds the same files there again.
  if (isWhole(folder)) rmSync(half, { recursive: true, force: true });
  else {
    renameSync(folder, former);
    renameSync(half, folder);
    rmSync(former, { recursive: true, force: true });
  }
}
