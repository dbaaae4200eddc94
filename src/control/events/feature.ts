/**
 * Events as a feature of the control plane: runs the event bridge in a thread while the configuration has `events`,
 * gives it the streams and the `publish` and `subscribe` routes of each live configuration, and passes on its metrics
 * and log. A bridge that dies is started again; requests meanwhile are answered with 503 by the balancer.
 */
import { Worker } from 'node:worker_threads';
import type { ExtraMetric, HistogramMetric } from '../../base/extra-metric.ts';
import type { Logger } from '../../base/log.ts';
import {
  EVENTS_SERVICE,
  type PublishSettings,
  type RealtimeSettings,
  type SubscribeSettings,
} from '../../data/contract/events.ts';
import type { PathMatch, RouteSettings, Secrets, Snapshot } from '../../data/contract/snapshot.ts';
import type { ValidateSettings } from '../../data/contract/validation.ts';
import { localSocketPath } from '../config/plan.ts';
import type { Feature, FeatureHost } from '../feature.ts';
import type { Dependency, FeatureStatus } from '../feature-status.ts';
import { routeFacts } from '../route-facts.ts';
import type { BridgeSettings, ChannelRoute } from './bridge.ts';
import type { BridgeThreadData, FromBridge, ToBridge } from './bridge-thread.ts';
import type { BridgeReport } from './metrics.ts';
import type { OperationRequest, OperationResponse } from './operations.ts';
import type { EventsPlan } from './options.ts';
import { eventTroubles } from './troubles.ts';

/** What it reads of a compiled configuration. */
export interface CompiledEvents {
  readonly snapshot: Snapshot;
  readonly secrets: Secrets;
  readonly plan: {
    readonly dataDir: string;
    readonly sections: {
      readonly events: EventsPlan | null;
      readonly openapi?: { readonly servers: readonly string[] } | null;
      readonly identity?: { readonly options: { readonly publicUrl?: string | undefined } } | null;
    };
  };
}

const ENTRY = new URL(`./bridge-thread${import.meta.url.endsWith('.ts') ? '.ts' : '.js'}`, import.meta.url);
const START_AGAIN_AFTER_MS = 1_000;
const STOP_WITHIN_MS = 8_000;
const OPERATE_WITHIN_MS = 30_000;
/** What it uses of the process. */
export type EventsHost = Pick<FeatureHost, 'log' | 'openCalls' | 'workerThreads' | 'onWorkersChange' | 'isTakingOver'>;

const NO_REPORT: BridgeReport = { engines: [], metrics: [], timings: [] };
const NOT_NOW: OperationResponse = {
  status: 503,
  body: { error: 'SERVICE_UNAVAILABLE', message: 'events are not available now' },
};

export class EventsFeature implements Feature {
  readonly #host: EventsHost;
  readonly #log: Logger;
  #thread: BridgeThread | undefined;
  #settings: BridgeSettings | undefined;
  #written = '';
  #changing: Promise<void> = Promise.resolve();

  constructor(host: EventsHost) {
    this.#host = host;
    this.#log = host.log;
    host.onWorkersChange(() => this.#thread?.connectWorkers());
  }

  /** Rejects when the bridge cannot be started. */
  async start(compiled: CompiledEvents): Promise<void> {
    await this.#apply(compiled);
  }

  applied(compiled: CompiledEvents): void {
    this.#changing = this.#changing
      .then(() => this.#apply(compiled))
      .catch((error: unknown) => {
        this.#log.error('the event bridge could not be started', { problem: String(error) });
      });
  }

  async #apply(compiled: CompiledEvents): Promise<void> {
    const settings = bridgeSettings(compiled);
    const written = JSON.stringify(settings ?? null);
    if (written === this.#written) return;
    const isElsewhere = this.#settings !== undefined && settings?.storeUrl !== this.#settings.storeUrl;
    this.#settings = settings;
    this.#written = written;
    if (settings === undefined || isElsewhere) {
      await this.#thread?.stop();
      this.#thread = undefined;
    }
    if (settings === undefined) return;
    if (this.#thread !== undefined) {
      this.#thread.apply(settings);
      return;
    }
    const socketPath = localSocketPath(compiled.plan.dataDir, EVENTS_SERVICE.slice('builtin:'.length));
    const thread = new BridgeThread(socketPath, settings, this.#host);
    this.#thread = thread;
    await thread.start();
  }

  draining(): void {
    this.#thread?.drain();
  }

  dependencies(): readonly Dependency[] {
    // Other traffic needs none of them.
    return this.#report.engines.map(({ name, problem }) => ({
      name: `events ${name}`,
      available: problem === null,
      required: false,
      detail: { problem },
    }));
  }

