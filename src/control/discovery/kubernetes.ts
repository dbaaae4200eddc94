/**
 * The Kubernetes source: the EndpointSlices of one Service by list and watch. A list gives everything and a version;
 * a watch from that version gives each change. The server ends watches every few minutes, which is nothing; it answers
 * 410 when the version is too old, which means listing again; all else is a problem with back-off, and the last good
 * instances stay. Needs `get`, `list` and `watch` on endpointslices.discovery.k8s.io in the namespace.
 */
import { ZodError } from 'zod';
import type { Cancel } from '../../base/system-timers.ts';
import { backoffMs } from '../../base/system-timers.ts';
import type { InstanceInput } from './instance.ts';
import { readAccess } from './kubernetes-access.ts';
import { ApiStatusError, getJson, watchJson } from './kubernetes-api.ts';
import type { EndpointSlice } from './kubernetes-slices.ts';
import { instancesOf, sliceList, watchEvent } from './kubernetes-slices.ts';
import type { SourceEnvironment } from './source.ts';
import { defineSource, words } from './source.ts';

export interface KubernetesSettings {
  readonly service: string;
  /** Null for the gateway's own. */
  readonly namespace: string | null;
  readonly port: string | number | null;
  /** Null to follow the port's appProtocol. */
  readonly scheme: 'http' | 'https' | null;
  readonly zones: 'hints' | 'endpoint';
  readonly apiServer: string | null;
  readonly tokenFile: string | null;
  readonly caFile: string | null;
}

/** What the server is asked to end a watch after; it is started again from where it was. */
const WATCH_SECONDS = 290;
/** Bookmarks come about once a minute and the end after WATCH_SECONDS: longer silence is a dead connection. */
export const WATCH_IDLE_MS = (WATCH_SECONDS + 30) * 1_000;
const PAGE = 500;
const FIRST_RETRY_MS = 500;
const MAX_RETRY_MS = 30_000;
/** A watch that ends sooner than this was not worth its connection: back off instead of spinning. */
const SHORT_WATCH_MS = 5_000;

export const kubernetesSource = defineSource<KubernetesSettings>({
  name: 'kubernetes',
  create: (settings, environment) => {
    let watcher: SliceWatcher | undefined;
    return {
      start(onInstances, onProblem) {
        watcher = new SliceWatcher(settings, environment, onInstances, onProblem);
        void watcher.run();
      },
      stop: () => watcher?.stop(),
    };
  },
});

class SliceWatcher {
  readonly #settings: KubernetesSettings;
  readonly #env: SourceEnvironment;
  readonly #onInstances: (instances: readonly InstanceInput[]) => void;
  readonly #onProblem: (problem: string | null) => void;
  readonly #stopping = new AbortController();
  #wake: (() => void) | undefined;
  #cancelWait: Cancel = () => {};
  #slices = new Map<string, EndpointSlice>();
  /** Where the next watch begins; undefined calls for a list. */
  #version: string | undefined;
  #failures = 0;

  constructor(
    settings: KubernetesSettings,
    environment: SourceEnvironment,
    onInstances: (instances: readonly InstanceInput[]) => void,
    onProblem: (problem: string | null) => void,
  ) {
    this.#settings = settings;
    this.#env = environment;
    this.#onInstances = onInstances;
    this.#onProblem = onProblem;
  }

  /** Until `stop`. Never rejects. */
  async run(): Promise<void> {
    const { clock, random } = this.#env;
    while (!this.#stopping.signal.aborted) {
      const startedMs = clock.monotonicMs();
      try {
        if (this.#version === undefined) await this.#list();
        await this.#watch();
        if (clock.monotonicMs() - startedMs >= SHORT_WATCH_MS) this.#failures = 0;
        else this.#failures++;
      } catch (error) {
        if (this.#stopping.signal.aborted) return;
        this.#failures++;
        // 410: what we know is too old to go on from. It is no fault of anybody and calls for a list, not for a log
        // line.
        if (error instanceof ApiStatusError && error.status === 410) this.#version = undefined;
        else this.#onProblem(this.#explain(error));
        // A document that we cannot read would come again and again; a list leads past it.
        if (error instanceof ZodError || error instanceof TypeError) this.#version = undefined;
      }
      if (this.#failures > 0) await this.#wait(backoffMs(this.#failures - 1, FIRST_RETRY_MS, MAX_RETRY_MS, random));
    }
  }

  stop(): void {
    this.#stopping.abort();
    this.#cancelWait();
    this.#wake?.();
  }

  async #list(): Promise<void> {
    const slices = new Map<string, EndpointSlice>();
    let version: string | undefined;
    let next = '';
    do {
      const page = sliceList.parse(
        await this.#get(`limit=${PAGE}${next === '' ? '' : `&continue=${encodeURIComponent(next)}`}`),
      );
      for (const slice of page.items ?? []) slices.set(slice.metadata.name, slice);
      version = page.metadata.resourceVersion ?? undefined;
      next = page.metadata.continue ?? '';
    } while (next !== '');
    this.#slices = slices;
    this.#version = version ?? '0';
    this.#tell();
  }

  async #watch(): Promise<void> {
    const query = `watch=1&allowWatchBookmarks=true&timeoutSeconds=${WATCH_SECONDS}&resourceVersion=${encodeURIComponent(this.#version ?? '')}`;
    const call = await this.#call(query);
    await watchJson(call, WATCH_IDLE_MS, {
      // What was a problem is none any more, though nothing may have changed meanwhile.
      onOpen: () => this.#tell(),
      onLine: (line) => this.#take(watchEvent.parse(line)),
    });
  }

  #take(event: ReturnType<typeof watchEvent.parse>): void {
    if (event.type === 'ERROR')
      throw new ApiStatusError(event.object.code ?? 500, event.object.message ?? 'the watch failed');
    this.#version = event.object.metadata.resourceVersion ?? this.#version;
    if (event.type === 'BOOKMARK') return;
    if (event.type === 'DELETED') this.#slices.delete(event.object.metadata.name);
    else this.#slices.set(event.object.metadata.name, event.object);
    this.#tell();
  }

  #tell(): void {
    if (this.#stopping.signal.aborted) return;
    const { instances, problem } = instancesOf([...this.#slices.values()], this.#settings);
    this.#onProblem(problem);
    this.#onInstances(instances);
  }

  async #get(query: string): Promise<unknown> {
    return getJson(await this.#call(query));
  }

  async #call(query: string): Promise<Parameters<typeof getJson>[0]> {
    const access = await readAccess(this.#settings, this.#env.env);
    const selector = encodeURIComponent(`kubernetes.io/service-name=${this.#settings.service}`);
    const folder = `/apis/discovery.k8s.io/v1/namespaces/${encodeURIComponent(access.namespace)}/endpointslices`;
    return {
      access,
      path: `${folder}?labelSelector=${selector}&${query}`,
      timers: this.#env.timers,
      signal: this.#stopping.signal,
    };
  }

  #explain(error: unknown): string {
    if (error instanceof ZodError) {
      const [issue] = error.issues;
      return `the API server sent something that is not an EndpointSlice (${issue?.path.join('.')}: ${issue?.message})`;
    }
    if (!(error instanceof ApiStatusError)) return words(error);
    if (error.status === 401) return `the API server does not accept the token: ${error.message}`;
    if (error.status === 403) {
      return `the service account needs get, list and watch on endpointslices.discovery.k8s.io: ${error.message}`;
    }
    return `the API server answered ${error.status}: ${error.message}`;
  }

  #wait(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
      this.#cancelWait = this.#env.timers.after(ms, resolve);
    });
  }
}
