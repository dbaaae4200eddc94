/** The action of a route, and the keys that go with one kind of action only: split, rewrite, mirror, upgrades. */
import { compileAggregate } from '../../../data/aggregate/aggregate.options.ts';
import { EVENTS_SERVICE } from '../../../data/contract/events.ts';
import type { KeyPath } from '../../../data/contract/options.ts';
import { paramNames, parsePattern } from '../../../data/contract/route-pattern.ts';
import type {
  MirrorSettings,
  RewriteSettings,
  RouteAction,
  RouteMatch,
  SplitSettings,
  WeightedTarget,
} from '../../../data/contract/snapshot.ts';
import { compileHandler } from '../../../data/policies/handler.options.ts';
import { compileTicket } from '../../../data/policies/ticket.options.ts';
import { nearest } from '../nearest.ts';
import type { RouteOptions } from '../schema/route.ts';
import { showValue } from '../secrecy.ts';
import type { Compilation } from './context.ts';
import { fixedResponse } from './resilience.ts';

export const BUILTIN = 'builtin:';

export function compileAction(
  compilation: Compilation,
  path: KeyPath,
  options: RouteOptions,
  match: RouteMatch,
  builtins: readonly string[],
): RouteAction {
  checkCompanions(compilation, path, options);
  if (options.respond !== undefined) return { kind: 'respond', response: fixedResponse(options.respond) };
  if (options.redirect !== undefined) return redirect(compilation, path, options.redirect, match);
  if (isEventAction(options))
    return { kind: 'service', targets: [{ service: EVENTS_SERVICE, weight: 1 }], split: null };
  if (options.aggregate !== undefined) {
    const at = [...path, 'aggregate'];
    const aggregate = compileAggregate(options.aggregate, matchedNames(match), (message, detail) =>
      compilation.problem(at, message, detail),
    );
    return { kind: 'aggregate', aggregate };
  }
  if (options.handler !== undefined) {
    const at = [...path, 'handler'];
    const handler = compileHandler(options.handler, compilation.options(at, `${at.join('/')}`));
    return { kind: 'handler', handler };
  }
  if (options.ticket !== undefined)
    return { kind: 'ticket', ...compileTicket(options.ticket, compilation.options([...path, 'ticket'], '')) };
  const targets =
    options.builtin === undefined
      ? weightedTargets(compilation, path, options)
      : [builtin(compilation, path, options.builtin, builtins)];
  return { kind: 'service', targets, split: split(compilation, path, options, targets) };
}

/** `publish` and `subscribe`, which are policies too: those tell the event bridge what the route is about. */
function isEventAction(options: object): boolean {
  const keys = options as Readonly<Record<string, unknown>>;
  return keys['publish'] !== undefined || keys['subscribe'] !== undefined;
}

/** What would do nothing beside an action that asks no service. */
function checkCompanions(compilation: Compilation, path: KeyPath, options: RouteOptions): void {
  const action = (['respond', 'redirect', 'aggregate', 'handler', 'ticket', 'publish', 'subscribe'] as const).find(
    (key) => (options as Readonly<Record<string, unknown>>)[key] !== undefined,
  );
  if (options.transcode !== undefined && options.mirror !== undefined)
    compilation.problem([...path, 'mirror'], 'cannot copy calls that transcode makes');
  if (action === undefined) return;
  for (const key of ['rewrite', 'split', 'mirror', 'upgrades'] as const) {
    const value = options[key];
    if (value === undefined || (Array.isArray(value) && value.length === 0)) continue;
    compilation.problem([...path, key], `has no effect beside ${action}`);
  }
}

function builtin(compilation: Compilation, path: KeyPath, name: string, builtins: readonly string[]): WeightedTarget {
  const full = name.startsWith(BUILTIN) ? name : BUILTIN + name;
  if (!builtins.includes(full)) {
    const known = builtins.map((one) => one.slice(BUILTIN.length));
    const suggestion = nearest(full.slice(BUILTIN.length), known);
    compilation.problem([...path, 'builtin'], 'there is no such built-in service', {
      got: showValue(name),
      expected: known.length === 1 ? (known[0] ?? '') : `one of ${known.join(', ')}`,
      ...(suggestion === undefined ? {} : { suggestion }),
    });
  }
  return { service: full, weight: 1 };
}

/** That the services exist has been checked by crosschecks.ts. */
function weightedTargets(compilation: Compilation, path: KeyPath, { service }: RouteOptions): WeightedTarget[] {
  if (typeof service === 'string') return [{ service, weight: 1 }];
  const targets = service ?? [];
  const seen = new Set<string>();
  for (const [index, target] of targets.entries()) {
    if (seen.has(target.service)) {
      compilation.problem([...path, 'service', index, 'service'], 'is in the list already', {
        got: showValue(target.service),
      });
    }
    seen.add(target.service);
  }
  if (targets.every(({ weight }) => weight === 0)) {
    compilation.problem([...path, 'service'], 'every weight is 0', {
      expected: 'a weight above 0 for one service at least',
    });
  }
  return targets;
}

function split(
  compilation: Compilation,
  path: KeyPath,
  { split: options }: RouteOptions,
  targets: readonly WeightedTarget[],
): SplitSettings | null {
  if (options === undefined) return null;
  const names = [...new Set(targets.map(({ service }) => service))];
  if (targets.length < 2) {
    compilation.problem([...path, 'split'], 'needs a list of services to choose from', {
      expected: 'service: [{ service, weight }, ...]',
    });
  }
  for (const kind of ['headers', 'cookies'] as const) {
    for (const [index, rule] of options[kind].entries()) {
      if (names.includes(rule.service)) continue;
      const suggestion = nearest(rule.service, names);
      compilation.problem([...path, 'split', kind, index, 'service'], 'is not in the list of services of the route', {
        got: showValue(rule.service),
        expected: `one of ${names.join(', ')}`,
        ...(suggestion === undefined ? {} : { suggestion }),
      });
    }
  }
  const { sticky } = options;
  return {
    headers: options.headers.map((rule) => ({ ...rule, name: rule.name.toLowerCase() })),
    cookies: options.cookies,
    stickyCookie: sticky === undefined ? null : { name: sticky.cookie, ttlSeconds: Math.round(sticky.ttl / 1_000) },
  };
}

