/**
 * npm, npx and their kin run a command in a shell and send a signal to the shell only, which ends and does not pass it
 * on: the gateway would go on without them. So what they have started looks whether its parent is still there, and so
 * does what `gatehouse dev` has started, which may be killed. What a script leaves in the background has lost its
 * parent before it gets here, and stays.
 */
import { every, systemTimers, type Timers } from '../base/system-timers.ts';
import type { Environment } from '../control/config/source.ts';

/** Set by `gatehouse dev` in what it starts. */
export const DEV_PARENT = 'GATEHOUSE_DEV_PARENT';

const LOOK_EVERY_MS = 500;

interface Surroundings {
  readonly timers: Timers;
  parent(): number;
}

/** Calls `ended` once the parent has gone, where npm or `dev` started this; returns what ends the watch. */
export function onParentGone(
  env: Environment,
  ended: () => void,
  { timers, parent }: Surroundings = { timers: systemTimers, parent: () => process.ppid },
): () => void {
  if (['npm_lifecycle_event', 'npm_command', DEV_PARENT].every((name) => env[name] === undefined)) return () => {};
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
