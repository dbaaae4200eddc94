/**
 * A document of the cluster in place of this node's own, around the source that has the own one. What belongs to the
 * node alone stays its own: where it listens, its name and folders, its stores, its place in the cluster. Without a
 * document of the cluster it is the source that it wraps. Called by live-configuration.ts; the cluster sets what lies
 * over.
 */
import type { Change, DocumentSource } from './document-source.ts';
import type { LoadedConfig, LoadResult } from './load.ts';
import { loadConfig } from './load.ts';
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

export interface Overlay {
  readonly text: string;
  /** For messages, such as `version 7`. */
  readonly name: string;
}

export class OverlaySource implements DocumentSource {
  readonly #own: DocumentSource;
  overlay: Overlay | null = null;

  constructor(own: DocumentSource) {
    this.#own = own;
  }

  get name(): string {
    return this.overlay === null ? this.#own.name : `${this.overlay.name} of the cluster`;
  }

  get whyReadOnly(): string | null {
    if (this.overlay === null) return this.#own.whyReadOnly;
    return 'the cluster rolls the configuration out: propose a rollout instead';
  }

  async load(): Promise<LoadResult> {
    const own = await this.#own.load();
    return own.ok && this.overlay !== null ? await laidOver(own.config, this.overlay) : own;
  }

  /** A text in place of what `load` would give now. */
  async check(text: string): Promise<LoadResult> {
    return this.overlay === null ? await this.#own.check(text) : await this.checkOverlay({ ...this.overlay, text });
  }

  /** As if this lay over the node's own document. */
  async checkOverlay(overlay: Overlay): Promise<LoadResult> {
    const own = await this.#own.load();
    return own.ok ? await laidOver(own.config, overlay) : own;
  }

  watch(files: readonly string[], changed: (change: Change) => void): void {
    this.#own.watch(files, changed);
  }

  async write(text: string): Promise<void> {
    if (this.whyReadOnly !== null) throw new Error(this.whyReadOnly);
    await this.#own.write(text);
  }

  close(): void {
    this.#own.close();
  }
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
  return { ok: true, config: { ...loaded.config, file: own.file, files: own.files, text } };
}

function only(from: Readonly<Record<string, unknown>>, keys: readonly string[]): Record<string, unknown> {
  return Object.fromEntries(Object.entries(from).filter(([key]) => keys.includes(key)));
}

function without(from: Readonly<Record<string, unknown>>, keys: readonly string[]): Record<string, unknown> {
  return Object.fromEntries(Object.entries(from).filter(([key]) => !keys.includes(key)));
}
