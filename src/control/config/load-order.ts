/** Loads what an order names (build-order.ts): a file, a text, a value, with a document of the cluster over it. */
import type { LoadOrder, Overlay } from './build-order.ts';
import type { LoadedConfig, LoadResult } from './load.ts';
import { loadConfig, loadGiven, loadText } from './load.ts';
import { isMapping } from './source.ts';
import { textSource } from './text-source.ts';

/** Keys of the node's own document that a document of the cluster does not replace. */
const OWN_KEYS = ['cluster', 'stores', 'admin'] as const;
const OWN_GATEWAY_KEYS = [
  'name',
  'port',
  'host',
  'listeners',
  'workers',
  'spareWorker',
  'dataDir',
  'shutdownTimeout',
] as const;

export async function loadOrder(order: LoadOrder): Promise<LoadResult> {
  const own = await loadOwn(order);
  return own.ok && order.overlay !== null ? await laidOver(own.config, order.overlay) : own;
}

function loadOwn({ options, text, given }: LoadOrder): Promise<LoadResult> {
  if (given !== null) return loadGiven(given, options);
  return text === null ? loadConfig(options) : loadText(text, options);
}

async function laidOver(own: LoadedConfig, { text, name }: Overlay): Promise<LoadResult> {
  const { source, problems } = textSource(text, name, 'yaml', own.env);
  if (source === undefined) return { ok: false, problems };
  const shared: unknown = source.value ?? {};
  if (!isMapping(shared)) {
    const problem = { severity: 'error', file: name, line: 1, column: 1, key: '', message: 'not a mapping' } as const;
    return { ok: false, problems: [problem] };
  }
  const mine = isMapping(own.source.value) ? own.source.value : {};
  const gateway = isMapping(shared['gateway']) ? shared['gateway'] : {};
  const myGateway = isMapping(mine['gateway']) ? mine['gateway'] : {};
  const document = {
    ...without(shared, OWN_KEYS),
    ...only(mine, OWN_KEYS),
    gateway: { ...without(gateway, OWN_GATEWAY_KEYS), ...only(myGateway, OWN_GATEWAY_KEYS) },
  };
  const loaded = await loadConfig({ document, env: own.env, cwd: own.baseDir });
  if (!loaded.ok) return loaded;
  return { ok: true, config: { ...loaded.config, file: own.file, files: own.files, text, own } };
}

function only(from: Readonly<Record<string, unknown>>, keys: readonly string[]): Record<string, unknown> {
  return Object.fromEntries(Object.entries(from).filter(([key]) => keys.includes(key)));
}

function without(from: Readonly<Record<string, unknown>>, keys: readonly string[]): Record<string, unknown> {
  return Object.fromEntries(Object.entries(from).filter(([key]) => !keys.includes(key)));
}
