/**
 * Reads what Linux knows of processes: CPU time in nanoseconds, memory, children. CPU time comes from `schedstat`
 * because `stat` counts in ticks of 10 ms. Nothing here works on other systems, and the harness says so.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';

function read(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return ''; // the process ended between listing and reading
  }
}

function list(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

/** The process and all its descendants, oldest first. */
export function processTree(root: number): number[] {
  const children = new Map<number, number[]>();
  for (const entry of list('/proc')) {
    const pid = Number(entry);
    if (!Number.isInteger(pid)) continue;
    const stat = read(`/proc/${entry}/stat`);
    // The name in brackets may hold anything, so count from its last bracket: state, then parent.
    const parent = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
    const siblings = children.get(parent);
    if (siblings === undefined) children.set(parent, [pid]);
    else siblings.push(pid);
  }
  const tree = [root];
  for (const pid of tree) tree.push(...(children.get(pid) ?? []));
  return tree;
}

/** Nanoseconds on a CPU, all threads of all given processes. */
export function cpuNanoseconds(pids: readonly number[]): number {
  let sum = 0;
  for (const pid of pids) {
    for (const thread of list(`/proc/${pid}/task`)) {
      sum += Number(read(`/proc/${pid}/task/${thread}/schedstat`).split(' ', 1)[0]);
    }
  }
  return sum;
}

/** A `kB` line of a /proc file, in bytes, summed over the processes. */
function sumKilobytes(pids: readonly number[], file: string, key: string): number {
  const pattern = new RegExp(`^${key}:\\s+(\\d+) kB`, 'm');
  let sum = 0;
  for (const pid of pids) sum += Number(pattern.exec(read(`/proc/${pid}/${file}`))?.[1] ?? 0) * 1024;
  return sum;
}

/** Highest resident set since the start or the last `resetPeak`, in bytes. Pages shared by a fork count twice. */
export function peakResidentBytes(pids: readonly number[]): number {
  return sumKilobytes(pids, 'status', 'VmHWM');
}

export function residentBytes(pids: readonly number[]): number {
  return sumKilobytes(pids, 'status', 'VmRSS');
}

/** Resident set with shared pages divided among their users: the fair figure for several processes. */
export function proportionalBytes(pids: readonly number[]): number {
  return sumKilobytes(pids, 'smaps_rollup', 'Pss');
}

/** Starts the peak of the resident set anew (proc(5), clear_refs 5). */
export function resetPeak(pids: readonly number[]): void {
  for (const pid of pids) {
    try {
      writeFileSync(`/proc/${pid}/clear_refs`, '5');
    } catch {
      // not ours, or gone: the peak then covers its whole life, which is an upper bound
    }
  }
}

export interface CoreTime {
  /** Nanoseconds this core ran anything. */
  readonly busyNs: number;
  /** Nanoseconds the hypervisor ran somebody else while this core had work. */
  readonly stealNs: number;
}

/** Time of one core since boot, in steps of 10 ms. */
export function coreTime(core: number): CoreTime {
  const line = read('/proc/stat')
    .split('\n')
    .find((text) => text.startsWith(`cpu${core} `));
  const ticks = (line ?? '').split(' ').slice(1).map(Number);
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0, steal = 0] = ticks;
  const tickNs = 10_000_000;
  return { busyNs: (user + nice + system + irq + softirq) * tickNs, stealNs: steal * tickNs };
}

/** Soft limit of open descriptors of this process, which its children inherit. */
export function descriptorLimit(): number {
  return Number(/^Max open files\s+(\d+)/m.exec(read('/proc/self/limits'))?.[1] ?? 1024);
}
