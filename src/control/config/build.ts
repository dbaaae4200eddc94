/**
 * A configuration from what is written to what the gateway runs by: load, check, compile. Needs the schema and
 * everything behind it, so the main thread of a gateway has it done in a thread of its own (build-aside.ts), and only
 * where a program hands in its document is it done here.
 */
import { inSlices } from '../../base/slices.ts';
import type { BuildOrder, BuildResult, BuiltConfig, LoadOrder, ServiceOutline } from './build-order.ts';
import { compileSteps } from './compile.ts';
import { fileKind } from './files.ts';
import type { LoadedConfig } from './load.ts';
import { loadOrder } from './load-order.ts';
import { slotTable } from './slots.ts';

export async function build({ load, version, slots, dataDir, more }: BuildOrder): Promise<BuildResult> {
  const loaded = await loadOrder(load);
  if (!loaded.ok) return loaded;
  const options = { version, more, slots: slotTable(slots), ...(dataDir === null ? {} : { dataDir }) };
  const compiled = await inSlices(compileSteps(loaded.config, options));
  return compiled.ok ? { ok: true, config: builtConfig(loaded.config, load), compiled } : compiled;
}

function builtConfig(config: LoadedConfig, order: LoadOrder): BuiltConfig {
  const { file, baseDir, files, text, document } = config;
  return {
    file,
    baseDir,
    files,
    text,
    json: JSON.stringify(document),
    services: Object.fromEntries(
      Object.entries(document.services).map(([name, { instances, protocol, tls }]): [string, ServiceOutline] => [
        name,
        { instances, protocol, hasTls: tls !== undefined },
      ]),
    ),
    again: again(config, order),
  };
}

/** Under a document of the cluster, too: what the node's own file has become meanwhile waits for a reload. */
function again({ own, ...config }: LoadedConfig, order: LoadOrder): LoadOrder {
  if (order.text !== null || order.given !== null) return order;
  const { file, source, text, files } = own ?? config;
  const isText = file !== null && fileKind(file) !== 'module';
  return isText ? { ...order, text } : { ...order, given: { value: source.value, text, files } };
}
