/**
 * npm, npx and their kin run a command in a shell and send a signal to the shell only, which ends and does not pass it
 * on: the gateway would go on without them. So what they have started looks whether its parent is still there. What a
 * script leaves in the background has lost its parent before it gets here, and stays.
 */
import { every, systemTimers, type Timers } from '../base/system-timers.ts';
import type { Environment } from '../control/config/source.ts';

const LOOK_EVERY_MS = 500;

interface Surroundings {
  readonly timers: Timers;
  parent(): number;
}

/** Calls `ended` once the parent has gone, where npm started this; returns what ends the watch. */
export function onNpmGone(
  env: Environment,
  ended: () => void,
  { timers, parent }: Surroundings = { timers: systemTimers, parent: () => process.ppid },
): () => void {
  if (env['npm_lifecycle_event'] === undefined && env['npm_command'] === undefined) return () => {};
  const first = parent();
  const stop = every(
    LOOK_EVERY_MS,
    () => {
      if (parent() === first) return;
      stop();
      ended();
    },
    timers,
  );
  return stop;
}
