/** Stops a process as a machine that hangs does. `resume` (SIGCONT) goes on. */
import { readdirSync, readFileSync } from 'node:fs';

const GIVE_UP_MS = 30_000;

/**
 * On Linux only once the last of its threads stands still: the signal alone only asks for it, and what comes before
 * that is still answered.
 */
export function pauseProcess(pid: number): void {
  process.kill(pid, 'SIGSTOP');
  if (process.platform !== 'linux') return;
  const giveUpMs = performance.now() + GIVE_UP_MS;
  while (!threadStates(pid).every((state) => /[TtZX]/.test(state))) {
    if (performance.now() > giveUpMs) throw new Error(`process ${pid} does not stop: ${threadStates(pid).join(' ')}`);
  }
}

/** One letter for each thread (proc(5)). Threads that end meanwhile are left out. */
function threadStates(pid: number): string[] {
  const folder = `/proc/${pid}/task`;
  return readdirSync(folder).flatMap((thread) => {
    try {
      // The name before it may hold blanks and parentheses.
      return [/^.*\) (.)/s.exec(readFileSync(`${folder}/${thread}/stat`, 'utf8'))?.[1] ?? ''];
    } catch {
      return [];
    }
  });
}
