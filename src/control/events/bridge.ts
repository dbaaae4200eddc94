/**
 * The event bridge: holds the SQL store, the engines, one feed per stream, and serves `publish`, `subscribe` and hub
 * routes, whose requests workers bring (link/), and its own endpoints. Runs in a thread of its own (bridge-thread.ts),
 * so that neither a broker that is away nor ten thousand subscribers are felt by data threads or by the rest of the
 * control plane; in tests it runs where it is made.
 */
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import type { MessagePort } from 'node:worker_threads';
import { messageOf } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import { type PublishSettings, REALTIME_STREAM, type SubscribeSettings } from '../../data/contract/events.ts';
import type { ErrorFormat } from '../../data/contract/snapshot.ts';
import { compilePattern, type SubjectTest } from '../../data/contract/subjects.ts';
import type { Audience } from '../audience.ts';
import { gatewayIdentity } from '../gateway-identity.ts';
import { isUnavailable } from '../store/faults.ts';
import { migrate } from '../store/migrate.ts';
import { openStore, type Store } from '../store/store.ts';
import type { DescribedRoute } from './asyncapi.ts';
import { Consumers } from './deliver/consumers.ts';
import type { ConsumerSettings } from './deliver/options.ts';
import { EmbeddedEngine } from './engines/embedded.ts';
import type { EventEngine, StreamSettings } from './engines/engine.ts';
import { EngineFault } from './engines/engine.ts';
import { EMBEDDED, type EngineSettings, openEngine } from './engines/options.ts';
import { methodNotAllowed, REFUSALS, type Refusal, refuse, sendJson, textOf, unavailable } from './http.ts';
import { Hub, type HubRoute } from './hub/hub.ts';
import type { HubSettings } from './hub/options.ts';
import { serveHub, upgradeHub } from './hub/serve.ts';
import { ChannelRequest } from './link/request.ts';
import { WorkerLink } from './link/worker-link.ts';
import { type BridgeReport, bridgeMetrics } from './metrics.ts';
import { type OperationRequest, type OperationResponse, operate, type ShownStream } from './operations.ts';
import { IdempotencyKeys } from './publish/idempotency.ts';
import { Outbox } from './publish/outbox.ts';
import { Publisher } from './publish/publish.ts';
import { StatusTokens } from './publish/status-tokens.ts';
import { streamTag } from './subscribe/cursor.ts';
import { FAN_OUT, Feed } from './subscribe/feed.ts';
import { openSse } from './subscribe/sse.ts';
import { type Admitted, Subscriptions } from './subscribe/subscriptions.ts';
import { type EventTables, MIGRATIONS } from './tables.ts';

export type ChannelRoute = (
  | { readonly kind: 'publish'; readonly settings: PublishSettings }
  | { readonly kind: 'subscribe'; readonly settings: SubscribeSettings }
  | { readonly kind: 'hub'; readonly settings: HubRoute }
) &
  Omit<DescribedRoute, 'kind' | 'settings'>;

/** What a configuration says to the bridge: plain data, with its secrets, for this process alone. */
export interface BridgeSettings {
  /** Name and version of the gateway. */
  readonly name: string;
  readonly version: string;
  readonly storeUrl: string;
  readonly errorFormat: ErrorFormat;
  readonly path: string | null;
  /** Where callers reach the gateway, if that is configured. */
  readonly publicUrl: string | null;
  readonly engines: readonly EngineSettings[];
  readonly streams: readonly StreamSettings[];
  readonly consumers: readonly ConsumerSettings[];
  readonly hub: HubSettings | null;
  readonly maxSubscribers: number;
  readonly routes: Readonly<Record<string, ChannelRoute>>;
}

/** AsyncAPI documents below `events.path`, by whom they are for. */
const DOCUMENTS: ReadonlyMap<string, Audience> = new Map([
  ['/asyncapi.json', 'signed-in'],
  ['/asyncapi/public.json', 'public'],
  ['/asyncapi/admin.json', 'admin'],
]);
const READING: ReadonlySet<string | undefined> = new Set(['GET', 'HEAD']);
const ADMINS_ONLY: Refusal = { status: 403, code: 'INSUFFICIENT_PERMISSIONS', message: 'this needs the role admin' };

function isAdmin({ headers }: IncomingMessage): boolean {
  const caller = gatewayIdentity((name) => textOf(headers[name]));
  return caller !== null && caller.issuer === null && caller.roles.includes('admin');
}

function reachedBy(publicUrl: string): { readonly host: string; readonly isSecure: boolean } {
  const { host, protocol } = new URL(publicUrl);
  return { host, isSecure: protocol === 'https:' };
}

