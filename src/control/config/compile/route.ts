/** One entry of `routes` to the snapshot's settings. */
import { mapSteps, type Steps } from '../../../base/slices.ts';
import { REALTIME_SERVICE } from '../../../data/contract/events.ts';
import type { KeyPath } from '../../../data/contract/options.ts';
import type { RouteAction, RouteSettings } from '../../../data/contract/snapshot.ts';
import { compileTranscode } from '../../grpc/transcode.ts';
import { nearest } from '../nearest.ts';
import type { RouteOptions } from '../schema/route.ts';
import { compileAction, compileMirror, compileRewrite } from './action.ts';
import type { Compilation } from './context.ts';
import { compileMatch, compileVersion, routeId } from './match.ts';
import { compilePolicies } from './policies.ts';

export type UnslottedRoute = Omit<RouteSettings, 'slot'>;

/** All routes of the document, in its order; `builtins` are the names of built-in services. */
export function* routeSteps(compilation: Compilation, builtins: readonly string[]): Steps<UnslottedRoute[]> {
  const names = new Set<string>();
  const ids = new Map<string, number>();
  warnOfMissedRedirects(compilation);
  return yield* mapSteps(compilation.config.document.routes, (options, index) => {
    const route = compileRoute(compilation, options, index, builtins, ids);
    if (options.name !== undefined) {
      if (names.has(options.name)) {
        compilation.problem(['routes', index, 'name'], 'another route has this name', {
          got: JSON.stringify(options.name),
        });
      }
      names.add(options.name);
    }
    return route;
  });
}

function compileRoute(
  compilation: Compilation,
  options: RouteOptions,
  index: number,
  builtins: readonly string[],
  ids: Map<string, number>,
): UnslottedRoute {
  const path = ['routes', index];
  const match = compileMatch(options.match);
  checkListeners(compilation, path, options);
  const version = compileVersion(compilation, path, match, options.version);
  const id = distinct(options.name ?? routeId(match, version), ids);
  const action = compileAction(compilation, path, options, match, builtins);
  const { pathSafety } = options;
  const transcode = compileTranscode(compilation, path, options.transcode, action);
  return {
    id,
    match,
    priority: options.priority,
    version,
    action,
    policies: compilePolicies(compilation, index, { id, services: servicesOf(action), action: action.kind }),
    maxRequestBytes: options.maxRequestSize ?? compilation.config.document.gateway.maxRequestSize,
    requestBufferBytes: options.requestBuffer ?? null,
    pathSafety,
    rewrite: compileRewrite(compilation, path, options.rewrite, match),
    upgrades: [...new Set(options.upgrades ?? (takesWebSocket(options) ? ['websocket'] : []))],
    mirror: compileMirror(options.mirror),
    ...(transcode === undefined ? {} : { transcode }),
  };
}

/** Two routes may match the same when their priority or the like differs; the later one gets a number. */
function distinct(id: string, ids: Map<string, number>): string {
  const count = (ids.get(id) ?? 0) + 1;
  ids.set(id, count);
  return count === 1 ? id : `${id} #${count}`;
}

/** What a client may open a WebSocket to though the route does not say so. */
function takesWebSocket(options: RouteOptions): boolean {
  if (options.builtin === 'realtime' || options.builtin === REALTIME_SERVICE) return true;
  return options.service !== undefined || (options as Readonly<Record<string, unknown>>)['subscribe'] !== undefined;
}

export function servicesOf(action: RouteAction): string[] {
  if (action.kind === 'aggregate') return [...new Set(action.aggregate.parts.map(({ service }) => service))];
  return action.kind === 'service' ? action.targets.map(({ service }) => service) : [];
}

/** A condition that no listener fulfils is a mistake. */
function checkListeners(compilation: Compilation, path: KeyPath, { match: { listener } }: RouteOptions): void {
  if (listener === undefined) return;
  const { listeners } = compilation.config.document.gateway;
  const known = listeners?.flatMap(({ name }) => name ?? []) ?? ['main'];
  for (const name of listener) {
    if (known.includes(name)) continue;
    const suggestion = nearest(name, known);
    compilation.problem([...path, 'match', 'listener'], 'no listener has this name', {
      got: JSON.stringify(name),
      ...(suggestion === undefined ? { expected: known.join(', ') || 'a name in gateway.listeners' } : { suggestion }),
    });
  }
}

/** `/*` over http to https says "everything", and goes after every route with a longer path. */
function warnOfMissedRedirects(compilation: Compilation): void {
  const { routes } = compilation.config.document;
  for (const [index, { match, redirect, priority }] of routes.entries()) {
    if (redirect === undefined || match.scheme !== 'http' || match.path !== '/*') continue;
    const missed = routes.filter(
      (other) =>
        other.match.scheme === undefined &&
        other.match.listener === undefined &&
        (other.priority > priority || (other.priority === priority && other.match.path !== '/*')),
    ).length;
    if (missed === 0) continue;
    const what = missed === 1 ? 'another route goes' : `${missed} other routes go`;
    compilation.warning(['routes', index], `${what} before this one, also over http`, {
      expected: 'a higher priority, if it is to redirect everything',
    });
  }
}
