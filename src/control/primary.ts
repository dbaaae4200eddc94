/**
 * The main thread's half of a running gateway: owns shared memory, workers, the built-in operations service, the
 * control socket and the configuration's life (load, compile, publish, reload, roll back). Sees no request. Features
 * of the control plane are attached here and told of each new plan.
 */
import { randomBytes } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import type { RequestListener } from 'node:http';
import { BlockWriter } from '../base/block-writer.ts';
import { messageOf } from '../base/errors.ts';
import type { Logger, LogLevel } from '../base/log.ts';
import { createMetricsBuffer, MetricsReader } from '../base/metrics.ts';
import { releaseMemory } from '../base/release-memory.ts';
import { createInstanceTable, InstanceTable } from '../data/contract/instance-table.ts';
import { readServiceState } from '../data/contract/service-state.ts';
import type { SharedState } from '../data/contract/shared.ts';
import { MAX_INSTANCES, MAX_ROUTES } from '../data/contract/shared.ts';
import type { Secrets, Snapshot } from '../data/contract/snapshot.ts';
import type { Compiled, DiscoveredInstance } from './config/compile.ts';
import { compile } from './config/compile.ts';
import type { LoadedConfig, LoadOptions } from './config/load.ts';
import { loadConfig } from './config/load.ts';
import { changesThatNeedRestart, localSocketPath } from './config/plan.ts';
import { ConfigurationError, formatProblem } from './config/problems.ts';
import type { Environment } from './config/source.ts';
import type { Feature } from './feature.ts';
import type { Fetch, UpgradeListener } from './local-server.ts';
import { fetchListener, LocalServer } from './local-server.ts';
import { createOpsApp } from './ops/ops-app.ts';
import type { OpsSources } from './ops/sources.ts';
import { gatewayStatus } from './ops/sources.ts';
import { Ports } from './ports.ts';
import { FileWatch } from './watch.ts';
import { Workers } from './workers.ts';

export interface PrimaryOptions {
  readonly load: LoadOptions;
  readonly log: Logger;
  /** Told of `gateway.logLevel`, at start and when a reload changes it. */
  readonly setLogLevel: (level: LogLevel) => void;
  readonly writeLog: (line: string) => void;
  readonly workerEntry: URL;
  /** Secret id under which the workers find the keys that seal TLS session tickets. */
  readonly ticketKeysId: string;
  /** Memory of the rate limits, of this many bytes. */
  readonly createLimits: (bytes: number) => SharedArrayBuffer;
  readonly features: readonly ((primary: Primary) => Feature)[];
}

export interface ReloadResult {
  readonly ok: boolean;
  readonly version: number;
  readonly problems: readonly string[];
}

/** After this the start is over and done with. */
const SETTLED_MS = 1_000;

export class Primary {
  readonly log: Logger;
  readonly shared: SharedState;
  readonly instances: InstanceTable;
  readonly metrics: MetricsReader;
  readonly workers: Workers;
  readonly #options: PrimaryOptions;
  readonly #startedAt = new Date();
  readonly #stdout: BlockWriter;
  readonly #ports = new Ports();
  readonly #watch: FileWatch;
  readonly #control: LocalServer;
  readonly #ticketKeys = randomBytes(48).toString('base64');
  readonly #builtins = new Map<string, LocalServer>();
  #features: Feature[] = [];
  #config: LoadedConfig;
  #compiled: Compiled;
  #snapshot: Snapshot;
  #discovered: Readonly<Record<string, readonly DiscoveredInstance[]>> = {};
  #begun = false;
  #draining = false;
  #lastReload: OpsSources['lastReload'] = null;
  /** Changes of the configuration happen one after the other. */
  #queue: Promise<unknown> = Promise.resolve();

  /** Loads, compiles, starts everything. Rejects with a `ConfigurationError` or with what could not be bound. */
  static async start(options: PrimaryOptions): Promise<Primary> {
    const loaded = await loadConfig(options.load);
    if (!loaded.ok) throw new ConfigurationError(loaded.problems);
    const compiled = compile(loaded.config);
    if (!compiled.ok) throw new ConfigurationError(compiled.problems);
    options.setLogLevel(compiled.snapshot.gateway.logLevel);
    for (const problem of compiled.problems) options.log.warn(formatProblem(problem));
    const primary = new Primary(options, loaded.config, compiled);
    await primary.#begin();
    return primary;
  }

