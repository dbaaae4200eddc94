/**
 * What a route asks besides host, path and method, as keys that can be compared: one condition covers another when
 * every request that fulfils the second fulfils the first. For reachability.ts only, and careful like it: two
 * conditions that are written differently count as different.
 */
import { servesMethod } from '../../data/contract/route-order.ts';
import { versionKey, versionPlace } from '../../data/contract/route-version.ts';
import type { FieldMatch, RouteSettings } from '../../data/contract/snapshot.ts';

export interface Conditions {
  /** What must hold for the route to match. */
  readonly own: ReadonlySet<string>;
  /** The same, and what follows from it: a field with a value is present. */
  readonly implied: ReadonlySet<string>;
  /** Why they can never hold together, or null. */
  readonly contradiction: string | null;
}

export function conditionsOf(route: RouteSettings): Conditions {
  const { headers, query } = route.match;
  const own = new Set<string>();
  const implied = new Set<string>();
  for (const [place, fields] of [
    ['header', headers],
    ['query', query],
  ] as const) {
    for (const { name, test } of fields) {
      own.add(keyOf(place, name, test));
      implied.add(keyOf(place, name, test));
      if (!('present' in test)) implied.add(keyOf(place, name, { present: true }));
    }
  }
  const { version } = route;
  if (version !== null && version.by.kind !== 'path') {
    const key = `version ${versionPlace(version)} ${versionKey(version.name)}`;
    // A default version takes more requests: those that name none.
    own.add(version.isDefault ? `${key} or none` : key);
    implied.add(`${key} or none`);
    if (!version.isDefault) implied.add(key);
  }
  return { own, implied, contradiction: contradictionIn(headers) ?? absentAndPresent(query) };
}

/** Does whatever fulfils `inner` fulfil `outer`? */
export function coversConditions(outer: Conditions, inner: Conditions): boolean {
  for (const key of outer.own) if (!inner.implied.has(key)) return false;
  return true;
}

/** Empty is any method; GET serves HEAD as well. */
export function coversMethods(outer: readonly string[], inner: readonly string[]): boolean {
  if (outer.length === 0) return true;
  if (inner.length === 0) return false;
  return inner.every((method) => servesMethod(outer, method));
}

function keyOf(place: string, name: string, test: FieldMatch['test']): string {
  return JSON.stringify([place, name, test]);
}

/** A header field has one value; a query parameter may come several times, with a different one each. */
function contradictionIn(headers: readonly FieldMatch[]): string | null {
  const values = new Map<string, string>();
  for (const { name, test } of headers) {
    if (!('equals' in test)) continue;
    const before = values.get(name);
    if (before !== undefined && before !== test.equals) {
      return `can never match: the header field ${name} cannot have two values`;
    }
    values.set(name, test.equals);
  }
  return absentAndPresent(headers);
}

function absentAndPresent(fields: readonly FieldMatch[]): string | null {
  for (const { name, test } of fields) {
    if (!('present' in test) || test.present) continue;
    if (fields.some((other) => other.name === name && !('present' in other.test && !other.test.present))) {
      return `can never match: ${name} is asked for and forbidden`;
    }
  }
  return null;
}
