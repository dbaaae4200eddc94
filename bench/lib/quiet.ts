/**
 * Measures when the machine is quiet: repeats a measurement while other programs use the cores of a run, keeps the
 * quietest try, and says how quiet it was. Cores 0 and 1 are those that processes.ts pins to.
 */
import { readFileSync } from 'node:fs';
import type { Running } from './processes.ts';
import { coreTime, cpuNanoseconds } from './procfs.ts';

/** A try counts when others used less than this, in cores. */
const QUIET_CORES = 0.1;
const MOST_TRIES = 4;

/** The result, and how many cores others used meanwhile. `own` are the processes of the run that stay alive. */
export async function quietest<Result>(
  own: readonly Running[],
  measure: () => Promise<Result>,
): Promise<[Result, number]> {
  let best: [Result, number] | undefined;
  for (let attempt = 0; attempt < MOST_TRIES; attempt++) {
    const before = { at: performance.now(), busy: busyNs(), own: ownNs(own) };
    const result = await measure();
    const wallNs = (performance.now() - before.at) * 1e6;
    const foreign = Math.max(0, (busyNs() - before.busy - (ownNs(own) - before.own)) / wallNs);
    if (best === undefined || foreign < best[1]) best = [result, foreign];
    if (best[1] <= QUIET_CORES) break;
  }
  return best!;
}

function busyNs(): number {
  return coreTime(0).busyNs + coreTime(1).busyNs;
}

/**
 * This process, what it has running, and what it ran to its end (proc_pid_stat(5), cutime and cstime, ticks of 10 ms).
 */
function ownNs(own: readonly Running[]): number {
  const stat = readFileSync('/proc/self/stat', 'latin1');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const ended = (Number(fields[13]) + Number(fields[14])) * 1e7;
  const pids = own.filter((each) => each.alive()).flatMap((each) => each.pids());
  return cpuNanoseconds([process.pid, ...pids]) + ended;
}
