/**
 * Modules of the user that run inside the gateway: policies, balancers, configurations. What they import of the package
 * is the running gateway's own, wherever their files lie and whether or not the package is installed beside them; and
 * their TypeScript is a module (`import`, `export`) even where the `package.json` beside it says `"type": "commonjs"`,
 * as that of `npm init` does.
 */
import { registerHooks } from 'node:module';
import { messageOf, stackOf } from './errors.ts';

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

const OWN_FOLDER = new URL('../', import.meta.url);
const PLACE = /([^/\\\s(]+\.[cm]?[jt]s)(?:\?[^\s:]*)?:(\d+)/;

/** Why a module of the user's did not load: in one line, with file and line of the user's where the stack has them. */
export function loadProblem(error: unknown): string {
  const [problem = ''] = messageOf(error).split('\n', 1);
  const stack = stackOf(error);
  const theirs = stack.split('\n').filter((line) => !line.includes(OWN_FOLDER.pathname));
  const place = theirs.map((line) => PLACE.exec(line)).find((match) => match !== null);
  return place === undefined ? problem : `${problem} (${place[1]}, line ${place[2]})`;
}
