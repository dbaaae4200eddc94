/**
 * Proves that imports go one way: base <- data <- control <- main. Control may know of data only its contract and its
 * catalogue; siblings in the data path do not know each other; the workers' code loads nothing that the control plane
 * needs. Prints each import that must not be.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../src/', import.meta.url));

/** Packages that a worker may load; the last ones only when configured, by dynamic import. */
const WORKER_PACKAGES = new Set(['ioredis']);
/** Files of `src/data` that are for control alone, since they describe options with Zod. */
const isForControl = (file: string): boolean =>
  file === 'data/catalog.ts' ||
  file.endsWith('.options.ts') ||
  file === 'data/contract/options.ts' ||
  file === 'data/contract/limit-schema.ts' ||
  file === 'data/balancer/options.ts';
/** Floors of the data path that every step may stand on. */
const FLOORS = ['contract', 'parser', 'wire'];
/** Who may know more: the files directly in `src/data` join the steps. */
const STEPS = [
  'listener',
  'http1',
  'router',
  'policies',
  'balancer',
  'resilience',
  'upstream',
  'response',
  'auth',
  'limiter',
];
/** Steps that build on another one on purpose. */
const ALLOWED_STEPS: Readonly<Record<string, readonly string[]>> = {
  listener: ['http1'],
  balancer: ['resilience'],
  upstream: ['http1'],
  policies: ['auth', 'limiter'],
};

interface Import {
  readonly file: string;
  readonly target: string;
  readonly isType: boolean;
}

function* sources(folder: string): Generator<string> {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) yield* sources(path);
    else if (/\.ts$/.test(entry.name) && !/\.(test|suite)\.ts$/.test(entry.name)) yield path;
  }
}

function* imports(): Generator<Import> {
  for (const path of sources(root)) {
    const file = relative(root, path);
    const text = readFileSync(path, 'utf8');
    for (const match of text.matchAll(/^(?:import|export)\s+(type\s+)?(?:[^'";]*?from\s+)?'([^']+)'/gm)) {
      const [, type, specifier = ''] = match;
      const target = specifier.startsWith('.') ? relative(root, resolve(dirname(path), specifier)) : specifier;
      yield { file, target, isType: type !== undefined };
    }
  }
}

function layerOf(file: string): string {
  const [first = ''] = file.split('/');
  return ['base', 'data', 'control', 'cli', 'registry', 'cluster-client'].includes(first) ? first : 'main';
}

function problemOf({ file, target, isType }: Import): string | null {
  const layer = layerOf(file);
  if (target.startsWith('node:')) return null;
  if (!target.endsWith('.ts') && !target.endsWith('.json')) {
    const name = target
      .split('/')
      .slice(0, target.startsWith('@') ? 2 : 1)
      .join('/');
    if (layer === 'base' && file !== 'base/zod-units.ts' && !WORKER_PACKAGES.has(name)) return 'base knows Node only';
    if (layer === 'data' && !isForControl(file) && !isType && !WORKER_PACKAGES.has(name))
      return 'a worker must stay light';
    return null;
  }
  const other = layerOf(target);
  if (layer === 'base' && other !== 'base') return 'base must not know of anything above';
  if (layer === 'registry' && other !== 'registry') return 'the registry client stands alone';
  if (layer === 'cluster-client' && other !== layer) return 'the cluster client stands alone';
  if (layer === 'data') {
    if (other !== 'base' && other !== 'data') return 'data must not know of control or main';
    if (isForControl(target) && !isForControl(file) && !isType) return 'option schemas are for control alone';
    return stepProblem(file, target);
  }
  if (layer === 'control') {
    if (other === 'cli' || other === 'main') return 'control must not know of main';
    if (other === 'data' && !target.startsWith('data/contract/') && !isForControl(target))
      return 'control knows of data only its contract and its catalogue';
  }
  return null;
}

function stepProblem(file: string, target: string): string | null {
  const step = file.split('/')[1] ?? '';
  const otherStep = target.split('/')[1] ?? '';
  if (!STEPS.includes(step) || step === otherStep || FLOORS.includes(otherStep) || layerOf(target) === 'base')
    return null;
  if (!STEPS.includes(otherStep)) return null;
  return (ALLOWED_STEPS[step] ?? []).includes(otherStep)
    ? null
    : `the step ${step} must not know of the step ${otherStep}`;
}

let count = 0;
let bad = 0;
for (const each of imports()) {
  count++;
  const problem = problemOf(each);
  if (problem === null) continue;
  bad++;
  console.error(`src/${each.file}: imports ${each.target}: ${problem}`);
}
console.log(`${count} imports looked at, ${bad} that must not be`);
process.exitCode = bad === 0 ? 0 : 1;