const REQUEST_PARTS = ['path', 'query', 'search', 'host', 'hostname'];

function redirect(
  compilation: Compilation,
  path: KeyPath,
  options: NonNullable<RouteOptions['redirect']>,
  match: RouteMatch,
): RouteAction {
  const { location, status } = typeof options === 'string' ? { location: options, status: 308 as const } : options;
  const at = typeof options === 'string' ? [...path, 'redirect'] : [...path, 'redirect', 'location'];
  const names = matchedNames(match);
  for (const [, part, param] of location.matchAll(/\{([^}]*)\}|:([A-Za-z_][A-Za-z0-9_]*)/g)) {
    if (part !== undefined && !REQUEST_PARTS.includes(part)) {
      compilation.problem(at, `there is no {${part}}`, { expected: REQUEST_PARTS.map((one) => `{${one}}`).join(', ') });
    }
    if (param !== undefined && !names.includes(param)) unknownParameter(compilation, at, param, names);
  }
  const chosen = hostOfCaller(location);
  if (chosen !== undefined)
    compilation.warning(at, `leads to whatever host a link names in ${chosen}`, {
      got: location,
      expected: 'a host that is written out, {host}, or a parameter with the rest of the name behind it',
    });
  // The engine's templates have the form ${path}, which a file would take for an environment variable.
  return { kind: 'redirect', status, location: location.replace(/\{([a-z]+)\}/g, (_, part) => `$\{${part}}`) };
}

/** The part of a location by which the author of a link could choose its host (an open redirect). */
function hostOfCaller(location: string): string | undefined {
  if (location.startsWith('{query}')) return '{query}';
  // A path and a query with its mark end the host.
  const [, host = ''] = /^(?:[a-z][a-z0-9+.-]*:)?\/\/((?:(?!\{path\}|\{search\})[^/?#])*)/i.exec(location) ?? [];
  if (host.includes('{query}')) return '{query}';
  return /:[A-Za-z_][A-Za-z0-9_]*$/.exec(host)?.[0];
}

export function compileRewrite(
  compilation: Compilation,
  path: KeyPath,
  options: RouteOptions['rewrite'],
  match: RouteMatch,
): RewriteSettings | null {
  if (options === undefined) return null;
  const at = [...path, 'rewrite'];
  if (options.path !== undefined) {
    const target = parsePattern(options.path);
    const names = matchedNames(match);
    for (const name of paramNames(target)) {
      if (!names.includes(name)) unknownParameter(compilation, [...at, 'path'], name, names);
    }
    const hasRest = match.path.kind === 'pattern' && parsePattern(match.path.pattern).wildcard;
    if (target.wildcard && !hasRest) {
      compilation.problem([...at, 'path'], 'has a "*", but match.path has none to fill it', {
        got: showValue(options.path),
      });
    }
  }
  if (options.stripPrefix !== undefined && !canBegin(match, options.stripPrefix)) {
    compilation.problem([...at, 'stripPrefix'], 'no path that the route matches begins like this', {
      got: showValue(options.stripPrefix),
    });
  }
  return {
    stripPrefix: options.stripPrefix ?? null,
    addPrefix: options.addPrefix ?? null,
    path: options.path ?? null,
    regex:
      options.regex === undefined ? null : { source: options.regex.pattern, replacement: options.regex.replacement },
    host: options.host ?? null,
    response:
      options.response === 'off'
        ? null
        : {
            paths: Object.entries(options.response?.paths ?? {}).map(([from, to]) => [trimmed(from), trimmed(to)]),
            hosts: options.response?.hosts ?? [],
          },
  };
}

/** `/` is the prefix of every path. */
function trimmed(prefix: string): string {
  return prefix === '/' ? '' : prefix;
}

/** Can a path that matches begin with the prefix? Yes where it is not certain. */
function canBegin(match: RouteMatch, prefix: string): boolean {
  if (match.path.kind === 'regex') return true;
  const { segments, wildcard } = parsePattern(match.path.pattern);
  const wanted = parsePattern(prefix).segments;
  return wanted.every((want, index) => {
    const have = segments[index];
    if (have === undefined) return wildcard;
    return have.kind === 'param' || (want.kind === 'literal' && have.text === want.text);
  });
}

function matchedNames(match: RouteMatch): string[] {
  if (match.path.kind === 'pattern') return paramNames(parsePattern(match.path.pattern));
  return [...match.path.source.matchAll(/\(\?<([A-Za-z_][A-Za-z0-9_]*)>/g)].map((found) => found[1] ?? '');
}

function unknownParameter(compilation: Compilation, at: KeyPath, name: string, names: readonly string[]): void {
  const suggestion = nearest(name, names);
  compilation.problem(at, `match.path has no parameter ":${name}"`, {
    ...(names.length === 0 ? {} : { expected: names.map((known) => `:${known}`).join(', ') }),
    ...(suggestion === undefined ? {} : { suggestion: `:${suggestion}` }),
  });
}

export function compileMirror(options: RouteOptions['mirror']): MirrorSettings | null {
  if (options === undefined) return null;
  return { service: options.service, ratio: options.ratio, maxBodyBytes: options.maxBodySize };
}
