/** `match` and `version` of a route to the snapshot's, and the id of a route that has no name. */

import { LISTENER_FIELD, SCHEME_FIELD } from '../../../data/contract/connection-fields.ts';
import type { KeyPath } from '../../../data/contract/options.ts';
import { parsePattern } from '../../../data/contract/route-pattern.ts';
import type { FieldMatch, RouteMatch, RouteVersion } from '../../../data/contract/snapshot.ts';
import type { FieldTestOptions, MatchOptions, VersionOptions } from '../schema/match.ts';
import { showValue } from '../secrecy.ts';
import type { Compilation } from './context.ts';

export function compileMatch(options: MatchOptions): RouteMatch {
  return {
    hosts: [...new Set(options.hosts ?? [])],
    path: pathMatch(options),
    methods: options.grpc === undefined ? [...new Set(options.methods ?? [])] : ['POST'],
    headers: [
      ...Object.entries(options.headers).map(([name, test]) => fieldMatch(name.toLowerCase(), test)),
      ...ofConnection(options),
    ],
    query: Object.entries(options.query).map(([name, test]) => fieldMatch(name, test)),
  };
}

function pathMatch({ path, grpc }: MatchOptions): RouteMatch['path'] {
  if (grpc !== undefined) return { kind: 'pattern', pattern: `/${grpc.service}/${grpc.method ?? '*'}` };
  // That there is one of both is checked by the schema.
  return typeof path === 'object' ? { kind: 'regex', source: path.regex } : { kind: 'pattern', pattern: path ?? '/' };
}

/** Conditions on the connection are conditions on fields that no client can send (contract/connection-fields.ts). */
function ofConnection({ scheme, listener }: MatchOptions): FieldMatch[] {
  const tests: FieldMatch[] = [];
  if (scheme !== undefined) tests.push(fieldMatch(SCHEME_FIELD, scheme));
  if (listener === undefined) return tests;
  const names = [...new Set(listener)].sort();
  const test: FieldTestOptions =
    names.length === 1
      ? names[0]!
      : { regex: names.map((name) => name.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('|') };
  return [...tests, fieldMatch(LISTENER_FIELD, test)];
}

function fieldMatch(name: string, test: FieldTestOptions): FieldMatch {
  return { name, test: typeof test === 'string' ? { equals: test } : test };
}

export function compileVersion(
  compilation: Compilation,
  path: KeyPath,
  match: RouteMatch,
  options: VersionOptions | undefined,
): RouteVersion | null {
  if (options === undefined) return null;
  const { name, by, deprecated, sunset, link } = options;
  if (by === 'path') {
    if (options.default) {
      compilation.problem([...path, 'version', 'default'], 'needs a version that requests can leave out', {
        expected: 'by: { header: ... } or by: { accept: ... }',
      });
    }
    const segments = match.path.kind === 'pattern' ? parsePattern(match.path.pattern).segments : null;
    if (segments !== null && !segments.some((segment) => segment.kind === 'literal' && segment.text === name)) {
      compilation.problem(
        [...path, 'version', 'name'],
        'match.path has no such segment, though the version is named by path',
        {
          got: showValue(name),
        },
      );
    }
  }
  return {
    name,
    by: placeOf(by),
    isDefault: options.default,
    deprecatedAtSeconds: deprecated === undefined ? null : Math.floor(deprecated / 1_000),
    // RFC 9110 §5.6.7: IMF-fixdate, which toUTCString gives.
    sunset: sunset === undefined ? null : new Date(sunset).toUTCString(),
    link: link ?? null,
  };
}

function placeOf(by: VersionOptions['by']): RouteVersion['by'] {
  if (by === 'path') return { kind: 'path' };
  if ('header' in by) return { kind: 'header', header: by.header.toLowerCase() };
  return { kind: 'accept', mediaType: by.accept.toLowerCase() };
}

/**
 * `GET,POST api.example.com/v1/projects/* [x-beta=1] v2`: what the route matches, so that it keeps its counts in memory
 * as long as it matches the same, wherever it stands in the file.
 */
export function routeId(match: RouteMatch, version: RouteVersion | null): string {
  const methods = match.methods.length === 0 ? '' : `${[...match.methods].sort().join(',')} `;
  const hosts = [...match.hosts].sort().join(',');
  const path = match.path.kind === 'pattern' ? match.path.pattern : `~${match.path.source}`;
  const tests = [...match.headers.map(testText), ...match.query.map((test) => `?${testText(test)}`)].sort();
  const conditions = tests.length === 0 ? '' : ` [${tests.join(' ')}]`;
  const named = version === null || version.by.kind === 'path' ? '' : ` ${version.name}`;
  return `${methods}${hosts}${path}${conditions}${named}`;
}

function testText({ name, test }: FieldMatch): string {
  if ('equals' in test) return `${name}=${test.equals}`;
  if ('regex' in test) return `${name}~${test.regex}`;
  return test.present ? name : `!${name}`;
}