  operations() {
    const thread = this.#thread;
    if (thread === undefined) return undefined;
    const fetch = async (request: Request): Promise<Response> => {
      const { pathname, searchParams } = new URL(request.url);
      const { status, body } = await thread.operate({
        method: request.method,
        path: pathname,
        query: Object.fromEntries(searchParams),
        body: await request.text(),
      });
      return Response.json(body, { status });
    };
    return { name: 'events', fetch, describe };
  }

  status(): FeatureStatus {
    return { troubles: eventTroubles(this.#report.metrics) };
  }

  metrics(): readonly (ExtraMetric | HistogramMetric)[] {
    const { metrics, timings } = this.#report;
    return [...metrics, ...timings];
  }

  get #report(): BridgeReport {
    return this.#thread?.report ?? NO_REPORT;
  }

  async stop(): Promise<void> {
    await this.#changing;
    await this.#thread?.stop();
    this.#thread = undefined;
  }
}

class BridgeThread {
  report = NO_REPORT;
  readonly #socketPath: string;
  readonly #host: EventsHost;
  readonly #log: Logger;
  readonly #operations = new Map<number, (response: OperationResponse) => void>();
  /** Thread ids of workers that this life of the bridge has a line to. */
  #connected = new Set<number>();
  #lastOperation = 0;
  #settings: BridgeSettings;
  #worker: Worker | undefined;
  #isEnding = false;
  #onStopped: () => void = () => {};

  constructor(socketPath: string, settings: BridgeSettings, host: EventsHost) {
    this.#socketPath = socketPath;
    this.#settings = settings;
    this.#host = host;
    this.#log = host.log;
  }

