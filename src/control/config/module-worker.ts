/**
 * The thread in which a TypeScript or JavaScript configuration file runs, once; started by module-source.ts. Sends the
 * document, or what is wrong with it, and is then ended.
 */
import { registerHooks } from 'node:module';
import { fileURLToPath } from 'node:url';
import { parentPort, workerData } from 'node:worker_threads';
import { hookUserModules } from '../../base/own-modules.ts';
import type { ModuleMessage } from './module-source.ts';

/** Files that the configuration imports, installed packages aside: saving one is saving the configuration. */
const imported = new Set<string>();
const MOST_FILES = 200;
/** Of the gateway itself: nothing that a configuration consists of. */
const OWN_FOLDER = new URL('../../', import.meta.url).href;

hookUserModules();
registerHooks({
  load(url, context, nextLoad) {
    if (
      url.startsWith('file:') &&
      !url.includes('/node_modules/') &&
      !url.startsWith(OWN_FOLDER) &&
      imported.size < MOST_FILES
    )
      imported.add(fileURLToPath(url));
    return nextLoad(url, context);
  },
});

function send(message: ModuleMessage): void {
  parentPort?.postMessage(message);
}

/** Where something other than plain data is, and what it is. */
function foreignValue(value: unknown, key: string, open: Set<object>): { key: string; what: string } | undefined {
  if (typeof value === 'function' || typeof value === 'symbol' || typeof value === 'bigint') {
    return { key, what: `a ${typeof value}` };
  }
  if (typeof value !== 'object' || value === null) return undefined;
  if (open.has(value)) return { key, what: 'a reference to what it is inside of' };
  const prototype: unknown = Object.getPrototypeOf(value);
  const isPlain = Array.isArray(value) || prototype === null || Object.getPrototypeOf(prototype) === null;
  if (!isPlain) return { key, what: `an instance of ${value.constructor?.name ?? 'a class'}` };
  open.add(value);
  for (const [name, inner] of Object.entries(value)) {
    const found = foreignValue(inner, key === '' ? name : `${key}.${name}`, open);
    if (found !== undefined) return found;
  }
  open.delete(value);
  return undefined;
}

async function run(url: string): Promise<void> {
  const module = (await import(url)) as { default?: unknown };
  let document: unknown = module.default;
  if (typeof document === 'function') document = await (document as () => unknown)();
  if (document === undefined) {
    send({ kind: 'problem', key: '', message: 'the file has no default export', stack: '' });
    return;
  }
  const foreign = foreignValue(document, '', new Set());
  if (foreign !== undefined) {
    send({ kind: 'problem', key: foreign.key, message: `must be plain data (got ${foreign.what})`, stack: '' });
    return;
  }
  send({ kind: 'document', document, files: [...imported] });
}

run((workerData as { url: string }).url).catch((error: unknown) => {
  const known = error instanceof Error ? error : new Error(String(error));
  const line = known.message.split('\n', 1)[0] ?? '';
  send({ kind: 'problem', key: '', message: `the file fails: ${line}`, stack: known.stack ?? '' });
});
