/**
 * What one key says about another, checked on the document as it was written, so that a missing service is reported in
 * the same run as a mistyped number elsewhere: every service that is named exists, and a route has exactly one action.
 * Tolerates anything at any place; what has a wrong type is the schema's to complain about.
 */
import type { KeyPath } from '../../data/contract/options.ts';
import { keysAt } from './json-schema.ts';
import { nearest } from './nearest.ts';
import type { Problem } from './problems.ts';
import { formatKey } from './problems.ts';
import { showValue } from './secrecy.ts';
import type { ConfigSource } from './source.ts';
import { isMapping } from './source.ts';

const ACTIONS = [
  'service',
  'respond',
  'redirect',
  'aggregate',
  'handler',
  'ticket',
  'builtin',
  'publish',
  'subscribe',
] as const;

export interface CrossProblems {
  readonly problems: readonly Problem[];
  /** The key of each. */
  readonly paths: readonly KeyPath[];
}

export function crossProblems(document: unknown, source: ConfigSource): CrossProblems {
  if (!isMapping(document)) return { problems: [], paths: [] };
  const checker = new CrossChecker(source, isMapping(document['services']) ? Object.keys(document['services']) : []);
  if (isMapping(document['services'])) {
    for (const [name, service] of Object.entries(document['services'])) checker.service(name, service);
  }
  if (Array.isArray(document['routes'])) {
    for (const [index, route] of document['routes'].entries()) checker.route(index, route);
  }
  return checker;
}

/** `servise: a` is one mistake and not two. Makes the JSON Schema, so ask only where there is a mistake. */
function hasMistypedAction(route: Record<string, unknown>): boolean {
  const known = keysAt(['routes', 0]);
  return Object.keys(route).some((key) => {
    const meant = known.includes(key) ? undefined : nearest(key, known);
    return ACTIONS.some((action) => action === meant);
  });
}

class CrossChecker {
  readonly problems: Problem[] = [];
  readonly paths: KeyPath[] = [];
  readonly #source: ConfigSource;
  readonly #services: readonly string[];

  constructor(source: ConfigSource, services: readonly string[]) {
    this.#source = source;
    this.#services = services;
  }

  service(name: string, service: unknown): void {
    if (!isMapping(service)) return;
    if (isMapping(service['fallback']))
      this.#reference(service['fallback']['service'], ['services', name, 'fallback', 'service']);
  }

  route(index: number, route: unknown): void {
    if (!isMapping(route)) return;
    const path: KeyPath = ['routes', index];
    const actions = ACTIONS.filter((action) => route[action] !== undefined);
    const [first, second] = actions;
    if (first === undefined && !hasMistypedAction(route))
      this.#complain(path, 'the route has no action', { expected: `one of ${ACTIONS.join(', ')}` });
    if (second !== undefined)
      this.#complain([...path, second], `the route has an action already: ${first}`, {
        expected: 'exactly one action',
      });

    const { aggregate } = route;
    if (isMapping(aggregate) && isMapping(aggregate['parts'])) {
      for (const [name, part] of Object.entries(aggregate['parts']))
        if (isMapping(part)) this.#reference(part['service'], [...path, 'aggregate', 'parts', name, 'service']);
    }
    const service = route['service'];
    if (typeof service === 'string') this.#reference(service, [...path, 'service']);
    if (Array.isArray(service)) {
      for (const [position, target] of service.entries()) {
        if (isMapping(target)) this.#reference(target['service'], [...path, 'service', position, 'service']);
      }
    }
    if (isMapping(route['mirror'])) this.#reference(route['mirror']['service'], [...path, 'mirror', 'service']);
  }

  #reference(name: unknown, path: KeyPath): void {
    if (typeof name !== 'string' || name === '' || this.#services.includes(name)) return;
    const suggestion = nearest(name, this.#services);
    const expected = this.#services.length === 0 ? 'a key of services, which is empty' : `a key of services`;
    this.#complain(path, 'there is no such service', {
      got: showValue(name),
      expected,
      ...(suggestion === undefined ? {} : { suggestion }),
    });
  }

  #complain(path: KeyPath, message: string, more: Partial<Problem>): void {
    this.paths.push(path);
    this.problems.push({
      severity: 'error',
      ...this.#source.place(path, 'value'),
      key: formatKey(path),
      message,
      ...more,
    });
  }
}
