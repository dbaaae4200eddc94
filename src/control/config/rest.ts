/**
 * What else is wrong with a document in which something is: the checks that need a document in order (compile.ts) are
 * run over what is in order, so that all mistakes are reported at once. Wrong parts are taken out: the value alone,
 * then what is around it, until the rest is in order. A route or service as a whole gives way to an empty one, so that
 * the others keep their places. Of what only follows from that nothing is said.
 */
import type { KeyPath } from '../../data/contract/options.ts';
import { compile } from './compile.ts';
import { keysAt } from './json-schema.ts';
import type { LoadedConfig } from './loaded-config.ts';
import { nearest } from './nearest.ts';
import { formatKey, type Problem } from './problems.ts';
import { isMapping } from './source.ts';
import { validate } from './validate.ts';

/** Each takes something out; more are needed only where whatever is around something needs it. */
const MOST_ROUNDS = 20;

/** Errors only, and none of what is `broken`. */
export function problemsOfRest(config: Omit<LoadedConfig, 'document'>, broken: readonly KeyPath[]): Problem[] {
  const { source } = config;
  if (broken.length === 0 || !isMapping(source.value)) return [];
  const rest = new Rest(source.value);
  let wrong = broken;
  for (let round = 0; round < MOST_ROUNDS; round++) {
    for (const path of wrong) rest.takeOut(path);
    const { document, broken: still } = validate({ ...source, value: rest.value });
    if (document !== undefined) {
      const { problems } = compile({ ...config, document, problems: [] });
      return problems.filter((problem) => problem.severity === 'error' && !rest.causes(problem));
    }
    wrong = still;
  }
  return [];
}

/** Keys that decide which requests a route takes, before which others, and where they go. */
const MATCHING: ReadonlySet<string> = new Set([
  ...['match', 'priority', 'version', 'name'],
  ...['service', 'respond', 'redirect', 'aggregate', 'handler', 'ticket', 'builtin', 'publish', 'subscribe'],
]);
/** Keys without which a service is none, or one of another kind. */
const REACHING: ReadonlySet<string> = new Set(['instances', 'discovery', 'protocol', 'grpc']);

const EMPTY_SERVICE = { instances: ['http://127.0.0.1:9'] };

/** No other route has its path, so it is in no route's way. */
function emptyRoute(index: number): object {
  return { match: { path: `/.broken/${index}` }, respond: { status: 404 }, auth: 'public' };
}

/** A copy of a document, of which parts are taken out. */
class Rest {
  readonly value: Record<string, unknown>;
  readonly #written: Record<string, unknown>;
  /** Keys of what was taken out. */
  readonly #keys = new Set<string>();
  /** Every text and key that was in it: others may refer to it by one of them. */
  readonly #names = new Set<string>();
  /** How other keys call what was taken out, such as `identity` or `listeners`. */
  readonly #words = new Set<string>();

  constructor(written: Record<string, unknown>) {
    this.#written = written;
    this.value = structuredClone(written);
  }

