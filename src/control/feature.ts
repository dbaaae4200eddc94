/**
 * A part of the control plane that lives beside the core (health checks, discovery, identity, limits ...), and what the
 * process around it gives it. Features are listed in features.ts; primary.ts is the host. A feature takes only the
 * members of `FeatureHost` that it uses (`Pick`), so that its test hands in as much and no more.
 */
import type { RequestListener } from 'node:http';
import type { MessagePort } from 'node:worker_threads';
import type { ExtraMetric, HistogramMetric } from '../base/extra-metric.ts';
import type { Logger } from '../base/log.ts';
import type { MetricsReader } from '../base/metrics-reader.ts';
import type { CacheControl } from '../data/contract/cache.ts';
import type { InstanceTable } from '../data/contract/instance-table.ts';
import type { ControlBus } from './bus.ts';
import type { Overlay, ServiceOutline } from './config/build-order.ts';
import type { DiscoveredInstance } from './config/compile/instances.ts';
import type { Compiled } from './config/compile.ts';
import type { Change } from './config/document-source.ts';
import type { Environment } from './config/source.ts';
import type { Events } from './events.ts';
import type { Facts } from './facts.ts';
import type { Dependency, FeatureStatus, ListeningAddress } from './feature-status.ts';
import type { LiveConfiguration, ReloadResult } from './live-configuration.ts';
import type { Fetch, UpgradeListener } from './local-server.ts';
import type { Mapping } from './openapi-document.ts';
import type { OperatorAccounts } from './operator-accounts.ts';
import type { OpsSources } from './ops/sources.ts';
import type { Overrides } from './overrides.ts';
import type { ProcessTraffic } from './process-traffic.ts';
import type { SecurityJournal } from './security-journal.ts';
import type { Exemplars } from './telemetry/exposition.ts';
import type { Workers } from './workers.ts';

export interface Feature {
  /** Before the workers start; a rejection stops the start. */
  start?(compiled: Compiled): Promise<void>;
  /**
   * Before another configuration is published, so that what its routes lead to is there. A rejection refuses it as a
   * whole. May be called for one that is refused after all.
   */
  prepare?(next: Compiled): Promise<void>;
  /** Keys of a configuration whose values differ from those that this process runs by until it ends. */
  restartKeys?(next: Compiled): readonly string[];
  /** A configuration is live: the first one, and each reloaded one. Must not throw. */
  applied?(compiled: Compiled): void;
  /** The process stops: workers finish what they have next, so what stays open until it is ended ends now. */
  draining?(): void;
  /** What readiness and health should say about what it leans on. */
  dependencies?(): readonly Dependency[];
  metrics?(): readonly (ExtraMetric | HistogramMetric)[];
  /** Sampled traces whose durations fell into the buckets of a route. One feature has this. */
  exemplars?(routeId: string): Exemplars | undefined;
  /**
   * Its API for operators, below `/api/features/NAME` of the admin API, which has found out who asks:
   * `x-gatehouse-actor` is the name. No other client reaches it.
   */
  operations?(): OperationsApi | undefined;
  /** Signs operators in with accounts. */
  accounts?(): OperatorAccounts | undefined;
  /** Serves requests below `/admin` on the control socket. */
  controlListener?(): Promise<RequestListener>;
  /** Adds to its audit chain. */
  audit?(entry: AuditedAction): Promise<void>;
  /** What health, `gatehouse status` and the console show of it. */
  status?(): FeatureStatus;
  /**
   * Another process takes over: writes what it keeps in files of the data folder, and writes them no more, while what
   * workers ask is still answered. The result takes that back.
   */
  handOver?(): Promise<() => void>;
  /** Another process has taken over; `stop` follows when the last exchange has ended. Must not throw. */
  replaced?(): Promise<void>;
  /** The process that this one took over from has ended: what it wrote last can be read. Must not throw. */
  predecessorGone?(): void;
  /** Another program moved the log files away. */
  reopen?(): void;
  stop?(): Promise<void>;
}

type Look = 'viewer' | 'operator' | 'admin';

