/**
 * Gives the memory that starting took back to the system: compiling modules and reading the configuration leaves some
 * 20 MB of garbage per process, which V8 would keep until traffic makes it collect. One thorough collection after the
 * start, before there is traffic, costs about 30 ms; a second call on the same thread does nothing. `gc` has no public
 * import, so it is taken from a fresh context while the flag is on, as the Node documentation of `v8` describes.
 *
 * What V8 and Node have freed then stays with the C library, 15 MB of it in the arenas of their threads, for glibc
 * gives memory back less and less as larger blocks are freed. `malloc_trim` returns all of it.
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

type Collect = (options: { type: 'major'; execution: 'sync'; flavor: 'last-resort' }) => void;

/** Each thread loads this module for itself. */
let isReleased = false;

/** For the calling thread's own heap. */
export function releaseMemory(): void {
  if (isReleased) return;
  isReleased = true;
  setFlagsFromString('--expose-gc');
  // The flag stays: it is the process's, and another thread may be between these two lines. It shows in new contexts
  // only.
  const collect = runInNewContext('globalThis.gc') as Collect | undefined;
  collect?.({ type: 'major', execution: 'sync', flavor: 'last-resort' });
}

/**
 * For all threads of the process. Nothing happens without glibc, before Node 26.1, or where Node may not call native
 * code (`--no-experimental-ffi`, `--permission` without `--allow-ffi`).
 */
export function trimMemory(): void {
  if (process.platform !== 'linux') return;
  try {
    const { functions, lib } = ffi().dlopen(null, { malloc_trim: { arguments: ['uint64'], return: 'int32' } });
    functions.malloc_trim(0n);
    lib.close();
  } catch {
    // It stays as it is.
  }
}

/** Without its warning that it is experimental, which would be the first line of every log. */
function ffi(): typeof import('node:ffi') {
  const { emitWarning } = process;
  process.emitWarning = () => {};
  try {
    return process.getBuiltinModule('node:ffi');
  } finally {
    process.emitWarning = emitWarning;
  }
}
