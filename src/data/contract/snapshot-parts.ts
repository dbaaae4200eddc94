/**
 * A snapshot on its way to a worker. What the worker has from the one before is not sent again; the rest travels in
 * parts, each small enough to be read between two requests. Both ends count from the snapshot that was sent last, so
 * parts are taken in the order in which they were made.
 */
import type { Secrets, ServiceSettings, Snapshot } from './snapshot.ts';
import type { ValidateSettings } from './validation.ts';

type Route = Snapshot['routes'][number];

export interface SnapshotHead {
  readonly rest: Omit<Snapshot, 'services' | 'routes'>;
  /** Null: those that the worker has. */
  readonly secrets: Secrets | null;
  /** Of each service its place in the snapshot before, or -1 when a part brings it. */
  readonly services: Int32Array<ArrayBuffer>;
  readonly routes: Int32Array<ArrayBuffer>;
  /** How many parts there are. */
  readonly parts: number;
}

export interface SnapshotPart {
  readonly services: readonly (readonly [index: number, settings: ServiceSettings])[];
  readonly routes: readonly (readonly [index: number, settings: Route])[];
}

export interface SnapshotParts {
  readonly head: SnapshotHead;
  readonly parts: readonly SnapshotPart[];
}

/** What a worker has. */
export interface Received {
  readonly snapshot: Snapshot;
  readonly secrets: Secrets;
}

const IN_A_PART = 50;

/** `former` is what was sent to the worker before; null for nothing. The same objects count as unchanged. */
export function splitSnapshot(snapshot: Snapshot, secrets: Secrets, former: Received | null): SnapshotParts {
  const { services, routes, ...rest } = snapshot;
  const known = { services: former?.snapshot.services ?? [], routes: former?.snapshot.routes ?? [] };
  const servicePlaces = placesIn(services, known.services);
  const routePlaces = placesIn(routes, known.routes);
  const parts: SnapshotPart[] = [];
  for (const group of groups(missing(services, servicePlaces), () => null)) parts.push({ services: group, routes: [] });
  for (const group of groups(missing(routes, routePlaces), sharedBy)) parts.push({ services: [], routes: group });
  const head: SnapshotHead = {
    rest,
    secrets: former !== null && isSame(secrets, former.secrets) ? null : secrets,
    services: servicePlaces,
    routes: routePlaces,
    parts: parts.length,
  };
  return { head, parts };
}

/** The snapshot, with the worker's own objects for what it had before. */
export function joinSnapshot(head: SnapshotHead, parts: readonly SnapshotPart[], former: Received | null): Received {
  const services = former === null ? [] : Array.from(head.services, (place) => former.snapshot.services[place]!);
  const routes = former === null ? [] : Array.from(head.routes, (place) => former.snapshot.routes[place]!);
  for (const part of parts) {
    for (const [index, settings] of part.services) services[index] = settings;
    for (const [index, settings] of part.routes) routes[index] = settings;
  }
  return {
    snapshot: { ...head.rest, services, routes },
    secrets: head.secrets ?? former?.secrets ?? {},
  };
}

function placesIn(things: readonly object[], former: readonly object[]): Int32Array<ArrayBuffer> {
  const places = new Map(former.map((thing, at) => [thing, at]));
  return Int32Array.from(things, (thing) => places.get(thing) ?? -1);
}

function missing<Thing>(things: readonly Thing[], places: Int32Array): (readonly [number, Thing])[] {
  return things.flatMap((thing, index) => (places[index] === -1 ? [[index, thing] as const] : []));
}

/** What has something large in common stays together, since each part would carry a copy of it. */
function groups<Thing>(
  things: readonly (readonly [number, Thing])[],
  shared: (thing: Thing) => object | null,
): (readonly [number, Thing])[][] {
  const byShared = new Map<object, (readonly [number, Thing])[]>();
  const made: (readonly [number, Thing])[][] = [];
  let open: (readonly [number, Thing])[] = [];
  for (const each of things) {
    const common = shared(each[1]);
    const group = common === null ? open : (byShared.get(common) ?? []);
    if (group.length === 0) made.push(group);
    group.push(each);
    if (common !== null) byShared.set(common, group);
    else if (group.length === IN_A_PART) open = [];
  }
  return made;
}

/** The definitions of an OpenAPI document, which its operations share. */
function sharedBy({ policies }: Route): object | null {
  const validate = policies.find(({ name }) => name === 'validate')?.options as ValidateSettings | undefined;
  return validate === undefined || Object.keys(validate.definitions).length === 0 ? null : validate.definitions;
}

function isSame(a: Secrets, b: Secrets): boolean {
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => a[key] === b[key]);
}