export interface OperationsApi {
  readonly name: string;
  readonly fetch: Fetch;
  /** Its operations as `paths` of an OpenAPI document; loads what it needs for that. */
  readonly describe?: () => Promise<Mapping>;
  /** The role that looking needs, of all or by the path; default `viewer`. */
  readonly look?: Look | ((path: string) => Look);
  /** The role that changing needs, of all or by the path; default `operator`. */
  readonly change?: 'operator' | 'admin' | ((path: string) => 'operator' | 'admin');
}

/** What the process gives its features. */
export interface FeatureHost {
  readonly log: Logger;
  /** The line to the workers. */
  readonly bus: ControlBus;
  readonly env: Environment;
  /** Health, weight and counts of instances in shared memory. */
  readonly instances: InstanceTable;
  /** The store of responses. */
  readonly cache: CacheControl;
  /** The newest compiled configuration: workers have it a moment before `applied` is called. */
  readonly compiled: Compiled;
  /** Where security events are reported. */
  readonly security: SecurityJournal;
  /** What nodes of a cluster tell each other; without a cluster it goes nowhere. */
  readonly facts: Facts;
  /**
   * Whole lines for standard output, in turn with those of the access log; `done` when they are written or given up.
   */
  writeStdout(lines: Uint8Array, done: () => void): void;
  /** `services` of the live document: the instances that it lists itself. */
  listed(): Readonly<Record<string, ServiceOutline>>;
  /** Where the gateway listens, with the ports it really has. */
  addresses(): readonly ListeningAddress[];
  /** Publishes the live document with these instances. */
  setDiscovered(discovered: Readonly<Record<string, readonly DiscoveredInstance[]>>): Promise<ReloadResult>;
  /** Thread ids of the workers that live, and a call when one starts, ends or takes a configuration. */
  workerThreads(): readonly number[];
  onWorkersChange(listener: () => void): void;
  /** Ends a worker at once, with its connections; it is replaced. */
  endWorker(thread: number): Promise<void>;
  /** A port on which a worker calls services (data/contract/service-calls.ts); it closes with the worker. */
  openCalls(thread: number): MessagePort | undefined;
  /** What a document of the cluster in place of this node's own would do: its problems, or null. Publishes nothing. */
  tryOverlay(overlay: Overlay): Promise<readonly string[] | null>;
  /**
   * Runs by a document of the cluster from now on, or (null) by the node's own. The problems, or null; all or nothing.
   */
  useOverlay(overlay: Overlay | null, change: Change): Promise<readonly string[] | null>;
  /** Counters of the whole process since its start. */
  traffic(): ProcessTraffic;
  health(): 'healthy' | 'degraded' | 'unhealthy';
  /** True while this process starts in the place of another, which still has the ports and sockets. */
  readonly isTakingOver: boolean;
  /** Serves a built-in service (`builtin:NAME`); with `onUpgrade` it takes upgrades such as WebSocket too. */
  serveBuiltin(name: string, fetch: Fetch, onUpgrade?: UpgradeListener): Promise<void>;
}

/** What the admin API sees besides: all that an operator may look at and change. */
export interface OperatorHost extends FeatureHost {
  readonly configuration: LiveConfiguration;
  readonly overrides: Overrides;
  readonly events: Events;
  readonly metrics: MetricsReader;
  readonly workers: Workers;
  /** The user who runs this process, for those who come over the control socket. */
  readonly localUser: string;
  opsSources(): OpsSources;
  /** Which route takes a request, and why the others do not. Throws a `RangeError` on what is no request. */
  explain(method: string, url: string, headers: readonly string[]): unknown;
  /** APIs of features for operators, by the name below which the admin API has them. */
  operations(): ReadonlyMap<string, OperationsApi>;
  /** Signs operators in with accounts, where this gateway keeps any. */
  accounts(): OperatorAccounts | undefined;
  /** Adds to the audit chain, where there is one. */
  audit(entry: AuditedAction): Promise<void>;
}

export interface AuditedAction {
  readonly actor: string;
  /** Such as `admin.instance.drain`. */
  readonly action: string;
  readonly target: string;
  readonly detail: Readonly<Record<string, unknown>>;
}
