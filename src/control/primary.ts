/**
 * The main thread's half of a running gateway: owns shared memory, workers, the built-in services, the control socket
 * and the features of the control plane, and is the `FeatureHost` they see. The life of the configuration is in
 * live-configuration.ts. Sees no request.
 */
import { randomBytes } from 'node:crypto';
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { join } from 'node:path';
import type { MessagePort } from 'node:worker_threads';
import { BlockWriter } from '../base/block-writer.ts';
import type { Logger } from '../base/log.ts';
import { createMetricsBuffer } from '../base/metrics.ts';
import { MetricsReader } from '../base/metrics-reader.ts';
import { standardError, standardOutput } from '../base/process-output.ts';
import { releaseMemory, trimMemory } from '../base/release-memory.ts';
import type { CacheControl } from '../data/contract/cache.ts';
import { createInstanceTable, InstanceTable } from '../data/contract/instance-table.ts';
import { readServiceState } from '../data/contract/service-state.ts';
import type { SharedState } from '../data/contract/shared.ts';
import { MAX_INSTANCES, MAX_ROUTES } from '../data/contract/shared.ts';
import type { Secrets, ServiceSettings, Snapshot } from '../data/contract/snapshot.ts';
import type { ControlBus } from './bus.ts';
import { buildAside } from './config/build-aside.ts';
import type { Build, Overlay, ServiceOutline } from './config/build-order.ts';
import type { DiscoveredInstance } from './config/compile/instances.ts';
import type { Compiled } from './config/compile.ts';
import type { Change } from './config/document-source.ts';
import { documentSource } from './config/document-source.ts';
import { History } from './config/history.ts';
import { OverlaySource } from './config/overlay-source.ts';
import { localSocketPath } from './config/plan.ts';
import { formatProblem } from './config/problems.ts';
import type { Environment } from './config/source.ts';
import { controlListener, localUser } from './control-socket.ts';
import { makeDataFolder } from './data-folder.ts';
import { Events, recorded } from './events.ts';
import { Facts } from './facts.ts';
import type { AuditedAction, OperationsApi, OperatorHost } from './feature.ts';
import { FeatureSet } from './feature-set.ts';
import type { ListeningAddress } from './feature-status.ts';
import { clearSocketFiles, HandOver } from './hand-over.ts';
import { LiveConfiguration, type ReloadResult } from './live-configuration.ts';
import type { Fetch, UpgradeListener } from './local-server.ts';
import { fetchListener, LocalServer } from './local-server.ts';
import type { OperatorAccounts } from './operator-accounts.ts';
import { createOpsApp } from './ops/ops-app.ts';
import { OpsListener } from './ops/ops-listener.ts';
import type { OpsSources } from './ops/sources.ts';
import { overallHealth } from './ops/sources.ts';
import { Overrides } from './overrides.ts';
import { OwnFaults } from './own-faults.ts';
import { Ports } from './ports.ts';
import type { PrimaryOptions } from './primary-options.ts';
import type { ProcessTraffic } from './process-traffic.ts';
import { processTraffic } from './process-traffic.ts';
import { SecurityJournal } from './security-journal.ts';
import { handOverTo, Predecessor } from './takeover.ts';
import { banksFor, Workers } from './workers.ts';

/** Time after which garbage of the start is collected. */
const SETTLED_MS = 1_000;
/** So long, at least, connections that are idle may ask once more and hear that it was the last time. */
const LINGER_MS = 5_000;

/** Longer than each of them waits by itself for what it has begun. */
const FEATURES_STOP_MS = 10_000;

/** Of this thread's garbage first, then of what all of them have freed. */
function settle(): void {
  releaseMemory();
  trimMemory();
}

/** A document that the program hands in may hold what no other thread can have. */
const buildHere: Build = async (order) => (await import('./config/build.ts')).build(order);