  takeOut(path: KeyPath): void {
    const [section, name] = path;
    if (section === 'routes' && typeof name === 'number') {
      if (!this.#mayLack(path, MATCHING)) this.#replace('routes', name, emptyRoute(name));
    } else if (section === 'services' && name !== undefined) {
      if (!this.#mayLack(path, REACHING)) this.#replace('services', name, EMPTY_SERVICE);
    } else if (section !== undefined) this.#delete(path);
  }

  /** Takes one key out of a route or service, unless that would say something else of it; false: nothing was done. */
  #mayLack(path: KeyPath, decisive: ReadonlySet<string>): boolean {
    const [section, name, key] = path;
    if (section === undefined || name === undefined || typeof key !== 'string') return false;
    const around = insideOf(insideOf(this.value, section), name);
    if (!isMapping(around) || !Object.hasOwn(around, key)) return false;
    const known = keysAt([section, name]);
    const meant = meantBy([section, name], key);
    if (!known.includes(meant) || decisive.has(meant)) return false;
    // Of a value that is written elsewhere as well it is unknown who refers to it.
    for (const text of textsIn(around[key])) this.#names.add(text);
    this.#words.add(meant);
    this.#keys.add(formatKey([section, name]));
    delete around[key];
    return true;
  }

  #replace(section: 'routes' | 'services', name: string | number, empty: object): void {
    const all = this.value[section] as Record<string | number, unknown>;
    if (section === 'services') {
      this.#names.add(String(name));
      // Without its service nothing can be said of a route.
      for (const [index, route] of listOf(this.#written['routes']).entries())
        if (namesOf(route).includes(String(name))) this.#keys.add(formatKey(['routes', index]));
    }
    all[name] = empty;
    this.#keys.add(formatKey([section, name]));
  }

  /**
   * What is not there, or stands in a list whose other members have their places by it, is taken out with the whole.
   */
  #delete(path: KeyPath): void {
    const around = path.slice(0, -1).reduce<unknown>((value, key) => insideOf(value, key), this.value);
    const key = path.at(-1)!;
    if (!isMapping(around) || !Object.hasOwn(around, key)) {
      if (path.length > 1) this.#delete(path.slice(0, -1));
      return;
    }
    for (const text of textsIn(around[key])) this.#names.add(text);
    this.#names.add(String(key));
    const [section, depth] = path[0] === 'gateway' && path.length > 1 ? [path[1], 2] : [path[0], 1];
    this.#words.add(meantBy(path.slice(0, depth - 1), String(section)));
    // What stands beside it may be wrong only without it.
    this.#keys.add(formatKey(path.length > 2 ? path.slice(0, -1) : path));
    delete around[key];
  }

  /** True when a problem may be one only because something was taken out. */
  causes({ key, message, expected }: Problem): boolean {
    for (const taken of this.#keys) if (isWithin(key, taken) || isWithin(taken, key)) return true;
    const words = `${key} ${message} ${expected ?? ''}`.match(/\w+/g) ?? [];
    if (words.some((word) => this.#words.has(word))) return true;
    return textsIn(this.#at(key)).some((text) => this.#names.has(text));
  }

  /** What was written at a key, by the way problems spell keys. */
  #at(key: string): unknown {
    let at: unknown = this.#written;
    for (const [, quoted, index, name] of key.matchAll(/("(?:[^"\\]|\\.)*")|\[(\d+)\]|([^.[\]"]+)/g))
      at = insideOf(at, index === undefined ? String(quoted === undefined ? name : JSON.parse(quoted)) : Number(index));
    return at;
  }
}

/** The key that is possible here and nearest to what is written. */
function meantBy(around: KeyPath, key: string): string {
  const known = keysAt(around);
  return known.includes(key) ? key : (nearest(key, known) ?? key);
}

function insideOf(value: unknown, key: string | number): unknown {
  if (Array.isArray(value)) return (value as unknown[])[Number(key)];
  return isMapping(value) && Object.hasOwn(value, key) ? value[key] : undefined;
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? (value as unknown[]) : [];
}

/** Every text under a key `service`, at any depth. */
function namesOf(value: unknown): string[] {
  if (Array.isArray(value)) return value.flatMap(namesOf);
  if (!isMapping(value)) return [];
  return Object.entries(value).flatMap(([key, inner]) =>
    key === 'service' && typeof inner === 'string' ? [inner] : namesOf(inner),
  );
}

/** Every text and every key, at any depth. */
function textsIn(value: unknown): string[] {
  if (typeof value === 'string') return [value];
  if (Array.isArray(value)) return value.flatMap(textsIn);
  return isMapping(value) ? Object.entries(value).flatMap(([key, inner]) => [key, ...textsIn(inner)]) : [];
}

function isWithin(key: string, outer: string): boolean {
  return key === outer || key.startsWith(`${outer}.`) || key.startsWith(`${outer}[`);
}