  start(): Promise<void> {
    return new Promise((resolve, reject) => {
      const { level } = this.#log;
      const workerData: BridgeThreadData = {
        socketPath: this.#socketPath,
        replacesSockets: this.#host.isTakingOver,
        settings: this.#settings,
        logLevel: level,
      };
      const worker = new Worker(ENTRY, { workerData, name: 'events' });
      this.#worker = worker;
      this.#connected = new Set();
      let hasStarted = false;
      worker.on('message', (message: FromBridge) => {
        if (message.kind === 'report') this.report = message.report;
        else if (message.kind === 'log') this.#relay(message.line);
        else if (message.kind === 'operated') this.#onOperated(message.id, message.response);
        else if (message.kind === 'stopped') this.#onStopped();
        else if (message.kind === 'failed') {
          this.#isEnding = true;
          reject(new Error(`the event bridge could not be started: ${message.problem}`));
        } else {
          hasStarted = true;
          this.connectWorkers();
          resolve();
        }
      });
      worker.on('error', (error) => this.#log.error('the event bridge failed', { problem: String(error) }));
      worker.on('exit', () => {
        this.#onStopped();
        this.report = NO_REPORT;
        this.#worker = undefined;
        for (const id of this.#operations.keys()) this.#onOperated(id, NOT_NOW);
        if (this.#isEnding) return;
        if (!hasStarted) reject(new Error('the event bridge ended while it started'));
        else setTimeout(() => void this.#startAgain(), START_AGAIN_AFTER_MS).unref();
      });
    });
  }

  async #startAgain(): Promise<void> {
    if (this.#isEnding) return;
    try {
      await this.start();
      this.#log.warn('the event bridge was started again');
    } catch (error) {
      this.#log.error('the event bridge could not be started again', { problem: String(error) });
      this.#isEnding = false;
      setTimeout(() => void this.#startAgain(), 10 * START_AGAIN_AFTER_MS).unref();
    }
  }

  #relay(line: string): void {
    const { level, message, time: _, ...fields } = JSON.parse(line) as { level: 'warn'; message: string; time: string };
    this.#log[level](message, fields);
  }

  apply(settings: BridgeSettings): void {
    this.#settings = settings;
    this.#worker?.postMessage({ kind: 'apply', settings } satisfies ToBridge);
    this.connectWorkers();
  }

  /** A line to each worker that has none yet. */
  connectWorkers(): void {
    const worker = this.#worker;
    if (worker === undefined) return;
    const threads = this.#host.workerThreads();
    for (const thread of threads) {
      if (this.#connected.has(thread)) continue;
      const port = this.#host.openCalls(thread);
      if (port === undefined) continue;
      this.#connected.add(thread);
      worker.postMessage({ kind: 'worker', port } satisfies ToBridge, [port]);
    }
    for (const thread of this.#connected) if (!threads.includes(thread)) this.#connected.delete(thread);
  }

  operate(request: OperationRequest): Promise<OperationResponse> {
    const worker = this.#worker;
    if (worker === undefined) return Promise.resolve(NOT_NOW);
    const id = ++this.#lastOperation;
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.#onOperated(id, NOT_NOW), OPERATE_WITHIN_MS);
      this.#operations.set(id, (response) => {
        clearTimeout(timer);
        resolve(response);
      });
      worker.postMessage({ kind: 'operate', id, request } satisfies ToBridge);
    });
  }

  #onOperated(id: number, response: OperationResponse): void {
    const done = this.#operations.get(id);
    this.#operations.delete(id);
    done?.(response);
  }

  /** Subscribers hear that it ends; publishing goes on. */
  drain(): void {
    this.#worker?.postMessage({ kind: 'drain' } satisfies ToBridge);
  }

  async stop(): Promise<void> {
    this.#isEnding = true;
    const worker = this.#worker;
    if (worker === undefined) return;
    const stopped = new Promise<void>((resolve) => {
      this.#onStopped = resolve;
      setTimeout(resolve, STOP_WITHIN_MS).unref();
    });
    worker.postMessage({ kind: 'stop' } satisfies ToBridge);
    await stopped;
    await worker.terminate();
  }
}

/** Undefined when the configuration has no events. */
function bridgeSettings({ snapshot, secrets, plan }: CompiledEvents): BridgeSettings | undefined {
  const { events, openapi, identity } = plan.sections;
  if (events === null) return undefined;
  const routes: Record<string, ChannelRoute> = {};
  for (const route of snapshot.routes) {
    const { id, match, policies } = route;
    if (!policies.some(({ name }) => CHANNELS.has(name))) continue;
    const { audience, security, schemes } = routeFacts(route, false);
    const facts = {
      audience,
      security: security ?? [],
      schemes,
      bodySchema: bodySchemaOf(route),
      path: match.path.kind === 'regex' ? match.path.source : match.path.pattern,
      methods: match.methods,
    };
    for (const { name, options } of policies) {
      if (name === 'publish') routes[id] = { kind: 'publish', settings: options as PublishSettings, ...facts };
      else if (name === 'subscribe')
        routes[id] = { kind: 'subscribe', settings: options as SubscribeSettings, ...facts };
      else if (name === 'realtime') {
        const { origins, anonymous } = options as RealtimeSettings;
        routes[id] = { kind: 'hub', settings: { origins, anonymous, segments: segmentsOf(match.path) }, ...facts };
      }
    }
  }
  return {
    name: snapshot.gateway.name,
    version: snapshot.gateway.version,
    storeUrl: events.store === null ? `sqlite:${events.storeFile}` : (secrets[events.store] ?? ''),
    errorFormat: snapshot.gateway.errorFormat,
    path: events.path,
    publicUrl: openapi?.servers[0] ?? identity?.options.publicUrl ?? null,
    engines: events.engines.map((engine) => ({ ...engine, urls: engine.urls.map((id) => secrets[id] ?? '') })),
    streams: events.streams,
    consumers: events.consumers.map((consumer) => ({
      ...consumer,
      secrets: consumer.secrets.map((id) => secrets[id] ?? ''),
      headers: consumer.headers.map(([field, id]) => [field, secrets[id] ?? ''] as const),
    })),
    hub: events.hub,
    maxSubscribers: events.maxSubscribers,
    routes,
  };
}

const CHANNELS: ReadonlySet<string> = new Set(['publish', 'subscribe', 'realtime']);

/** The one schema that JSON bodies of the route must fit, for documents; null: none, several, or not enforced. */
function bodySchemaOf({ policies }: RouteSettings): Readonly<Record<string, unknown>> | null {
  const settings = policies.find(({ name }) => name === 'validate')?.options as ValidateSettings | undefined;
  if (settings === undefined || settings.mode !== 'refuse' || settings.operations.length !== 1) return null;
  const types = settings.operations[0]?.body?.types ?? [];
  const schema = types.length === 1 && types[0]?.kind === 'json' ? types[0].schema : null;
  // References are to definitions that the document does not have.
  if (typeof schema !== 'object' || schema === null || JSON.stringify(schema).includes('"$ref"')) return null;
  return schema as Readonly<Record<string, unknown>>;
}

/** Segments in front of a final `/*`. */
function segmentsOf(path: PathMatch): number {
  return path.kind === 'regex' ? 0 : path.pattern.split('/').filter((part) => part !== '' && part !== '*').length;
}

/** For the document of the admin API. */
const describe = async () => (await import('./operator-description.ts')).operatorPaths();
