/**
 * Gives the memory that starting took back to the system: compiling modules and reading the configuration leaves some
 * 20 MB of garbage per process, which V8 would keep until traffic makes it collect. One thorough collection after the
 * start, before there is traffic, costs about 30 ms; a second call on the same thread does nothing. `gc` has no public
 * import, so it is taken from a fresh context while the flag is on, as the Node documentation of `v8` describes.
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