  private constructor(options: PrimaryOptions, config: LoadedConfig, compiled: Compiled) {
    this.#options = options;
    this.log = options.log;
    this.#config = config;
    this.#compiled = compiled;
    this.#snapshot = compiled.snapshot;
    const { plan } = compiled;
    this.shared = {
      metrics: createMetricsBuffer({ workers: plan.workers, routes: MAX_ROUTES, instances: MAX_INSTANCES }),
      instances: createInstanceTable(),
      limits: options.createLimits(plan.sections.limits.memoryBytes),
    };
    this.instances = new InstanceTable(this.shared.instances);
    this.metrics = new MetricsReader(this.shared.metrics);
    this.#stdout = new BlockWriter(this.log);
    this.workers = new Workers({
      entry: options.workerEntry,
      count: plan.workers,
      shared: this.shared,
      log: this.log,
      metrics: this.metrics,
      instances: this.instances,
      writeStdout: (lines, done) => this.#stdout.write(lines, done),
      writeLog: options.writeLog,
    });
    this.#watch = new FileWatch(() => void this.reload('a file changed'), this.log);
    this.#control = new LocalServer(plan.controlSocket, this.#controlListener());
  }

  async #begin(): Promise<void> {
    const { plan } = this.#compiled;
    await mkdir(plan.dataDir, { recursive: true });
    await this.#control.listen();
    try {
      this.#snapshot = await this.#ports.resolve(this.#compiled.snapshot);
      await this.#stdout.target('stdout');
      await this.#serve(
        'builtin:ops',
        createOpsApp(plan.endpoints, () => this.opsSources()),
      );
      this.#claim(this.#snapshot, false);
      this.#features = this.#options.features.map((make) => make(this));
      for (const feature of this.#features) await feature.start?.(this.#compiled);
      await this.workers.start(this.#snapshot, this.#secrets());
      this.#watchFiles();
    } catch (error) {
      await this.stop(0);
      throw error;
    }
    this.#begun = true;
    setTimeout(releaseMemory, SETTLED_MS).unref();
    for (const feature of this.#features) feature.applied?.(this.#compiled);
  }

  // --- configuration ---------------------------------------------------------------------------------------------

  get compiled(): Compiled {
    return this.#compiled;
  }

  get snapshot(): Snapshot {
    return this.#snapshot;
  }

  /** Reads the configuration anew and publishes it; a bad one changes nothing and says so. */
  reload(reason: string): Promise<ReloadResult> {
    return this.#inTurn(async () => {
      const loaded = await loadConfig(this.#options.load);
      const result = loaded.ok
        ? await this.#publish(loaded.config)
        : refused(this.#snapshot.version, loaded.problems.map(formatProblem));
      this.#lastReload = { at: new Date().toISOString(), ok: result.ok, problems: result.problems };
      if (result.ok) this.log.info('the configuration was reloaded', { reason, version: result.version });
      else
        this.log.error('the configuration was not reloaded, the old one stays', { reason, problems: result.problems });
      return result;
    });
  }

  /** Publishes the same document with other instances, as discovery found them. */
  setDiscovered(discovered: Readonly<Record<string, readonly DiscoveredInstance[]>>): Promise<ReloadResult> {
    return this.#inTurn(() => {
      this.#discovered = discovered;
      return this.#publish(this.#config);
    });
  }

  async #publish(config: LoadedConfig): Promise<ReloadResult> {
    const before = this.#compiled;
    const version = this.#snapshot.version + 1;
    const compiled = compile(config, { version, slots: before.slots, discovered: this.#discovered });
    if (!compiled.ok) return refused(this.#snapshot.version, compiled.problems.map(formatProblem));
    let snapshot: Snapshot;
    try {
      snapshot = await this.#ports.resolve(compiled.snapshot);
    } catch (error) {
      return refused(this.#snapshot.version, [messageOf(error)]);
    }
    for (const slot of compiled.fresh.routes) this.metrics.clearRoute(slot);
    for (const slot of compiled.fresh.instances) this.metrics.clearInstance(slot);
    this.#claim(snapshot, true);
    this.#compiled = compiled;
    const problems = await this.workers.publishSnapshot(snapshot, this.#secrets());
    if (problems.length > 0) {
      // All workers must agree: what some refused, the others give back.
      this.#compiled = before;
      this.#snapshot = { ...this.#snapshot, version: version + 1 };
      await this.workers.publishSnapshot(this.#snapshot, this.#secrets());
      return refused(this.#snapshot.version, problems);
    }
    this.#config = config;
    this.#snapshot = snapshot;
    this.#options.setLogLevel(snapshot.gateway.logLevel);
    const restart = changesThatNeedRestart(before.plan, compiled.plan);
    if (restart.length > 0) this.log.warn('some settings take effect at the next start only', { keys: restart });
    for (const problem of compiled.problems) this.log.warn(formatProblem(problem));
    const ops = this.#builtins.get('builtin:ops');
    if (ops !== undefined) ops.listener = createOpsApp(compiled.plan.endpoints, () => this.opsSources());
    this.#watchFiles();
    // Discovery publishes before everybody has started; they are told of the first configuration when they have.
    if (this.#begun) for (const feature of this.#features) feature.applied?.(compiled);
    return { ok: true, version, problems: [] };
  }

  /** Before anybody writes a verdict about an instance: its words in shared memory are its own from here on. */
  #claim(snapshot: Snapshot, slowStart: boolean): void {
    for (const service of snapshot.services) this.instances.claim(service, slowStart);
  }

  /** Instances that the live document lists itself, by service. */
  listed(): LoadedConfig['document']['services'] {
    return this.#config.document.services;
  }

  get env(): Environment {
    return this.#options.load.env ?? {};
  }

  #inTurn<T>(task: () => Promise<T>): Promise<T> {
    const result = this.#queue.then(task);
    this.#queue = result.catch(() => {});
    return result;
  }

  #secrets(): Secrets {
    return { ...this.#compiled.secrets, [this.#options.ticketKeysId]: this.#ticketKeys };
  }

  #watchFiles(): void {
    const { file, files } = this.#compiled.plan;
    this.#watch.set(file === null ? files : [file, ...files]);
  }

  // --- built-in services and the control socket --------------------------------------------------------------------

  /**
   * Serves a built-in service on its socket, where the routes of the configuration find it. With `onUpgrade` it takes
   * upgrades too, on routes whose `upgrades` have the protocol; what it upgraded is its own until the process ends.
   */
  async serveBuiltin(name: string, fetch: Fetch, onUpgrade?: UpgradeListener): Promise<void> {
    await this.#serve(name, await fetchListener(fetch), onUpgrade);
  }

  async #serve(name: string, listener: RequestListener, onUpgrade?: UpgradeListener): Promise<void> {
    const path = localSocketPath(this.#compiled.plan.dataDir, name.slice('builtin:'.length));
    const server = new LocalServer(path, listener, onUpgrade);
    await server.listen();
    this.#builtins.set(name, server);
  }

  /** `GET /status` and `POST /reload`, for the command line. */
  #controlListener(): RequestListener {
    return (request, response) => {
      const answer = (status: number, body: unknown): void => {
        response.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(body));
      };
      if (request.method === 'GET' && request.url === '/status') {
        answer(200, gatewayStatus(this.opsSources()));
      } else if (request.method === 'POST' && request.url === '/reload') {
        void this.reload('asked by the command line').then((result) => answer(result.ok ? 200 : 422, result));
      } else {
        answer(404, { message: 'there are GET /status and POST /reload' });
      }
    };
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
      draining: this.#draining,
      workers,
      workersWanted: this.#compiled.plan.workers,
      services,
      health: this.#features.flatMap((feature) => feature.health?.() ?? []),
      discovery: this.#features.flatMap((feature) => feature.discovery?.() ?? []),
      dependencies: this.#features.flatMap((feature) => feature.dependencies?.() ?? []),
      listeners: this.addresses(),
      metrics: {
        reader: this.metrics,
        snapshot,
        services,
        workersListening: this.workers.listening,
        workerRestarts: workers.reduce((sum, worker) => sum + worker.restarts, 0),
        uptimeSeconds: (Date.now() - this.#startedAt.getTime()) / 1000,
        residentBytes: process.memoryUsage.rss(),
        extra: this.#features.flatMap((feature) => feature.metrics?.() ?? []),
      },
      metricsFormat: this.#config.document.gateway.metricsFormat,
      lastReload: this.#lastReload,
    };
  }

  addresses(): { id: string; host: string; port: number; tls: boolean }[] {
    return this.#snapshot.listeners.map(({ id, host, port, tls }) => ({
      id: id.slice(0, id.indexOf('@')),
      host,
      port,
      tls: tls !== null,
    }));
  }

  // --- ending ----------------------------------------------------------------------------------------------------

  /** Readiness fails, listeners close, what is in flight finishes; resolves with the connections that were cut off. */
  async stop(timeoutMs = this.#snapshot.gateway.shutdownTimeoutMs): Promise<number> {
    this.#draining = true;
    this.#watch.close();
    const cutOff = await this.workers.drain(timeoutMs);
    for (const feature of this.#features) await feature.stop?.();
    for (const server of this.#builtins.values()) await server.close();
    await this.#control.close();
    await this.#stdout.close();
    return cutOff;
  }
}

function refused(version: number, problems: readonly string[]): ReloadResult {
  return { ok: false, version, problems };
}
