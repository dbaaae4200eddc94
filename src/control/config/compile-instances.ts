/**
 * The configuration that is live with other instances of some services, as discovery found them or operators added and
 * took them out. Routes, policies and everything else stay the very objects that they are, so that neither this nor
 * what workers do with it depends on how many routes there are.
 */
import type { ServiceSettings } from '../../data/contract/snapshot.ts';
import { Compilation } from './compile/context.ts';
import type { DiscoveredInstance, MoreInstances } from './compile/instances.ts';
import { compileService } from './compile/service.ts';
import { type Compiled, deepFreeze } from './compile.ts';
import type { LoadedConfig } from './loaded-config.ts';
import { hasErrors } from './problems.ts';

export type Discovered = Readonly<Record<string, readonly DiscoveredInstance[]>>;

export interface InstancesCompiled {
  readonly compiled: Compiled;
  /** Those that changed. */
  readonly services: readonly ServiceSettings[];
}

/** Null: the document has to be compiled as a whole, which says what is wrong. */
export function withInstances(
  config: LoadedConfig,
  live: Compiled,
  more: MoreInstances,
  names: readonly string[],
  version: number,
): InstancesCompiled | null {
  const compilation = new Compilation(config);
  const changed = new Map(
    names.flatMap((name) => {
      const options = config.document.services[name];
      if (options === undefined) return [];
      return [[name, compileService(compilation, name, options, more, Date.now())] as const];
    }),
  );
  if (hasErrors(compilation.problems)) return null;
  // Certificates that were renewed meanwhile are everybody's business.
  for (const [id, text] of Object.entries(compilation.secrets)) if (live.secrets[id] !== text) return null;
  const { snapshot, slots } = live;
  const ids = snapshot.services.flatMap((service) =>
    (changed.get(service.name) ?? service).instances.map(({ id }) => id),
  );
  const assigned = slots.instances.assign([...new Set(ids)]);
  if (assigned === undefined) return null;
  const services = snapshot.services.map((service): ServiceSettings => {
    const next = changed.get(service.name);
    if (next === undefined) return service;
    const instances = next.instances.map((instance) => ({ ...instance, slot: assigned.slots.get(instance.id)! }));
    return deepFreeze({ ...next, slot: service.slot, instances });
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
  return [...names].filter((name) => JSON.stringify(before[name] ?? []) !== JSON.stringify(after[name] ?? []));
}