interface Stream {
  readonly settings: StreamSettings;
  readonly engine: EventEngine;
  readonly feed: Feed;
  readonly isRoutable: SubjectTest;
}

const CLEAN_EVERY_MS = 30_000;
const STOPS = unavailable('the gateway stops', 1);
const NOT_READY = unavailable('the route is not ready yet', 1);

export class Bridge {
  readonly #log: Logger;
  readonly #store: Store<EventTables>;
  readonly #embedded: EmbeddedEngine;
  readonly #engines = new Map<string, EventEngine>();
  /** Settings of those that are brokers, as JSON, by name. */
  readonly #brokers = new Map<string, string>();
  readonly #keys: IdempotencyKeys;
  readonly #outbox: Outbox;
  readonly #tokens: StatusTokens;
  readonly #publisher: Publisher;
  readonly #subscriptions: Subscriptions;
  readonly #consumers: Consumers;
  readonly #cleaning: NodeJS.Timeout;
  readonly #links = new Set<WorkerLink>();
  #settings: BridgeSettings;
  #hub: Hub | null = null;
  #isDraining = false;
  #streams = new Map<string, Stream>();

  /** Rejects when the database cannot be opened or is newer than this program. */
  static async start(settings: BridgeSettings, log: Logger): Promise<Bridge> {
    const store = await openStore<EventTables>(settings.storeUrl, { log });
    try {
      await migrate(store, 'events', MIGRATIONS);
      const bridge = new Bridge(settings, store, await StatusTokens.open(store, settings.path), log);
      await bridge.apply(settings);
      await bridge.#outbox.start();
      return bridge;
    } catch (error) {
      await store.close();
      throw error;
    }
  }

