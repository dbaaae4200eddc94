/** What a suite starts in `before` ends in `after`: `after` itself, called inside a hook, would belong to the hook. */
import { after } from 'node:test';

export interface Scope {
  after(hook: () => void | Promise<void>): void;
}

/** Call it in the body of `describe`. Hooks run last first. */
export function suiteScope(): Scope {
  const hooks: (() => void | Promise<void>)[] = [];
  after(async () => {
    for (const hook of hooks.reverse()) await hook();
  });
  return { after: (hook) => void hooks.push(hook) };
}
