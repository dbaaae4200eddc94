/**
 * Which policies a route has: what the gateway, its services and the route itself say, for each policy of the
 * catalogue, and the defaults of a route without any.
 */

import { POLICY_OPTIONS } from '../../../data/catalog.ts';
import type { KeyPath, PolicyLevel, PolicyOptionsDefinition, RouteFacts } from '../../../data/contract/options.ts';
import type { PolicySettings } from '../../../data/contract/snapshot.ts';
import type { Compilation } from './context.ts';

interface Said {
  readonly level: PolicyLevel | 'default';
  readonly path: KeyPath;
  readonly value: unknown;
}

/** `index` is the route's place in the document. */
export function compilePolicies(
  compilation: Compilation,
  index: number,
  route: RouteFacts,
  definitions: readonly PolicyOptionsDefinition[] = POLICY_OPTIONS,
): PolicySettings[] {
  const auth = definitions.find(({ key }) => key === 'auth');
  const facts: RouteFacts = {
    ...route,
    isPublic: auth !== undefined && saidOf(compilation, auth, index, route).at(-1)?.value === 'public',
  };
  return definitions.flatMap((definition) => {
    if (!isSaid(compilation, definition, index, route)) return [];
    const said = saidOf(compilation, definition, index, route);
    const end = said.findLastIndex(({ value }) => endsPolicy(definition, value));
    const holding = definition.combine === 'all' ? said.slice(end + 1) : said.slice(-1);
    return holding
      .filter(({ value }) => !endsPolicy(definition, value))
      .flatMap(({ level, path, value }) => {
        const options = value as never;
        const owner = `${path[0] === 'routes' ? `route/${route.id}` : path.slice(0, -1).join('/')}/${definition.key}`;
        if (definition.compile === undefined) return [{ name: definition.policy ?? definition.key, options }];
        return definition.compile(options, compilation.options(path, owner), { ...facts, level });
      });
  });
}

function endsPolicy(definition: PolicyOptionsDefinition, value: unknown): boolean {
  return value === 'off' || (definition.key === 'auth' && value === 'public');
}

/** Of most routes most policies are said nothing, which costs them no more than this. */
function isSaid(
  { config: { document } }: Compilation,
  { key, whenAbsent }: PolicyOptionsDefinition,
  index: number,
  { services }: RouteFacts,
): boolean {
  if (whenAbsent !== undefined) return true;
  const has = (owner: object | undefined): boolean =>
    (owner as Record<string, unknown> | undefined)?.[key] !== undefined;
  return has(document.gateway) || has(document.routes[index]) || services.some((name) => has(document.services[name]));
}

/** From the widest level to the nearest. */
function saidOf(
  compilation: Compilation,
  definition: PolicyOptionsDefinition,
  index: number,
  route: RouteFacts,
): Said[] {
  const { document } = compilation.config;
  const { key, levels } = definition;
  const said: Said[] = [];
  const add = (level: PolicyLevel, path: KeyPath, owner: object | undefined): void => {
    const value = (owner as Record<string, unknown> | undefined)?.[key];
    if (levels.includes(level) && value !== undefined) said.push({ level, path: [...path, key], value });
  };
  add('gateway', ['gateway'], document.gateway);
  // Of a route that sends to several services none can speak for the others.
  const [service] = route.services;
  if (route.services.length === 1 && service !== undefined)
    add('service', ['services', service], document.services[service]);
  add('route', ['routes', index], document.routes[index]);
  if (said.length === 0) said.push(...whenAbsent(definition, index));
  return said;
}

/**
 * A route without settings on any level gets the policy's default. This is how "everything needs
 * authentication unless a route says public" holds: the policy `auth` of the catalogue has a `whenAbsent`, so a route
 * without the key is as closed as one that asks for authentication, and forgetting it leaves nothing open. Where the
 * catalogue has no policy `auth`, nothing could check credentials and every route is public. Built-in endpoints do not
 * come by here.
 */
function whenAbsent(definition: PolicyOptionsDefinition, index: number): Said[] {
  if (definition.whenAbsent === undefined) return [];
  const value = definition.schema.parse(definition.whenAbsent());
  return [{ level: 'default', path: ['routes', index, definition.key], value }];
}
