/**
 * What else is wrong with a document in which something is: the checks that need a document in order (compile.ts) are
 * run over what is in order, so that all is said in one go. A route or service with which something is wrong gives way
 * to an empty one, so that the others keep their places, and nothing is said of what only follows from that.
 */
import type { KeyPath } from '../../data/contract/options.ts';
import { compile } from './compile.ts';
import type { LoadedConfig } from './loaded-config.ts';
import { formatKey, type Problem } from './problems.ts';
import { isMapping } from './source.ts';
import { validate } from './validate.ts';

/** Keys of `gateway` that others refer to, or that stand in their way: without them nothing can be said of the rest. */
const REFERRED_TO: readonly unknown[] = ['auth', 'dataDir', 'endpoints', 'listeners', 'operations'];

/**
 * Errors only, and none of what is `broken`. None at all where something is wrong with a section at the top level or
 * with a key of `gateway` on which others depend.
 */
export function problemsOfRest(config: Omit<LoadedConfig, 'document'>, broken: readonly KeyPath[]): Problem[] {
  const { source } = config;
  if (broken.length === 0 || !isMapping(source.value)) return [];
  const rest = withoutBroken(source.value, broken);
  if (rest === null) return [];
  const { document } = validate({ ...source, value: rest.value });
  if (document === undefined) return [];
  const compiled = compile({ ...config, document, problems: [] });
  return compiled.problems.filter(({ severity, key }) => severity === 'error' && !rest.left.some(isWithin(key)));
}

interface Rest {
  readonly value: Record<string, unknown>;
  /** Keys of what was left out, and of routes that lead there. */
  readonly left: readonly string[];
}

function withoutBroken(written: Record<string, unknown>, broken: readonly KeyPath[]): Rest | null {
  const services = isMapping(written['services']) ? { ...written['services'] } : {};
  const routes = Array.isArray(written['routes']) ? [...(written['routes'] as unknown[])] : [];
  const gateway = isMapping(written['gateway']) ? { ...written['gateway'] } : {};
  const left = new Set<string>();
  const lost = new Set<string>();
  for (const path of broken) {
    const [section, name] = path;
    if (name === undefined) return null;
    left.add(formatKey(path.slice(0, 2)));
    if (section === 'routes' && typeof name === 'number') routes[name] = emptyRoute(name);
    else if (section === 'services') {
      services[name] = EMPTY_SERVICE;
      lost.add(String(name));
    } else if (section === 'gateway' && !REFERRED_TO.includes(name)) delete gateway[name];
    else return null;
  }
  for (const [index, route] of routes.entries())
    if (namesOf(route).some((name) => lost.has(name))) left.add(formatKey(['routes', index]));
  return { value: { ...written, services, routes, gateway }, left: [...left] };
}

const EMPTY_SERVICE = { instances: ['http://127.0.0.1:9'] };

/** Its path is nobody's, so that it stands in no one's way. */
function emptyRoute(index: number): object {
  return { match: { path: `/.broken/${index}` }, respond: { status: 404 }, auth: 'public' };
}

/** Every text under a key `service`, at any depth. */
function namesOf(value: unknown): string[] {
  if (Array.isArray(value)) return value.flatMap(namesOf);
  if (!isMapping(value)) return [];
  return Object.entries(value).flatMap(([key, inner]) =>
    key === 'service' && typeof inner === 'string' ? [inner] : namesOf(inner),
  );
}

function isWithin(key: string): (outer: string) => boolean {
  return (outer) => key === outer || key.startsWith(`${outer}.`) || key.startsWith(`${outer}[`);
}
