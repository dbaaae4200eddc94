/**
 * A checked document to what the gateway runs by: the snapshot that workers get, the secrets that travel beside it, and
 * the plan of the control plane. Hands out the slots of shared memory. Reads the certificate files that the document
 * names and touches nothing else. Either everything is right or nothing is given: a bad file never replaces a good one.
 */
import { atOnce, mapSteps, type Steps } from '../../base/slices.ts';
import type { RouteSettings, Secrets, ServiceSettings, Snapshot } from '../../data/contract/snapshot.ts';
import { BUILTIN } from './compile/action.ts';
import {
  compileBuiltinRoute,
  compileBuiltinService,
  endpointRoutes,
  OPS,
  unroutedPolicies,
} from './compile/builtins.ts';
import { Compilation } from './compile/context.ts';
import { compileGateway, dataFolder, endpointPaths, warnOfUnenforcedKeys, workerCount } from './compile/gateway.ts';
import { type MoreInstances, NO_MORE_INSTANCES } from './compile/instances.ts';
import { compileListeners } from './compile/listeners.ts';
import type { UnslottedRoute } from './compile/route.ts';
import { routeSteps, servicesOf } from './compile/route.ts';
import { compileSections } from './compile/sections.ts';
import type { UnslottedService } from './compile/service.ts';
import { checkFallbackLoops, compileService } from './compile/service.ts';
import { deepFreeze } from './keep-live.ts';
import type { LoadedConfig } from './loaded-config.ts';
import type { ControlPlan } from './plan.ts';
import { controlSocketPath, localSocketPath } from './plan.ts';
import type { Problem } from './problems.ts';
import { hasErrors, sortProblems } from './problems.ts';
import { conflictSteps } from './reachability.ts';
import type { BuiltinRoute } from './section.ts';
import type { SlotTable } from './slots.ts';
import { emptySlotTable } from './slots.ts';
import { PRODUCT_VERSION } from './version.ts';

export type { DiscoveredInstance, MoreInstances } from './compile/instances.ts';

export interface CompileOptions {
  /** Version of the snapshot. Default 1. */
  readonly version?: number;
  /** Table of the compilation whose snapshot is published; default an empty one. */
  readonly slots?: SlotTable;
  /** Data folder of the process that runs, which another document cannot move. Default: the document's. */
  readonly dataDir?: string;
  /** Instances beside those of the document. */
  readonly more?: Partial<MoreInstances>;
  /** Time of day, for the end of certificates. Default: now. */
  readonly nowMs?: number;
}

export interface Compiled {
  readonly ok: true;
  readonly snapshot: Snapshot;
  readonly secrets: Secrets;
  readonly plan: ControlPlan;
  /** For the next compilation, once this snapshot is published. */
  readonly slots: SlotTable;
  /** Slots with a new owner, to be cleared in shared memory before the snapshot is published. */
  readonly fresh: {
    readonly services: readonly number[];
    readonly instances: readonly number[];
    readonly routes: readonly number[];
  };
  /** Warnings only, those of loading included. */
  readonly problems: readonly Problem[];
}

export type CompileResult = Compiled | { readonly ok: false; readonly problems: readonly Problem[] };

/** Built-in services that exist whatever the document says. */
const OWN_BUILTINS = [OPS];

function operationsListener({ host, port }: { readonly host: string; readonly port?: number | undefined }) {
  return port === undefined ? null : { host, port };
}

export function compile(config: LoadedConfig, options: CompileOptions = {}): CompileResult {
  const compiled = atOnce(compileSteps(config, options));
  if (compiled.ok) deepFreeze(compiled.snapshot);
  return compiled;
}