export class Primary implements OperatorHost {
  readonly log: Logger;
  readonly events: Events;
  readonly faults: OwnFaults;
  readonly security = new SecurityJournal();
  readonly facts = new Facts();
  readonly overrides: Overrides;
  readonly shared: SharedState;
  readonly instances: InstanceTable;
  readonly metrics: MetricsReader;
  readonly cache: CacheControl;
  readonly workers: Workers;
  readonly configuration: LiveConfiguration;
  readonly #options: PrimaryOptions;
  readonly #source: OverlaySource;
  readonly #startedAt = new Date();
  readonly #stdout: BlockWriter;
  readonly #control: LocalServer;
  readonly #ports: Ports;
  readonly #handOver: HandOver;
  #ticketKeys = randomBytes(48).toString('base64');
  readonly #builtins = new Map<string, LocalServer>();
  readonly #operations: OpsListener;
  readonly #features = new FeatureSet();
  #begun = false;
  #predecessor: Predecessor | null = null;
  #stopping: Promise<number> | undefined;
  readonly #replaced = Promise.withResolvers<void>();

  /** Loads, compiles, starts everything. Rejects with a `ConfigurationError` or with what could not be bound. */
  static async start(given: PrimaryOptions): Promise<Primary> {
    const events = new Events();
    const options = {
      ...given,
      log: recorded(given.log, events),
      writeLog: (line: string) => {
        events.add(line);
        given.writeLog(line);
      },
    };
    const ports = new Ports();
    const source = new OverlaySource(documentSource(options.load, options.log));
    let primary: Primary | undefined;
    const configuration = await LiveConfiguration.load({
      log: options.log,
      source,
      build: options.load.file === undefined ? buildHere : buildAside,
      history: (dataDir) => new History(join(dataDir, 'history'), options.log),
      overlay: (snapshot) => primary!.overrides.overlay(snapshot),
      byHand: () => primary!.overrides.instancesByHand(),
      resolvePorts: (snapshot) => ports.resolve(snapshot),
      prepare: (next) => primary!.#prepare(next),
      publish: (snapshot, compiled) => primary!.#publish(snapshot, compiled),
      publishInstances: (snapshot, { compiled, services }) => primary!.#publishInstances(snapshot, compiled, services),
      applied: (compiled) => primary!.#applied(compiled),
      restartKeys: (next) => primary!.#features.restartKeys(next),
    });
    options.setLogLevel(configuration.snapshot.gateway.logLevel, configuration.snapshot.gateway.logLevels);
    primary = new Primary(options, configuration, source, events, ports);
    await primary.#begin();
    return primary;
  }

