/**
 * Proves that imports go one way, static and dynamic ones alike: base <- data <- control <- main. Below that, each
 * folder of the data path and of the control plane may know only those that are listed for it here, so this file is the
 * map of the house. No file imports itself by a detour; circles of types stay inside one folder. Workers load nothing
 * that only the control plane needs. Prints each import that must not be.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { circles } from './circles.ts';

const root = fileURLToPath(new URL('../src/', import.meta.url));

/** Packages that a worker may load, only when configured. */
const WORKER_PACKAGES = new Set(['ioredis', 'jmespath', 'typebox']);
/** Files of `src/data` that are for control alone, since they describe options with Zod. */
const isForControl = (file: string): boolean =>
  file === 'data/catalog.ts' ||
  file.endsWith('.options.ts') ||
  file === 'data/contract/options.ts' ||
  file === 'data/contract/limit-schema.ts' ||
  file === 'data/balancer/options.ts';

/** What each folder of `src/data` may know besides `contract` and `base`, from the ground up. */
const DATA: Readonly<Record<string, readonly string[]>> = {
  contract: [],
  trace: [],
  parser: [],
  wire: [],
  auth: [],
  content: [],
  resilience: ['wire'],
  router: ['parser'],
  limiter: [],
  transcode: ['content'],
  web: [],
  'user-policies': ['content', 'web'],
  response: ['wire'],
  balancer: ['resilience', 'wire'],
  aggregate: ['auth', 'content'],
  policies: ['auth', 'content', 'limiter', 'parser', 'user-policies'],
  exchange: [
    'aggregate',
    'auth',
    'balancer',
    'content',
    'parser',
    'resilience',
    'response',
    'router',
    'transcode',
    'trace',
    'wire',
  ],
  cache: ['exchange', 'parser'],
  handlers: ['content', 'exchange', 'parser', 'user-policies', 'web'],
  channels: ['exchange', 'parser', 'wire'],
  actions: ['auth', 'cache', 'channels', 'exchange', 'handlers', 'resilience', 'router', 'transcode', 'user-policies'],
  http1: ['exchange', 'parser', 'wire'],
  http2: ['exchange', 'parser', 'wire'],
  upstream: ['exchange', 'http1', 'http2', 'wire'],
  config: ['actions', 'balancer', 'cache', 'content', 'exchange', 'router', 'upstream'],
  listener: ['exchange', 'http1', 'http2', 'runtime.ts', 'wire'],
};

/**
 * What each feature of `src/control` may know besides `config`; files directly in `src/control` are the frame of all.
 */
const CONTROL: Readonly<Record<string, readonly string[]>> = {
  // `tls: auto` is a key of a listener, `transcode` one of a route.
  config: ['certificates', 'grpc'],
  // Services are asked as probes ask them.
  grpc: ['health'],
  telemetry: [],
  secrets: [],
  store: ['telemetry'],
  certificates: ['secrets', 'store'],
  health: [],
  auth: ['telemetry'],
  cache: ['telemetry'],
  policies: [],
  discovery: ['health'],
  events: ['store'],
  idempotency: ['store', 'telemetry'],
  tickets: ['store', 'telemetry'],
  // A lease may lie where discovery watches: in Kubernetes.
  cluster: ['discovery', 'store'],
  limits: ['store', 'telemetry'],
  identity: ['secrets', 'store', 'telemetry'],
  ops: ['discovery', 'health', 'telemetry'],
  objectives: [],
  'access-records': [],
  'security-events': [],
  // An alert says "soon" as `check` does.
  dashboards: ['certificates', 'objectives', 'telemetry'],
  tracing: ['telemetry'],
  // Describes them all.
  'api-pages': [
    'admin',
    'auth',
    'cache',
    'cluster',
    'discovery',
    'events',
    'grpc',
    'identity',
    'limits',
    'ops',
    'tickets',
  ],
  admin: ['ops'],
};
/** Features are not known to others by value; only these join them. */
const JOINS = ['control/sections.ts', 'control/features.ts', 'control/primary.ts'];

interface Import {
  readonly file: string;
  readonly target: string;
  readonly isType: boolean;
  readonly isDynamic: boolean;
}

function* sources(folder: string): Generator<string> {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) yield* sources(path);
    else if (/\.ts$/.test(entry.name) && !/\.(test|suite)\.ts$/.test(entry.name)) yield path;
  }
}