/** The same, beside what else there is to do, and not frozen: a result that goes to another thread is frozen there. */
export function* compileSteps(config: LoadedConfig, options: CompileOptions = {}): Steps<CompileResult> {
  const compilation = new Compilation(config);
  const nowMs = options.nowMs ?? Date.now();
  const documentDataDir = dataFolder(compilation);
  const dataDir = options.dataDir ?? documentDataDir;
  const environment = config.env['NODE_ENV'] || 'production';

  const gateway = compileGateway(compilation, PRODUCT_VERSION);
  const listeners = compileListeners(compilation, nowMs, dataDir);
  const endpoints = endpointPaths(compilation);
  const workers = workerCount(compilation);
  warnOfUnenforcedKeys(compilation);
  const features = compileSections(compilation, dataDir, environment, nowMs);

  const { endpoints: written, operations } = config.document.gateway;
  const answersGrpc = written !== 'off' && written.grpcHealth;
  const built = [...endpointRoutes(endpoints, operations, answersGrpc), ...features.routes].flatMap((route) => {
    const settings = compileBuiltinRoute(compilation, route);
    return settings === null ? [] : [{ route, settings }];
  });
  const builtinRoutes = built.map(({ route }) => route);
  const builtins = builtinSockets(dataDir, builtinRoutes, features.builtins);
  const more = { ...NO_MORE_INSTANCES, ...options.more };
  const services = [
    ...(yield* mapSteps(Object.entries(config.document.services), ([name, service]) =>
      compileService(compilation, name, service, more, nowMs),
    )),
    ...[...builtins].map(([name, socket]) => compileBuiltinService(name, socket)),
  ];
  checkFallbackLoops(compilation);
  const ownRoutes = withLatencyBounds(
    yield* routeSteps(compilation, [...builtins.keys()]),
    features.sections.objectives,
  );
  const routes = [...ownRoutes, ...built.map(({ settings }) => settings)];
  warnOfIdleServices(compilation, services, routes, features.used);

  const slotted = assignSlots(compilation, options.slots ?? emptySlotTable(), services, routes);
  if (slotted !== undefined) yield* checkConflicts(compilation, slotted.routes, builtinRoutes);
  const problems = sortProblems([...config.problems, ...compilation.problems]);
  if (slotted === undefined || hasErrors(problems)) return { ok: false, problems };

  const { sections, gateway: gatewaySections, services: serviceSections } = features;
  const plan: ControlPlan = {
    file: config.file,
    baseDir: config.baseDir,
    dataDir,
    documentDataDir,
    controlSocket: controlSocketPath(dataDir),
    environment,
    workers,
    spareWorker: workers === 1 && config.document.gateway.spareWorker,
    endpoints,
    operations: operationsListener(config.document.gateway.operations),
    watch: config.document.gateway.watch,
    metricsFormat: config.document.gateway.metricsFormat,
    nativeHistograms: config.document.gateway.nativeHistograms,
    shutdownDelayMs: config.document.gateway.shutdownDelay,
    files: [...compilation.files],
    certificates: compilation.certificates,
    sections,
    gateway: gatewaySections,
    services: serviceSections,
  };
  const snapshot: Snapshot = {
    version: options.version ?? 1,
    gateway,
    listeners,
    services: slotted.services,
    routes: slotted.routes,
    unrouted: unroutedPolicies(compilation),
  };
  return {
    ok: true,
    snapshot,
    secrets: { ...compilation.secrets },
    plan,
    slots: slotted.table,
    fresh: slotted.fresh,
    problems,
  };
}

/** What workers need to know of objectives: how long a response of each route may take. */
function withLatencyBounds(
  routes: readonly UnslottedRoute[],
  objectives: ControlPlan['sections']['objectives'],
): UnslottedRoute[] {
  const bounds = new Map(
    objectives.flatMap(({ latency, routes: indices }) =>
      latency === null ? [] : indices.map((index) => [index, latency.underMs] as const),
    ),
  );
  return routes.map((route, index) => {
    const bound = bounds.get(index);
    return bound === undefined ? route : { ...route, latencyBoundMs: bound };
  });
}

/** Every built-in service that a route could name, with its socket. */
function builtinSockets(
  dataDir: string,
  routes: readonly BuiltinRoute[],
  offered: readonly string[],
): Map<string, string> {
  // A route that a section adds may also lead to a service of the user's, such as `gatehouse identity` elsewhere.
  const ofRoutes = routes.map(({ service }) => service).filter((name) => name.startsWith(BUILTIN));
  const names = [...OWN_BUILTINS, ...ofRoutes, ...offered];
  const socketOf = (name: string): string => localSocketPath(dataDir, name.slice(BUILTIN.length));
  return new Map([...new Set(names)].map((name) => [name, socketOf(name)]));
}

