/** The part of a long list that somebody asked for: what contains a text, and of that so many. Pure. */
import type { InstanceReport, ServiceReport } from '../ops/services.ts';
import type { Override } from '../overrides.ts';

export interface Wanted {
  /** Upper and lower case are the same; empty is everything. */
  readonly q: string;
  readonly limit: number;
}

export interface Picked<Thing> {
  readonly found: readonly Thing[];
  /** How many contain the text, `found` among them. */
  readonly matching: number;
}

/** `textOf`: what is searched. */
export function pick<Thing>(things: readonly Thing[], { q, limit }: Wanted, textOf: (thing: Thing) => string) {
  const wanted = q.toLowerCase();
  const matching = wanted === '' ? things : things.filter((thing) => textOf(thing).toLowerCase().includes(wanted));
  return { found: matching.slice(0, limit), matching: matching.length } satisfies Picked<Thing>;
}

export interface PickedService extends ServiceReport {
  /** How many instances contain the text, or all where the name of the service does; `instances` among them. */
  readonly matching: number;
  /** How many instances there are. */
  readonly total: number;
  /** What operators changed of the service and its instances. */
  readonly byHand: readonly Override[];
}

/**
 * Services whose name contains the text, with their instances, and others with those instances whose id or URL does. No
 * more instances than `limit` over all of them, and no more services.
 */
export function pickServices(
  services: readonly ServiceReport[],
  overrides: readonly Override[],
  { q, limit }: Wanted,
): { readonly services: readonly PickedService[]; readonly matching: number; readonly total: number } {
  const wanted = q.toLowerCase();
  const has = (text: string): boolean => text.toLowerCase().includes(wanted);
  const byService = overridesByService(services, overrides);
  const found: PickedService[] = [];
  let left = limit;
  let matching = 0;
  for (const service of services) {
    const byHand = byService.get(service.name) ?? [];
    const isNamed = has(service.name) || byHand.some(({ instance }) => instance !== undefined && has(instance.url));
    const instances = isNamed ? service.instances : service.instances.filter(({ id, url }) => has(id) || has(url));
    if (instances.length === 0 && !isNamed) continue;
    matching++;
    if (found.length >= limit || (left === 0 && instances.length > 0)) continue;
    const shown: readonly InstanceReport[] = instances.slice(0, left);
    left -= shown.length;
    found.push({
      ...service,
      instances: shown,
      matching: instances.length,
      total: service.instances.length,
      byHand,
    });
  }
  return { services: found, matching, total: services.length };
}

function overridesByService(
  services: readonly ServiceReport[],
  overrides: readonly Override[],
): ReadonlyMap<string, readonly Override[]> {
  const found = new Map<string, Override[]>();
  if (overrides.length === 0) return found;
  const nameOf = new Map<string, string>();
  for (const { name, instances } of services) {
    nameOf.set(name, name);
    for (const { id } of instances) nameOf.set(id, name);
  }
  for (const each of overrides) {
    const name = each.instance?.service ?? nameOf.get(each.target);
    if (name !== undefined) found.set(name, [...(found.get(name) ?? []), each]);
  }
  return found;
}
