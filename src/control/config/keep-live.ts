/** What stays the same over a reload keeps its objects, so that neither it nor what it led to is made or sent anew. */
import { isSameData } from '../../base/same-data.ts';
import { mapSteps, type Steps } from '../../base/slices.ts';
import type { Snapshot } from '../../data/contract/snapshot.ts';

/** The next snapshot with the live object for each route and service that says the same. What is new gets frozen. */
export function* keepLiveSteps(next: Snapshot, live: Snapshot): Steps<Snapshot> {
  const { services, routes, ...rest } = next;
  return Object.freeze({
    ...deepFreeze(rest),
    services: Object.freeze(yield* keepSame(live.services, services, ({ name }) => name)),
    routes: Object.freeze(yield* keepSame(live.routes, routes, ({ id }) => id)),
  });
}

/** The live object for each that says the same. */
function* keepSame<Thing extends object>(
  live: readonly Thing[],
  fresh: readonly Thing[],
  idOf: (thing: Thing) => string,
): Steps<Thing[]> {
  const before = new Map(live.map((thing) => [idOf(thing), thing]));
  const known = new WeakMap<object, object>();
  return yield* mapSteps(fresh, (thing) => {
    const former = before.get(idOf(thing));
    return former !== undefined && isSameData(former, thing, known) ? former : deepFreeze(thing);
  });
}

/** A snapshot that was just made, or has just arrived: what another thread froze arrives as it was before. */
export function* freezeSteps(snapshot: Snapshot): Steps<Snapshot> {
  for (const things of [snapshot.services, snapshot.routes])
    for (const thing of things) {
      deepFreeze(thing);
      yield;
    }
  return deepFreeze(snapshot);
}

export function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const inner of Object.values(value)) deepFreeze(inner);
  }
  return value;
}