  private constructor(settings: BridgeSettings, store: Store<EventTables>, tokens: StatusTokens, log: Logger) {
    this.#settings = settings;
    this.#store = store;
    this.#log = log;
    this.#tokens = tokens;
    this.#keys = new IdempotencyKeys(store);
    this.#outbox = new Outbox(
      store,
      log,
      (stream) => this.#streams.get(stream)?.engine,
      (stream) => this.#publisher.setAside(stream),
    );
    this.#publisher = new Publisher({ keys: this.#keys, outbox: this.#outbox, tokens });
    this.#subscriptions = new Subscriptions(() => this.#settings);
    this.#consumers = new Consumers(store, log);
    this.#embedded = new EmbeddedEngine(store);
    this.#engines.set(EMBEDDED, this.#embedded);
    this.#cleaning = setInterval(() => void this.#clean(), CLEAN_EVERY_MS);
    this.#cleaning.unref();
  }

  /** A configuration is live. Streams whose settings are the same go on as they are. */
  async apply(settings: BridgeSettings): Promise<void> {
    this.#settings = settings;
    this.#tokens.path = settings.path;
    const formerEngines = await this.#openEngines(settings);
    const before = this.#streams;
    const now = new Map<string, Stream>();
    for (const stream of settings.streams) {
      const known = before.get(stream.name);
      const engine = this.#engines.get(stream.engine);
      if (engine === undefined) continue;
      if (known !== undefined && known.engine === engine) {
        now.set(stream.name, { ...known, settings: stream, isRoutable: routable(stream) });
      } else {
        known?.feed.stop();
        now.set(stream.name, {
          settings: stream,
          engine,
          feed: new Feed(engine, stream.name),
          isRoutable: routable(stream),
        });
      }
    }
    for (const [name, { feed }] of before) if (!now.has(name)) feed.stop();
    this.#streams = now;
    for (const [name, engine] of this.#engines) {
      const streams = settings.streams.filter((stream) => stream.engine === name);
      await engine.start(streams).catch((error: unknown) => {
        if (name === EMBEDDED) throw error;
        this.#log.warn('an engine of events cannot be used', { engine: name, problem: messageOf(error) });
      });
    }
    // Their clients come back with their last id, by what the route says now.
    this.#subscriptions.endExcept((name, admitted) => {
      const route = settings.routes[name];
      if (route?.kind !== 'subscribe') return false;
      return this.#isCurrent(route.settings, admitted);
    });
    for (const engine of formerEngines) await engine.stop();
    await this.#applyHub(settings, now.get(REALTIME_STREAM));
    await this.#consumers.apply(settings.consumers, (name) => {
      const stream = now.get(name);
      return stream === undefined ? undefined : { engine: stream.settings.engine, feed: stream.feed };
    });
  }

  /** Opens brokers that are new or have other settings; those that they follow, and that nothing uses soon. */
  async #openEngines(settings: BridgeSettings): Promise<EventEngine[]> {
    const former: EventEngine[] = [];
    const wanted = new Map(settings.engines.map((engine) => [engine.name, engine]));
    for (const [name, written] of this.#brokers) {
      const next = wanted.get(name);
      if (next !== undefined && JSON.stringify(next) === written) continue;
      former.push(this.#engines.get(name)!);
      this.#engines.delete(name);
      this.#brokers.delete(name);
    }
    for (const engine of settings.engines) {
      if (this.#brokers.has(engine.name)) continue;
      this.#engines.set(engine.name, await openEngine(engine));
      this.#brokers.set(engine.name, JSON.stringify(engine));
    }
    return former;
  }

  async #applyHub(settings: BridgeSettings, stream: Stream | undefined): Promise<void> {
    const before = this.#hub;
    const isSame = settings.hub !== null && before !== null && before.feed === stream?.feed;
    if (isSame) before.use(settings.hub!);
    else {
      this.#hub = null;
      await before?.stop();
      if (settings.hub !== null && stream !== undefined) {
        const { engine, feed } = stream;
        const tag = streamTag(settings.hub.engine, REALTIME_STREAM);
        const parts = { store: this.#store, log: this.#log, callers: this.#consumers.callers };
        this.#hub = new Hub({ settings: settings.hub, engine, feed, tag, ...parts });
      }
    }
    this.#hub?.endExcept((route) => settings.routes[route]?.kind === 'hub');
  }

  /** It reads what the route says, as the route says it. */
  #isCurrent(settings: SubscribeSettings, admitted: Admitted): boolean {
    return this.#streams.get(settings.stream)?.feed === admitted.feed && JSON.stringify(settings) === admitted.settings;
  }

  operate(request: OperationRequest): Promise<OperationResponse> {
    const shown = {
      streams: () => this.#shownStreams(),
      asyncapi: (audience: Audience) => this.#document(audience, undefined),
    };
    return operate(request, this.#consumers, shown);
  }

  #shownStreams(): ShownStream[] {
    return [...this.#streams.values()].map(({ settings, engine, feed }) => ({
      name: settings.name,
      engine: settings.engine,
      latest: feed.head,
      problem: engine.problem,
      subscribers: feed.readers,
    }));
  }

  /** A worker whose requests to `publish`, `subscribe` and hub routes are served here, and that calls services. */
  addWorker(port: MessagePort): void {
    const link = new WorkerLink(
      port,
      (channel, opened, body) => this.#onChannel(new ChannelRequest(channel, opened, body)),
      () => this.#links.delete(link),
    );
    this.#links.add(link);
    this.#consumers.callers.add(port);
  }

  #onChannel(request: ChannelRequest): void {
    this.#serveChannel(request).then(
      (refusal) => {
        if (refusal !== undefined) request.refuse(refusal, this.#settings.errorFormat);
      },
      (error: unknown) => request.refuse(this.#refusalFor(error), this.#settings.errorFormat),
    );
  }

  #refusalFor(error: unknown): Refusal {
    if (isUnavailable(error) || error instanceof EngineFault) return unavailable('events are not available now', 5);
    this.#log.error('a request of events failed', { problem: messageOf(error) });
    return REFUSALS.internal;
  }

  async #serveChannel(request: ChannelRequest): Promise<Refusal | undefined> {
    const { call, isUpgrade } = request;
    const route = this.#settings.routes[call.route];
    const isPublish = route?.kind === 'publish' || (route?.kind === 'hub' && request.method === 'POST');
    if (this.#isDraining && !isPublish) return STOPS;
    if (route?.kind === 'hub') {
      if (!isUpgrade) return await serveHub(this.#hub, request, route.settings);
      const isFull = (this.#hub?.connections ?? 0) >= this.#settings.maxSubscribers;
      return await upgradeHub(this.#hub, request, route.settings, isFull);
    }
    const stream = route === undefined ? undefined : this.#streams.get(route.settings.stream);
    // Workers have a new configuration a moment before the bridge.
    if (route === undefined || stream === undefined) return NOT_READY;
    if (route.kind === 'publish') return await this.#publisher.serve(request, route.settings, stream);
    if (request.method !== 'GET') return methodNotAllowed('GET');
    // Loaded with the first WebSocket.
    const sockets = isUpgrade ? await import('./subscribe/websocket.ts') : null;
    const forbidden = sockets?.originRefusal(request, route.settings);
    if (forbidden !== undefined) return forbidden;
    const { feed } = stream;
    await feed.start();
    const admitted = await this.#subscriptions.admit(request, route.settings, stream.settings.engine, feed);
    if ('status' in admitted) return admitted;
    // A stop or a change may have begun meanwhile; what opens now, nothing would end.
    if (this.#isDraining || !this.#isCurrent(route.settings, admitted)) {
      admitted.release();
      return this.#isDraining ? STOPS : NOT_READY;
    }
    if (request.channel.isOver) admitted.release();
    else if (sockets === null) openSse(this.#subscriptions, request, route.settings, admitted, feed);
    else sockets.openWebSocket(this.#subscriptions, request, route.settings, admitted, feed);
    return undefined;
  }

  /** Of `builtin:events`. */
  readonly listener: RequestListener = (request, response) => {
    void this.#serveOwn(request, response).then(
      (refusal) => {
        if (refusal !== undefined) refuse(request, response, refusal, this.#settings.errorFormat);
      },
      (error: unknown) => refuse(request, response, this.#refusalFor(error), this.#settings.errorFormat),
    );
  };

  /** Endpoints of the bridge's own, below `events.path`. */
  async #serveOwn(request: IncomingMessage, response: ServerResponse): Promise<Refusal | undefined> {
    const { path } = this.#settings;
    const url = request.url?.split('?')[0] ?? '/';
    if (path === null || !url.startsWith(`${path}/`)) return REFUSALS.notFound;
    const [what = '', token = ''] = url.slice(path.length + 1).split('/');
    if (what === 'published' && request.method === 'GET') {
      const facts = this.#tokens.read(token);
      if (facts === null) return REFUSALS.notFound;
      const { number, ...shown } = facts;
      const waiting = number === null ? null : await this.#outbox.find(number);
      sendJson(response, 200, {
        ...shown,
        status: waiting === null ? 'stored' : waiting.isRefused ? 'refused' : 'queued',
        ...(waiting === null ? {} : { attempts: waiting.attempts, problem: waiting.problem }),
      });
      return undefined;
    }
    const audience = READING.has(request.method) ? DOCUMENTS.get(url.slice(path.length)) : undefined;
    if (audience !== undefined) {
      if (audience === 'admin' && !isAdmin(request)) return ADMINS_ONLY;
      sendJson(response, 200, await this.#document(audience, request));
      return undefined;
    }
    return REFUSALS.notFound;
  }

  /** Its code is loaded with the first one. */
  async #document(audience: Audience, request: IncomingMessage | undefined): Promise<unknown> {
    const { asyncApiDocument } = await import('./asyncapi.ts');
    const { publicUrl } = this.#settings;
    const host = request?.headers.host ?? 'localhost';
    const isSecure = textOf(request?.headers['x-forwarded-proto']) === 'https';
    const found = publicUrl === null ? { host, isSecure } : reachedBy(publicUrl);
    return asyncApiDocument(this.#settings, audience, found);
  }

  /** What is wrong with each engine in use; null while it can be used. */
  report(): BridgeReport {
    const streams = [...this.#streams.values()];
    const engines = new Set(streams.map(({ settings }) => settings.engine));
    const report: BridgeReport = {
      engines: [...engines].map((name) => ({ name, problem: this.#engines.get(name)?.problem ?? null })),
      metrics: [],
      timings: [FAN_OUT.metric()].filter(({ samples }) => samples.length > 0),
    };
    return {
      ...report,
      metrics: bridgeMetrics({
        engines: report.engines,
        published: this.#publisher.counts,
        isNotified: this.#embedded.isNotified,
        outbox: this.#outbox.waiting,
        subscriptions: this.#subscriptions,
        feeds: streams.map(({ feed }) => feed),
        consumers: this.#consumers,
        hub: this.#hub,
      }),
    };
  }

  async #clean(): Promise<void> {
    try {
      await this.#keys.clean();
      await this.#outbox.clean();
      await this.#consumers.clean();
      await this.#hub?.clean();
      for (const engine of this.#engines.values()) {
        // One that is away says so elsewhere.
        if (engine.problem === null) await engine.clean?.();
      }
    } catch (error) {
      this.#log.warn('old events could not be removed', { problem: messageOf(error) });
    }
  }

  /** Ends what stays open, so that the workers can end; what is published meanwhile is still taken. */
  drain(): void {
    this.#isDraining = true;
    this.#subscriptions.endAll();
    this.#hub?.endAll();
  }

  async stop(): Promise<void> {
    clearInterval(this.#cleaning);
    this.#subscriptions.stop();
    await this.#hub?.stop();
    await this.#consumers.stop();
    for (const { feed } of this.#streams.values()) feed.stop();
    await this.#outbox.stop();
    for (const engine of this.#engines.values()) await engine.stop();
    await this.#store.close();
    for (const link of this.#links) link.flush();
  }
}

function routable({ subjects }: StreamSettings): SubjectTest {
  const tests = subjects.map(compilePattern);
  return (subject) => tests.some((test) => test(subject));
}
