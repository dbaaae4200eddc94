/**
 * What the package exports to modules of the user that run inside it: policies, balancers, configurations. They get the
 * running gateway's own, wherever their files lie and whether or not the package is installed beside them.
 */
import { registerHooks } from 'node:module';

const EXTENSION = import.meta.url.endsWith('.ts') ? '.ts' : '.js';

const OWN: Readonly<Record<string, string>> = {
  gatehouse: `../index${EXTENSION}`,
  'gatehouse/policy': `../data/contract/user-policy${EXTENSION}`,
  'gatehouse/balancer': `../data/contract/balancer${EXTENSION}`,
};

/** The URL of such a module; undefined for every other name. */
export function ownModule(specifier: string): string | undefined {
  const own = OWN[specifier];
  return own === undefined ? undefined : new URL(own, import.meta.url).href;
}

let isGiven = false;

/** From now on modules that this thread loads get them. */
export function giveOwnModules(): void {
  if (isGiven) return;
  isGiven = true;
  registerHooks({ resolve: (specifier, context, next) => next(ownModule(specifier) ?? specifier, context) });
}
