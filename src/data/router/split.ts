/**
 * Chooses the service of a route that has several: by a header field, by a cookie, by the cookie of an earlier choice,
 * else at random by weight. Compiled once per route; called once per request, also when it is tried again later.
 *
 * The sticky cookie holds a short digest of the service's name: stable over reloads and restarts, and not telling
 * what services are called. It is no secret and not signed: a forger only chooses among what the route offers to
 * everybody. A service of weight 0 gets no request by chance or by old cookies (so a canary can be ended); a header
 * field or a cookie that names it still selects it.
 */
import type { SplitSettings, WeightedTarget } from '../contract/snapshot.ts';

/** What is asked of the exchange. */
export interface SplitRequest {
  /** Whether the caller's connection is TLS; the cookie is `Secure` then. */
  readonly scheme: 'http' | 'https';
  header(name: string): string | null;
  cookie(name: string): string | null;
  addResponseHeader(name: string, value: string): void;
}

/**
 * Gives the index into `targets`. `random` gives numbers from 0 to below 1. Throws a TypeError when no target has
 * weight, or a rule names a service that is not among the targets.
 */
export function compileSplit(
  targets: readonly WeightedTarget[],
  split: SplitSettings | null,
  random: () => number = Math.random,
): (request: SplitRequest) => number {
  const byWeight = compileWeights(targets, random);
  if (split === null) return byWeight;
  const headers = split.headers.map((rule) => ({ ...rule, target: indexOf(targets, rule.service) }));
  const cookies = split.cookies.map((rule) => ({ ...rule, target: indexOf(targets, rule.service) }));
  const sticky = split.stickyCookie === null ? null : new StickyCookie(targets, split.stickyCookie);
  return (request) => {
    for (const { name, value, target } of headers) if (request.header(name) === value) return target;
    for (const { name, value, target } of cookies) if (request.cookie(name) === value) return target;
    if (sticky === null) return byWeight();
    const kept = sticky.read(request);
    if (kept >= 0) return kept;
    const target = byWeight();
    sticky.write(request, target);
    return target;
  };
}

function compileWeights(targets: readonly WeightedTarget[], random: () => number): () => number {
  const total = targets.reduce((sum, target) => sum + target.weight, 0);
  if (!(total > 0)) throw new TypeError('a split has no target with weight');
  const ends: number[] = [];
  let end = 0;
  for (const { weight } of targets) {
    end += weight;
    ends.push(end);
  }
  // Rounding may leave a point behind every end; the last target that has weight takes it.
  const last = targets.findLastIndex((target) => target.weight > 0);
  return () => {
    const point = random() * total;
    for (let i = 0; i < last; i++) if (point < ends[i]!) return i;
    return last;
  };
}

function indexOf(targets: readonly WeightedTarget[], service: string): number {
  const index = targets.findIndex((target) => target.service === service);
  if (index < 0) throw new TypeError(`a split names the service "${service}", which is not among its targets`);
  return index;
}

class StickyCookie {
  readonly #name: string;
  /** Cookie value to target, of those that take traffic. */
  readonly #targets = new Map<string, number>();
  readonly #lines: readonly string[];

  constructor(targets: readonly WeightedTarget[], { name, ttlSeconds }: { name: string; ttlSeconds: number }) {
    this.#name = name;
    const values = digests(targets.map((target) => target.service));
    targets.forEach((target, index) => {
      if (target.weight > 0) this.#targets.set(values[index]!, index);
    });
    // RFC 6265 §4.1. Lax, because a link from elsewhere should stay on the same side of the split.
    this.#lines = values.map((value) => `${name}=${value}; Path=/; Max-Age=${ttlSeconds}; HttpOnly; SameSite=Lax`);
  }

  /** The target that the caller had, or -1. */
  read(request: SplitRequest): number {
    const value = request.cookie(this.#name);
    return value === null ? -1 : (this.#targets.get(value) ?? -1);
  }

  write(request: SplitRequest, target: number): void {
    const line = this.#lines[target]!;
    request.addResponseHeader('Set-Cookie', request.scheme === 'https' ? `${line}; Secure` : line);
  }
}

/** FNV-1a, 32 bits, with as many rounds as it takes to tell the names apart. */
function digests(names: readonly string[]): readonly string[] {
  for (let salt = 0; ; salt++) {
    const values = names.map((name) => fnv1a(`${salt === 0 ? '' : salt}${name}`));
    if (new Set(values).size === new Set(names).size) return values;
  }
}

function fnv1a(text: string): string {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(text)) hash = Math.imul(hash ^ byte, 0x01000193);
  return (hash >>> 0).toString(16).padStart(8, '0');
}
