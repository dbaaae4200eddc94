/**
 * On a terminal a command that has printed nothing for a second says that it works, and for how long. The line goes
 * away with its first output; what is written past it writes over it. It is drawn between turns of the event loop, so
 * what takes long must leave it some.
 */
import type { Surroundings } from './command.ts';

const EVERY_MS = 1_000;
const ERASE = '\r\x1b[K';

export interface Progress {
  /** The same, whose output ends the line. */
  readonly surroundings: Surroundings;
  end(): void;
}

/** `draw` writes to the terminal and to nothing else. */
export function progressOf(name: string, surroundings: Surroundings, draw: (text: string) => void): Progress {
  const begunMs = performance.now();
  let isShown = false;
  const timer = setInterval(() => {
    isShown = true;
    draw(`${ERASE}gatehouse ${name}: ${Math.round((performance.now() - begunMs) / 1_000)} s ...\r`);
  }, EVERY_MS);
  timer.unref();
  const end = (): void => {
    clearInterval(timer);
    if (isShown) draw(ERASE);
    isShown = false;
  };
  const first =
    (write: (text: string) => void) =>
    (text: string): void => {
      end();
      write(text);
    };
  return { surroundings: { ...surroundings, out: first(surroundings.out), err: first(surroundings.err) }, end };
}
