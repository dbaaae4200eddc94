/**
 * The configuration that is live with other instances of some services, as discovery found them or operators added and
 * took them out. Routes, policies and everything else stay the very objects that they are, so that neither this nor
 * what workers do with it depends on how many routes there are.
 */
import { isSameData } from '../../base/same-data.ts';
import type { ServiceSettings } from '../../data/contract/snapshot.ts';
import type { BuiltConfig } from './build-order.ts';
import {
  compileInstances,
  type DiscoveredInstance,
  type MoreInstances,
  PLAIN_TLS,
  type UnslottedInstance,
} from './compile/instances.ts';
import type { Compiled } from './compile.ts';
import { deepFreeze } from './keep-live.ts';

export type Discovered = Readonly<Record<string, readonly DiscoveredInstance[]>>;

export interface InstancesCompiled {
  readonly compiled: Compiled;
  /** Those that changed. */
  readonly services: readonly ServiceSettings[];
}

/** Null: the document has to be compiled as a whole, which says what is wrong. */
export function withInstances(
  config: BuiltConfig,
  live: Compiled,
  more: MoreInstances,
  names: readonly string[],
  version: number,
): InstancesCompiled | null {
  // What the document itself lists was found right when it was compiled.
  const compilation = { config, problem: () => {} };
  const changed = new Map<string, readonly UnslottedInstance[]>();
  const isSecure = new Map<string, boolean>();
  for (const name of names) {
    const outline = Object.hasOwn(config.services, name) ? config.services[name] : undefined;
    if (outline === undefined) continue;
    const all = compileInstances(compilation, name, outline, more);
    isSecure.set(
      name,
      all.some(({ protocol }) => protocol === 'https'),
    );
    if (outline.protocol === 'h2c' && isSecure.get(name)!) return null;
    changed.set(
      name,
      all.filter(({ id }) => !more.removed.has(id)),
    );
  }
  const { snapshot, slots } = live;
  const ids = snapshot.services.flatMap(({ name, instances }) => (changed.get(name) ?? instances).map(({ id }) => id));
  const assigned = slots.instances.assign([...new Set(ids)]);
  if (assigned === undefined) return null;
  const services = snapshot.services.map((service): ServiceSettings => {
    const next = changed.get(service.name);
    if (next === undefined) return service;
    const instances = next.map((instance) => ({ ...instance, slot: assigned.slots.get(instance.id)! }));
    const plainTls = isSecure.get(service.name)! ? PLAIN_TLS : null;
    const tls = config.services[service.name]!.hasTls ? service.tls : plainTls;
    return deepFreeze({ ...service, instances, tls });
  });
  return {
    compiled: {
      ...live,
      snapshot: Object.freeze({ ...snapshot, version, services: Object.freeze(services) }),
      slots: { ...slots, instances: assigned.keeper },
      fresh: { services: [], routes: [], instances: assigned.fresh },
    },
    services: services.filter(({ name }) => changed.has(name)),
  };
}

/** Services whose instances are others than before. */
export function changedServices(before: Discovered, after: Discovered): string[] {
  const names = new Set([...Object.keys(before), ...Object.keys(after)]);
  return [...names].filter((name) => !isSameData(before[name] ?? [], after[name] ?? []));
}