  private constructor(
    options: PrimaryOptions,
    configuration: LiveConfiguration,
    source: OverlaySource,
    events: Events,
    ports: Ports,
  ) {
    this.#options = options;
    this.#ports = ports;
    this.#source = source;
    this.events = events;
    this.log = options.log;
    this.faults = new OwnFaults(options.log);
    this.configuration = configuration;
    const { plan } = configuration.compiled;
    this.cache = options.createCache(plan.sections.stores.cacheBytes);
    this.shared = {
      metrics: createMetricsBuffer({ workers: banksFor(plan.workers), routes: MAX_ROUTES, instances: MAX_INSTANCES }),
      instances: createInstanceTable(),
      limits: options.createLimits(plan.sections.limits.memoryBytes),
      cache: this.cache.memory,
    };
    this.instances = new InstanceTable(this.shared.instances);
    this.metrics = new MetricsReader(this.shared.metrics);
    this.#stdout = new BlockWriter(this.log);
    this.workers = new Workers({
      entry: options.workerEntry,
      count: plan.workers,
      withSpare: plan.spareWorker,
      shared: this.shared,
      log: this.log,
      metrics: this.metrics,
      instances: this.instances,
      cache: this.cache,
      faults: this.faults,
      heapBytes: () => this.compiled.plan.gateway.policies.heapBytes,
      writeStdout: (lines, done) => this.#stdout.write(lines, done),
      writeLog: options.writeLog,
    });
    this.#operations = new OpsListener(this.log);
    this.overrides = new Overrides({
      file: join(plan.dataDir, 'overrides.json'),
      log: this.log,
      instances: this.instances,
      snapshot: () => this.snapshot,
      republish: () => this.configuration.republish(),
      instancesChanged: (services) => this.configuration.instancesChanged(services),
    });
    this.#control = new LocalServer(plan.controlSocket, controlListener(this));
    this.#handOver = new HandOver({
      dataDir: plan.dataDir,
      configuration,
      overrides: this.overrides,
      features: () => this.#features.all,
      addresses: () => this.addresses(),
      ticketKeys: () => this.#ticketKeys,
      whyNot: () => (this.#stopping !== undefined ? 'it is ending' : this.#begun ? null : 'it is starting'),
      leave: () => this.#leave(),
    });
  }

  async #begin(): Promise<void> {
    const { plan } = this.compiled;
    // Accounts, keys and sockets are in it.
    await makeDataFolder(plan.dataDir);
    if (this.#options.takesOver) this.#predecessor = await Predecessor.ask(plan.controlSocket);
    const predecessor = this.#predecessor;
    try {
      if (predecessor === null) {
        await this.#control.listen();
        clearSocketFiles(plan.dataDir);
      } else this.#inherit(predecessor);
      await this.overrides.open();
      await this.configuration.resolve();
      await this.#stdout.target('stdout');
      const ops = createOpsApp(plan.endpoints, () => this.opsSources());
      await this.#serve('builtin:ops', ops);
      await this.#operations.start(plan.operations, ops, this.isTakingOver);
      this.#claim(this.snapshot, false);
      await this.#features.start(this.#options.features, this);
      await this.workers.start(this.snapshot, this.#secrets(this.compiled));
      await this.configuration.begun();
      if (predecessor !== null) await this.#control.listen(true);
    } catch (error) {
      predecessor?.keep();
      await this.stop(0);
      throw error;
    }
    this.#begun = true;
    this.#predecessor = null;
    this.#ports.predecessor = [];
    if (predecessor !== null) this.#dismiss(predecessor);
    setTimeout(settle, SETTLED_MS).unref();
    this.#features.applied(this.compiled);
  }

  #inherit({ estate }: Predecessor): void {
    this.log.info('this process takes over from another', { pid: estate.pid });
    this.#ports.predecessor = estate.addresses;
    this.#ticketKeys = estate.ticketKeys;
  }

  #dismiss(predecessor: Predecessor): void {
    predecessor.leave();
    void predecessor.gone.then(() => {
      this.log.info('the former process has ended', { pid: predecessor.estate.pid });
      this.#features.predecessorGone();
    });
  }

  get isTakingOver(): boolean {
    return this.#predecessor !== null;
  }

  // --- configuration ---------------------------------------------------------------------------------------------

  get compiled(): Compiled {
    return this.configuration.compiled;
  }

  get snapshot(): Snapshot {
    return this.configuration.snapshot;
  }

  /** Reads the configuration anew and publishes it; a bad one changes nothing and says so. */
  reload(change: Change): Promise<ReloadResult> {
    return this.configuration.reload(change);
  }

  setDiscovered(discovered: Readonly<Record<string, readonly DiscoveredInstance[]>>): Promise<ReloadResult> {
    return this.configuration.setDiscovered(discovered);
  }

  async tryOverlay(overlay: Overlay): Promise<readonly string[] | null> {
    const trial = await this.configuration.tryOrder(this.#source.orderUnder(overlay));
    return trial.ok ? null : trial.problems.map(formatProblem);
  }

  async useOverlay(overlay: Overlay | null, change: Change): Promise<readonly string[] | null> {
    const before = this.#source.overlay;
    this.#source.overlay = overlay;
    const result = await this.reload(change);
    if (result.ok) return null;
    this.#source.overlay = before;
    return result.problems;
  }

  async #prepare(next: Compiled): Promise<void> {
    // While features start they publish what discovery found; the first configuration needs no preparing.
    if (this.#begun) await this.#features.prepare(next);
  }

  async #publish(snapshot: Snapshot, compiled: Compiled): Promise<readonly string[]> {
    for (const slot of compiled.fresh.routes) this.metrics.clearRoute(slot);
    for (const slot of compiled.fresh.instances) this.metrics.clearInstance(slot);
    this.#claim(snapshot, true);
    return this.workers.publishSnapshot(snapshot, this.#secrets(compiled));
  }

  async #publishInstances(
    snapshot: Snapshot,
    compiled: Compiled,
    services: readonly ServiceSettings[],
  ): Promise<readonly string[]> {
    for (const slot of compiled.fresh.instances) this.metrics.clearInstance(slot);
    for (const service of services) this.instances.claim(service, true);
    this.overrides.apply(services);
    return this.workers.publishInstances(snapshot, services);
  }

  #applied(compiled: Compiled): void {
    this.#options.setLogLevel(this.snapshot.gateway.logLevel, this.snapshot.gateway.logLevels);
    const ops = this.#builtins.get('builtin:ops');
    const answer = createOpsApp(compiled.plan.endpoints, () => this.opsSources());
    if (ops !== undefined) ops.listener = answer;
    this.#operations.applied(compiled.plan.operations, answer);
    // Discovery publishes before all features have started; they get the first configuration when they have.
    if (this.#begun) this.#features.applied(compiled);
  }

  /** Before anybody writes a verdict about an instance: its words in shared memory are its own from here on. */
  #claim(snapshot: Snapshot, slowStart: boolean): void {
    for (const service of snapshot.services) this.instances.claim(service, slowStart);
    this.overrides.apply(snapshot.services);
  }

  listed(): Readonly<Record<string, ServiceOutline>> {
    return this.configuration.config.services;
  }

  get env(): Environment {
    return this.#options.load.env ?? {};
  }

  writeStdout(lines: Uint8Array, done: () => void): void {
    this.#stdout.write(lines, done);
  }

  get bus(): ControlBus {
    return this.workers.bus;
  }

  #secrets({ secrets }: Compiled): Secrets {
    return { ...secrets, [this.#options.ticketKeysId]: this.#ticketKeys };
  }

  /** Log files were moved away: they are opened anew. */
  reopenLogs(): void {
    this.#features.reopen();
  }

  // --- workers, for features that watch them -----------------------------------------------------------------------

  workerThreads(): readonly number[] {
    return this.workers.threads();
  }

  onWorkersChange(listener: () => void): void {
    this.workers.onChange(listener);
  }

  async endWorker(thread: number): Promise<void> {
    const worker = this.workers.status().find(({ threadId }) => threadId === thread);
    if (worker !== undefined) await this.workers.terminate(worker.index);
  }

  openCalls(thread: number): MessagePort | undefined {
    return this.workers.openCalls(thread);
  }

  traffic(): ProcessTraffic {
    const restarts = this.workers.status().reduce((sum, worker) => sum + worker.restarts, 0);
    return processTraffic(this.metrics, this.snapshot, restarts);
  }

  health(): 'healthy' | 'degraded' | 'unhealthy' {
    return overallHealth(this.opsSources());
  }

  // --- built-in services and what they show ------------------------------------------------------------------------

  /**
   * Serves a built-in service on its socket, where the routes of the configuration find it. With `onUpgrade` it takes
   * upgrades too, on routes whose `upgrades` have the protocol; what it upgraded is its own until the process ends.
   */
  async serveBuiltin(name: string, fetch: Fetch, onUpgrade?: UpgradeListener): Promise<void> {
    await this.#serve(name, fetchListener(fetch), onUpgrade);
  }

  async #serve(name: string, listener: RequestListener, onUpgrade?: UpgradeListener): Promise<void> {
    const path = localSocketPath(this.compiled.plan.dataDir, name.slice('builtin:'.length));
    const server = new LocalServer(path, this.#handOver.gated(name, path, listener), onUpgrade);
    await server.listen(this.isTakingOver);
    this.#builtins.set(name, server);
  }

  explain(method: string, url: string, headers: readonly string[]): unknown {
    return this.#options.explain(this.snapshot.routes, method, url, headers);
  }

  accounts(): OperatorAccounts | undefined {
    return this.#features.accounts();
  }

  operations(): ReadonlyMap<string, OperationsApi> {
    return this.#features.operations();
  }

  async audit(entry: AuditedAction): Promise<void> {
    this.log.info('an operator acted', { actor: entry.actor, action: entry.action, target: entry.target });
    this.security.tell(entry.action, { actor: entry.actor, target: entry.target });
    await this.#features.audit(entry);
  }

  get localUser(): string {
    return localUser();
  }

  adminListener(): Promise<RequestListener> | undefined {
    return this.#features.adminListener();
  }

  opsSources(): OpsSources {
    const { snapshot } = this;
    const workers = this.workers.status();
    const services = snapshot.services
      .filter(({ name }) => !name.startsWith('builtin:'))
      .map((service) => readServiceState(this.instances, service));
    return {
      name: snapshot.gateway.name,
      version: snapshot.gateway.version,
      startedAt: this.#startedAt.toISOString(),
      // Who asks by a connection of before would take the place of this process for one that does not serve.
      draining: this.#stopping !== undefined && !this.#handOver.isGone,
      workers,
      workersWanted: this.compiled.plan.workers,
      services,
      features: this.#features.status(),
      dependencies: this.#features.dependencies(),
      listeners: this.addresses(),
      metrics: {
        reader: this.metrics,
        snapshot,
        services,
        workersListening: this.workers.listening,
        workerRestarts: workers.reduce((sum, worker) => sum + worker.restarts, 0),
        unhandledRejections: this.faults.rejections,
        logLinesDropped: standardError.dropped + standardOutput.dropped,
        uptimeSeconds: (Date.now() - this.#startedAt.getTime()) / 1000,
        residentBytes: process.memoryUsage.rss(),
        extra: () => this.#features.metrics(),
        dependencies: this.#features.dependencies(),
        wallMs: Date.now(),
        exemplars: (route) => this.#features.exemplars(route),
      },
      metricsFormat: this.compiled.plan.metricsFormat,
      nativeHistograms: this.compiled.plan.nativeHistograms,
      configuration: this.configuration.status(),
    };
  }

  addresses(): ListeningAddress[] {
    return this.snapshot.listeners.map(({ id, host, port, tls }) => ({
      id: id.slice(0, id.indexOf('@')),
      host,
      port,
      tls: tls !== null,
    }));
  }

  // --- handing over ----------------------------------------------------------------------------------------------

  /** Resolves when another process has taken over: this one is ending by itself, and `stop` resolves when it has. */
  get replaced(): Promise<void> {
    return this.#replaced.promise;
  }

  handOver(request: IncomingMessage, response: ServerResponse): Promise<void> {
    return handOverTo(this.#handOver, this.log, request, response);
  }

  #leave(): void {
    void this.stop();
    this.#replaced.resolve();
  }

  // --- ending ----------------------------------------------------------------------------------------------------

  /**
   * Readiness fails, after `gateway.shutdownDelay` listeners close, what is in flight finishes; resolves with the
   * connections that were cut off. Once another process has taken over, listeners close at once, and connections that
   * are idle have the delay, at least LINGER_MS, to ask once more.
   */
  stop(timeoutMs = this.snapshot.gateway.shutdownTimeoutMs): Promise<number> {
    this.#stopping ??= this.#stop(timeoutMs);
    return this.#stopping;
  }

  async #stop(timeoutMs: number): Promise<number> {
    this.configuration.close();
    const { shutdownDelayMs } = this.compiled.plan;
    const isReplaced = this.#handOver.isGone;
    if (isReplaced) await this.#operations.close();
    else if (shutdownDelayMs > 0 && timeoutMs > 0) {
      this.workers.leave();
      await new Promise((resolve) => setTimeout(resolve, shutdownDelayMs));
    }
    this.#ports.close();
    this.#features.draining();
    const cutOff = await this.workers.drain(timeoutMs, isReplaced ? Math.max(shutdownDelayMs, LINGER_MS) : 0);
    await this.configuration.end();
    if (!(await this.#features.stop(FEATURES_STOP_MS)))
      this.log.warn('what a database or another server did not answer in time was not waited for', {});
    await this.#operations.close();
    for (const server of this.#builtins.values()) await server.close();
    await this.#control.close();
    await this.overrides.close();
    await this.workers.ended();
    await this.#stdout.close();
    return cutOff;
  }
}
