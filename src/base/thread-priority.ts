/** How much a thread of this process gets when there is less than all want. */
import { readlinkSync } from 'node:fs';
import { setPriority } from 'node:os';

/** A third of what a usual thread gets where there is too little for both. */
const NICE = 5;

/**
 * The calling thread gives way to others from now on. Linux gives each thread a priority of its own;
 * elsewhere it is the process's, and stays as it is.
 */
export function yieldToOthers(): void {
  if (process.platform !== 'linux') return;
  try {
    const thread = Number(readlinkSync('/proc/thread-self').split('/').at(-1));
    setPriority(thread, NICE);
  } catch {
    // Without /proc it takes its turn like the others.
  }
}
