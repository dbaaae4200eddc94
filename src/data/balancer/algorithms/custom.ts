/**
 * Algorithms in files of the user's. A worker loads those that a snapshot names before it applies it, off the hot path;
 * a file that cannot be loaded refuses the snapshot. The file runs with all rights of the gateway. What it does wrong
 * later (throws, gives no index) is caught here, counts as a random choice and is logged once per created balancer.
 */
import { stat } from 'node:fs/promises';
import { pathToFileURL } from 'node:url';
import { messageOf } from '../../../base/errors.ts';
import type { Logger } from '../../../base/log.ts';
import { hookUserModules } from '../../../base/own-modules.ts';
import type { Balancer, BalancerDefinition } from '../../contract/balancer.ts';
import type { ServiceSettings } from '../../contract/snapshot.ts';
import { BALANCERS } from '../index.ts';

/** Options of `algorithm: custom`, as custom.options.ts leaves them. */
export interface CustomOptions {
  /** Absolute path. */
  readonly file: string;
  readonly options: unknown;
}

export type BalancerFinder = (name: string) => BalancerDefinition | undefined;

/** Name under which a service's algorithm is found: its own, or `custom:` and the file. */
export function balancerNameOf(balancer: ServiceSettings['balancer']): string {
  return balancer.algorithm === 'custom' ? `custom:${(balancer.options as CustomOptions).file}` : balancer.algorithm;
}

/**
 * Loads the files that the services name and gives them by the names of `balancerNameOf`. A file that changed since it
 * was last loaded is loaded anew, so that a reload takes it up. Rejects, naming the file, when one is not a balancer.
 */
export async function loadCustomBalancers(
  services: readonly ServiceSettings[],
): Promise<ReadonlyMap<string, BalancerDefinition>> {
  const found = new Map<string, BalancerDefinition>();
  for (const { balancer } of services) {
    const name = balancerNameOf(balancer);
    if (balancer.algorithm === 'custom' && !found.has(name)) {
      found.set(name, await loadDefinition((balancer.options as CustomOptions).file));
    }
  }
  return found;
}

async function loadDefinition(file: string): Promise<BalancerDefinition> {
  hookUserModules();
  let loaded: unknown;
  try {
    const { mtimeMs, size } = await stat(file);
    const url = pathToFileURL(file);
    url.searchParams.set('version', `${mtimeMs}-${size}`); // a module is cached by its URL for ever
    loaded = ((await import(url.href)) as { default?: unknown }).default;
  } catch (error) {
    throw new TypeError(`cannot load the balancer ${file}: ${messageOf(error)}`);
  }
  if (!isDefinition(loaded)) {
    throw new TypeError(`${file} must export a balancer made with defineBalancer({ name, create }) as its default`);
  }
  return loaded;
}

function isDefinition(value: unknown): value is BalancerDefinition {
  if (typeof value !== 'object' || value === null) return false;
  const { name, create } = value as Partial<BalancerDefinition>;
  return typeof name === 'string' && typeof create === 'function';
}

/** What `ServiceEnvironment.findBalancer` takes: the built-in algorithms and those that were loaded. */
export function balancerFinder(custom: ReadonlyMap<string, BalancerDefinition> = new Map()): BalancerFinder {
  const all = new Map<string, BalancerDefinition>(BALANCERS.map((definition) => [definition.name, definition]));
  for (const [name, definition] of custom) all.set(name, definition);
  return (name) => all.get(name);
}

export interface CreatedBalancer {
  readonly balancer: Balancer;
  /** Its picks follow the weights, and with them a slow start. */
  readonly weighted: boolean;
  readonly definition: BalancerDefinition;
}

/** Creates a service's balancer; one of the user's is fenced in. Throws when there is none of that name. */
export function createBalancer(
  { balancer, name: service }: ServiceSettings,
  find: BalancerFinder,
  random: () => number,
  log: Logger,
): CreatedBalancer {
  const definition = find(balancerNameOf(balancer));
  if (definition === undefined) throw new TypeError(`there is no balancing algorithm "${balancer.algorithm}"`);
  const weighted = definition.weighted === true;
  if (balancer.algorithm !== 'custom') {
    return { balancer: definition.create(balancer.options, random), weighted, definition };
  }
  const made = definition.create((balancer.options as CustomOptions).options, random);
  if (typeof made?.pick !== 'function') throw new TypeError(`the balancer "${definition.name}" has no pick function`);
  return { balancer: fenced(made, definition.name, service, random, log), weighted, definition };
}

function fenced(made: Balancer, name: string, service: string, random: () => number, log: Logger): Balancer {
  let reported = false;
  const instead = (count: number, problem: string): number => {
    if (!reported) log.error('custom balancer failed, choosing at random', { balancer: name, service, problem });
    reported = true;
    return Math.floor(random() * count);
  };
  return {
    pick(candidates, request) {
      let index: number;
      try {
        index = made.pick(candidates, request);
      } catch (error) {
        return instead(candidates.length, messageOf(error));
      }
      if (Number.isInteger(index) && index >= 0 && index < candidates.length) return index;
      return instead(candidates.length, `pick gave ${String(index)} for ${candidates.length} candidates`);
    },
  };
}