const STATIC = /^(?:import|export)\s+(type\s+)?(?:[^'";]*?from\s+)?'([^']+)'/gm;
const DYNAMIC = /\bimport\(\s*'([^']+)'/g;

function* imports(): Generator<Import> {
  for (const path of sources(root)) {
    const file = relative(root, path);
    const text = readFileSync(path, 'utf8');
    const named = (name: string): string =>
      name.startsWith('.') ? relative(root, resolve(dirname(path), name)) : name;
    for (const [, type, name = ''] of text.matchAll(STATIC))
      yield { file, target: named(name), isType: type !== undefined, isDynamic: false };
    for (const [, name = ''] of text.matchAll(DYNAMIC))
      yield { file, target: named(name), isType: false, isDynamic: true };
  }
}

const isOurs = (target: string): boolean => target.endsWith('.ts') || target.endsWith('.json');

function layerOf(file: string): string {
  const [first = ''] = file.split('/');
  return ['base', 'data', 'control', 'cli', 'registry', 'cluster-client'].includes(first) ? first : 'main';
}

function problemOf(each: Import): string | null {
  const { file, target, isType } = each;
  const layer = layerOf(file);
  if (target.startsWith('node:')) return null;
  if (!isOurs(target)) return packageProblem(each, layer);
  const other = layerOf(target);
  if (layer === 'base' && other !== 'base') return 'base must not know of anything above';
  if (layer === 'registry' && other !== 'registry') return 'the registry client stands alone';
  if (layer === 'cluster-client' && other !== layer) return 'the cluster client stands alone';
  if (layer === 'data') {
    if (other !== 'base' && other !== 'data') return 'data must not know of control or main';
    if (isForControl(target) && !isForControl(file) && !isType) return 'option schemas are for control alone';
    return siblingProblem(DATA, file, target, 'contract');
  }
  if (layer === 'control') {
    if (other === 'cli' || other === 'main') return 'control must not know of main';
    if (other === 'data' && !target.startsWith('data/contract/') && !isForControl(target))
      return 'control knows of data only its contract and its catalogue';
    if (other === 'control' && !isType && JOINS.includes(target) && target !== 'control/sections.ts')
      return `${target} joins the features, none of them knows it`;
    return other === 'control' ? siblingProblem(CONTROL, file, target, 'config') : null;
  }
  return null;
}

function packageProblem({ file, target, isType }: Import, layer: string): string | null {
  const name = target
    .split('/')
    .slice(0, target.startsWith('@') ? 2 : 1)
    .join('/');
  if (isType || WORKER_PACKAGES.has(name)) return null;
  if (layer === 'base' && file !== 'base/zod-units.ts') return 'base knows Node only';
  if (layer === 'data' && !isForControl(file)) return 'a worker must stay light';
  return null;
}

/** Files directly in a layer's folder join what is in it, so they may know all; the folders know them by type alone. */
function siblingProblem(
  known: Readonly<Record<string, readonly string[]>>,
  file: string,
  target: string,
  ground: string,
): string | null {
  const [, folder = '', ...inFolder] = file.split('/');
  const [layer, otherFolder = ''] = target.split('/');
  if (inFolder.length === 0 || layerOf(target) !== layerOf(file) || otherFolder === folder) return null;
  const allowed = known[folder];
  if (allowed === undefined) return `the folder ${folder} is not on the map (tools/check-layers.ts)`;
  if (otherFolder === ground || allowed.includes(otherFolder)) return null;
  if (otherFolder.endsWith('.ts'))
    return layer === 'control' || isForControl(file) ? null : `${folder} must not know ${target}`;
  if (isForControl(file) && layer === 'data') return null;
  return `the folder ${folder} must not know the folder ${otherFolder}`;
}

let count = 0;
let bad = 0;
const byValue = new Map<string, Set<string>>();
const byAny = new Map<string, Set<string>>();
const complain = (text: string): void => {
  bad++;
  console.error(text);
};
for (const each of imports()) {
  count++;
  const { file, target, isType, isDynamic } = each;
  const problem = problemOf(each);
  if (problem !== null) complain(`src/${file}: imports ${target}: ${problem}`);
  if (!target.endsWith('.ts')) continue;
  if (!byAny.has(file)) byAny.set(file, new Set());
  byAny.get(file)!.add(target);
  if (isType || isDynamic) continue;
  if (!byValue.has(file)) byValue.set(file, new Set());
  byValue.get(file)!.add(target);
}
for (const circle of circles(byValue)) complain(`a circle of imports: ${circle.join(' ')}`);
const folderOf = (file: string): string => file.split('/').slice(0, 2).join('/');
for (const circle of circles(byAny))
  if (new Set(circle.map(folderOf)).size > 1) complain(`a circle of types over folders: ${circle.join(' ')}`);
console.log(`${count} imports looked at, ${bad} that must not be`);
process.exitCode = bad === 0 ? 0 : 1;
