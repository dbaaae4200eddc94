/**
 * Modules of the user that run inside the gateway: policies, balancers, configurations. What they import of the package
 * is the running gateway's own, wherever their files lie and whether or not the package is installed beside them; and
 * their TypeScript is a module (`import`, `export`) even where the `package.json` beside it says `"type": "commonjs"`,
 * as that of `npm init` does.
 */
import { registerHooks } from 'node:module';

const EXTENSION = import.meta.url.endsWith('.ts') ? '.ts' : '.js';

const OWN: Readonly<Record<string, string>> = {
  gatehouse: `../index${EXTENSION}`,
  'gatehouse/policy': `../data/contract/user-policy${EXTENSION}`,
  'gatehouse/balancer': `../data/contract/balancer${EXTENSION}`,
};

/** The URL of such a module; undefined for every other name. */
function ownModule(specifier: string): string | undefined {
  const own = OWN[specifier];
  return own === undefined ? undefined : new URL(own, import.meta.url).href;
}

let isReady = false;

/** Before the first module of a user's is loaded in this thread. */
export function hookUserModules(): void {
  if (isReady) return;
  isReady = true;
  registerHooks({
    resolve(specifier, context, next) {
      const found = next(ownModule(specifier) ?? specifier, context);
      return isTypeScript(found.url) ? { ...found, format: 'module-typescript' } : found;
    },
  });
}

/** Packages bring JavaScript. */
function isTypeScript(url: string): boolean {
  return url.startsWith('file:') && !url.includes('/node_modules/') && new URL(url).pathname.endsWith('.ts');
}