function warnOfIdleServices(
  compilation: Compilation,
  services: readonly UnslottedService[],
  routes: readonly UnslottedRoute[],
  usedBySections: readonly string[],
): void {
  const ofRoutes = routes.flatMap(({ action, mirror }) => [...servicesOf(action), mirror?.service]);
  const used = new Set([...ofRoutes, ...usedBySections]);
  for (const { resilience } of services)
    if (resilience.fallback?.kind === 'service') used.add(resilience.fallback.service);
  for (const { name } of services) {
    if (!used.has(name) && !name.startsWith(BUILTIN))
      compilation.warning(['services', name], 'no route sends to this service');
  }
}

interface Slotted {
  readonly table: SlotTable;
  readonly services: readonly ServiceSettings[];
  readonly routes: readonly RouteSettings[];
  readonly fresh: Compiled['fresh'];
}

function assignSlots(
  compilation: Compilation,
  table: SlotTable,
  services: readonly UnslottedService[],
  routes: readonly UnslottedRoute[],
): Slotted | undefined {
  const instanceIds = services.flatMap(({ instances }) => instances.map(({ id }) => id));
  const forServices = table.services.assign(services.map(({ name }) => name));
  const forInstances = table.instances.assign([...new Set(instanceIds)]);
  const forRoutes = table.routes.assign([...new Set(routes.map(({ id }) => id))]);
  const tooMany = (path: string[], count: number, capacity: number): void => {
    compilation.problem(path, 'too many', { got: String(count), expected: `at most ${capacity}` });
  };
  if (forServices === undefined) tooMany(['services'], services.length, table.services.capacity);
  if (forInstances === undefined) tooMany(['services'], instanceIds.length, table.instances.capacity);
  if (forRoutes === undefined) tooMany(['routes'], routes.length, table.routes.capacity);
  if (forServices === undefined || forInstances === undefined || forRoutes === undefined) return undefined;
  const slot = (slots: ReadonlyMap<string, number>, id: string): number => slots.get(id) ?? 0;
  return {
    table: { services: forServices.keeper, instances: forInstances.keeper, routes: forRoutes.keeper },
    services: services.map((service) => ({
      ...service,
      slot: slot(forServices.slots, service.name),
      instances: service.instances.map((instance) => ({ ...instance, slot: slot(forInstances.slots, instance.id) })),
    })),
    routes: routes.map((route) => ({ ...route, slot: slot(forRoutes.slots, route.id) })),
    fresh: { services: forServices.fresh, instances: forInstances.fresh, routes: forRoutes.fresh },
  };
}

/**
 * Routes that can never match. A built-in route is never hidden by one of the user's, nor a user's by a built-in one:
 * not wholly, which the search finds, nor by having the same path with some of the methods. The message names the key
 * that gets the built-in one out of the way.
 */
function* checkConflicts(
  compilation: Compilation,
  routes: readonly RouteSettings[],
  builtinRoutes: readonly BuiltinRoute[],
): Steps<void> {
  const written = routes.length - builtinRoutes.length;
  const inTheWay = (index: number, { path, movedBy }: BuiltinRoute): void => {
    compilation.problem(['routes', index, 'match'], `stands in the way of the built-in endpoint ${path}`, {
      expected: `another match, or another path or off for ${movedBy}`,
    });
  };
  const byPath = new Map(builtinRoutes.map((route) => [route.path, route]));
  for (const [index, { match }] of routes.slice(0, written).entries()) {
    const builtin = match.path.kind === 'pattern' ? byPath.get(match.path.pattern) : undefined;
    const isConditional = match.hosts.length + match.headers.length + match.query.length > 0;
    if (builtin !== undefined && !isConditional && sharesMethod(match.methods, builtin)) inTheWay(index, builtin);
  }
  for (const { route, other, problem } of yield* conflictSteps(routes)) {
    const builtin = builtinRoutes[Math.max(route, other) - written];
    const first = Math.min(route, other);
    if (builtin === undefined) compilation.problem(['routes', route], problem);
    else if (first < written) inTheWay(first, builtin);
    // What moves one of them may be wrong itself, and that has been said.
    else if (!hasErrors(compilation.problems))
      compilation.problem(builtin.movedBy.split('.'), `another built-in endpoint has the path ${builtin.path}`);
  }
}

function sharesMethod(methods: readonly string[], builtin: BuiltinRoute): boolean {
  const own = builtin.methods ?? [];
  return methods.length === 0 || own.length === 0 || methods.some((method) => own.includes(method));
}
