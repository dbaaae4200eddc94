/**
 * What another configuration would change, by name: listeners, services, routes, and the keys of features. Compares
 * compiled configurations, so that two ways to write one thing are no difference and a default that moved is one.
 * Values stay out of it, since some are secrets. Used by reload, dry run, history and console.
 */
import type { Compiled } from './compile.ts';

export interface ChangedThing {
  readonly id: string;
  /** What of it differs, such as `["policies", "timeouts"]`. */
  readonly keys: readonly string[];
}

export interface NamedChanges {
  readonly added: readonly string[];
  readonly removed: readonly string[];
  readonly changed: readonly ChangedThing[];
}

export interface Difference {
  readonly listeners: NamedChanges;
  readonly services: NamedChanges;
  readonly routes: NamedChanges;
  /** Routes that stay, in another order. */
  readonly reordered: boolean;
  /** Keys of `gateway`, and sections such as `identity`, whose meaning differs. */
  readonly settings: readonly string[];
  /** True when a secret has another value, though everything else may read the same. */
  readonly secrets: boolean;
}

export function difference(before: Compiled, after: Compiled): Difference {
  const [from, to] = [before.snapshot, after.snapshot];
  const kept = (routes: typeof from.routes, others: typeof from.routes): string => {
    const known = new Set(others.map(({ id }) => id));
    return JSON.stringify(routes.map(({ id }) => id).filter((id) => known.has(id)));
  };
  return {
    listeners: compare(from.listeners, to.listeners, ({ id }) => id.split('@')[0] ?? id, ['id', 'port']),
    services: compare(from.services, to.services, ({ name }) => name, ['slot']),
    routes: compare(from.routes, to.routes, ({ id }) => id, ['slot']),
    reordered: kept(from.routes, to.routes) !== kept(to.routes, from.routes),
    settings: [
      ...differentKeys(from.gateway, to.gateway).map((key) => `gateway.${key}`),
      ...differentKeys(before.plan.gateway, after.plan.gateway).map((key) => `gateway.${key}`),
      ...differentKeys(before.plan.sections, after.plan.sections),
      ...(before.plan.workers === after.plan.workers ? [] : ['gateway.workers']),
      ...(before.plan.spareWorker === after.plan.spareWorker ? [] : ['gateway.spareWorker']),
      ...(before.plan.documentDataDir === after.plan.documentDataDir ? [] : ['gateway.dataDir']),
      ...(text(before.plan.endpoints) === text(after.plan.endpoints) ? [] : ['gateway.endpoints']),
    ],
    secrets: text(before.secrets) !== text(after.secrets),
  };
}

export function isEmpty({ listeners, services, routes, reordered, settings, secrets }: Difference): boolean {
  const none = ({ added, removed, changed }: NamedChanges): boolean =>
    added.length + removed.length + changed.length === 0;
  return none(listeners) && none(services) && none(routes) && !reordered && settings.length === 0 && !secrets;
}

function compare<Thing extends object>(
  before: readonly Thing[],
  after: readonly Thing[],
  idOf: (thing: Thing) => string,
  ignored: readonly string[],
): NamedChanges {
  const old = new Map(before.map((thing) => [idOf(thing), thing]));
  const fresh = new Map(after.map((thing) => [idOf(thing), thing]));
  const changed: ChangedThing[] = [];
  for (const [id, thing] of fresh) {
    const was = old.get(id);
    const keys = was === undefined ? [] : differentKeys(was, thing).filter((key) => !ignored.includes(key));
    if (keys.length > 0) changed.push({ id, keys });
  }
  return {
    added: [...fresh.keys()].filter((id) => !old.has(id)),
    removed: [...old.keys()].filter((id) => !fresh.has(id)),
    changed,
  };
}

function differentKeys(before: object, after: object): string[] {
  const keys = new Set([...Object.keys(before), ...Object.keys(after)]);
  const [old, fresh] = [before as Record<string, unknown>, after as Record<string, unknown>];
  return [...keys].filter((key) => text(old[key]) !== text(fresh[key]));
}

/** Slots of shared memory are not configuration: the same service may get another one. */
function text(value: unknown): string {
  return JSON.stringify(value, (key, inner: unknown) => (key === 'slot' ? undefined : inner)) ?? '';
}
