/**
 * One OpenAPI 3.1 document of everything behind the gateway: the documents of services and of the gateway's own APIs,
 * with paths as callers write them, who may call and how often as the routes say, and routes that nobody described.
 * What does not fit is left out and reported, never guessed.
 */
import { orderRoutes, servesMethod } from '../../data/contract/route-order.ts';
import { parsePattern } from '../../data/contract/route-pattern.ts';
import type { RouteSettings, Snapshot } from '../../data/contract/snapshot.ts';
import { AUDIENCES, type Audience } from '../audience.ts';
import { ERROR_RESPONSE, errorComponents } from '../error-schema.ts';
import { type ApiSource, AUDIENCE_FIELD, isMapping, type Mapping, METHODS } from '../openapi-document.ts';
import { type RouteFacts, routeFacts } from '../route-facts.ts';
import { Components } from './components.ts';
import { fits, routedPath } from './routed-path.ts';
import { undescribed } from './undescribed.ts';

export interface MergeOptions {
  readonly title: string;
  readonly version: string;
  readonly description: string;
  readonly servers: readonly string[];
  /** Routes without a description are listed with their path and methods. */
  readonly listUndescribed: boolean;
}

export interface Merged {
  readonly problems: readonly string[];
  /** The document for those who may read so much. */
  forAudience(audience: Audience): Mapping;
}

interface Published {
  readonly path: string;
  readonly method: string;
  readonly audience: Audience;
  readonly operation: Mapping;
}

/** Problems beyond this many say only that there are more. */
const MOST_PROBLEMS = 200;

export function mergeApis(snapshot: Snapshot, sources: readonly ApiSource[], options: MergeOptions): Merged {
  const merger = new Merger(snapshot);
  for (const source of sources) merger.add(source);
  if (options.listUndescribed) merger.addUndescribed();
  return merger.result(options);
}

class Merger {
  readonly #routes: readonly RouteSettings[];
  readonly #ordered: readonly RouteSettings[];
  readonly #published = new Map<string, Published & { readonly from: string }>();
  readonly #operationIds = new Set<string>();
  readonly #components = new Components();
  readonly #schemes: Record<string, Mapping> = {};
  readonly #tags = new Map<string, Mapping>();
  readonly #described = new Set<string>();
  readonly #problems = new Set<string>();

  constructor({ routes, gateway }: Snapshot) {
    this.#routes = routes;
    this.#ordered = [...new Set(orderRoutes(routes).map(({ route }) => route))];
    this.#components.add({ components: errorComponents(gateway.errorFormat) }, 'gateway');
  }

  add(source: ApiSource): void {
    const { document, service } = source;
    const routes = this.#routesOf(source);
    if (routes.length === 0) {
      if (source.own !== true) this.#problem(`${source.from}: no route leads to ${service}`);
      return;
    }
    const rewrite = this.#components.add(document, service);
    const base = source.basePath ?? serverPath(document);
    if (source.own === true) Object.assign(this.#schemes, (document['components'] as Mapping)?.['securitySchemes']);
    for (const tag of listOf(document['tags'])) if (typeof tag['name'] === 'string') this.#tags.set(tag['name'], tag);
    for (const [written, item] of Object.entries(document['paths'] as Mapping)) {
      if (!isMapping(item) || written.startsWith('x-')) continue;
      const path = base + written;
      let leads = false;
      for (const route of routes) {
        const found = source.paths === 'upstream' ? routedPath(route, path) : direct(route, path);
        if (found === null) continue;
        if ('problem' in found) {
          this.#problem(`${source.from}: ${found.problem} (route ${route.id})`);
          leads = true;
          continue;
        }
        for (const method of METHODS) {
          const operation = item[method];
          if (!isMapping(operation) || !servesMethod(route.match.methods, method.toUpperCase())) continue;
          leads = true;
          const whole = { ...withShared(item, operation), ...securityWord(document, operation) };
          this.#publish(route, found.path, method, rewrite(whole) as Mapping, source);
        }
      }
      if (!leads && source.own !== true) this.#problem(`${source.from}: no route leads to ${path}`);
    }
  }

  /** Of the user's own routes only: what the gateway adds itself is described or is not for everybody. */
  addUndescribed(): void {
    for (const route of this.#ordered) {
      if (route.id.startsWith('builtin:') || this.#described.has(route.id)) continue;
      const found = undescribed(route);
      if ('problem' in found) this.#problem(found.problem);
      else
        for (const { path, method, operation } of found.operations)
          this.#publish(route, path, method, operation, { service: serviceOf(route), from: `route ${route.id}` });
    }
  }

  #publish(
    route: RouteSettings,
    path: string,
    method: string,
    operation: Mapping,
    source: Pick<ApiSource, 'service' | 'from' | 'own'>,
  ): void {
    this.#described.add(route.id);
    const key = `${method} ${path.replace(/\{[^}]*\}/g, '{}')}`;
    const taker = this.#taker(method, path);
    if (taker !== undefined && taker !== route && !isConditional(taker)) return;
    const before = this.#published.get(key);
    if (before !== undefined) {
      if (before.from !== source.from)
        this.#problem(`${source.from}: ${method.toUpperCase()} ${path} is described by ${before.from} already`);
      return;
    }
    const facts = routeFacts(route, operation['requestBody'] !== undefined);
    Object.assign(this.#schemes, facts.schemes);
    const audience = highest(facts.audience, audienceOf(operation));
    this.#published.set(key, {
      path,
      method,
      audience,
      operation: this.#completed(operation, facts, route, source),
      from: source.from,
    });
  }

  #completed(
    operation: Mapping,
    facts: RouteFacts,
    route: RouteSettings,
    { service, own: isOfGateway = false }: Pick<ApiSource, 'service' | 'own'>,
  ): Mapping {
    const { [AUDIENCE_FIELD]: _audience, 'x-internal': _internal, servers: _servers, ...rest } = operation;
    const responses = isMapping(rest['responses']) ? rest['responses'] : {};
    const errors = Object.entries(facts.errors).flatMap(([status, description]) =>
      responses[status] === undefined ? [[status, { $ref: ERROR_RESPONSE, description }]] : [],
    );
    const notes = [...facts.notes, ...conditionNotes(route)];
    const description = [rest['description'], ...notes].filter((text) => typeof text === 'string' && text !== '');
    const own = rest['security'];
    const isOwn = isOfGateway && facts.security === null;
    if (isOwn && JSON.stringify(own)?.includes('"bearer"')) this.#schemes['bearer'] ??= BEARER;
    const tags = listOfTexts(rest['tags']);
    const { security: _security, operationId, ...kept } = rest;
    return {
      ...kept,
      ...this.#operationId(operationId, service),
      tags: tags.length === 0 ? [service.replace(/^builtin:/, '')] : tags,
      ...(description.length === 0 ? {} : { description: description.join('\n\n') }),
      ...(route.version?.deprecatedAtSeconds == null ? {} : { deprecated: true }),
      responses: { ...responses, ...Object.fromEntries(errors) },
      security: facts.security ?? (isOwn && Array.isArray(own) ? own : []),
      ...serversOf(route),
    };
  }

  #operationId(id: unknown, service: string): { readonly operationId?: string } {
    if (typeof id !== 'string' || id === '') return {};
    const prefix = service.replace(/^builtin:/, '');
    let unique = this.#operationIds.has(id) ? `${prefix}_${id}` : id;
    for (let i = 2; this.#operationIds.has(unique); i++) unique = `${prefix}_${id}_${i}`;
    this.#operationIds.add(unique);
    return { operationId: unique };
  }

  /** The first route that takes such a request whatever its fields. */
  #taker(method: string, path: string): RouteSettings | undefined {
    return this.#ordered.find(
      ({ match }) =>
        match.path.kind === 'pattern' &&
        servesMethod(match.methods, method.toUpperCase()) &&
        fits(parsePattern(match.path.pattern), path),
    );
  }

  #routesOf({ service, route }: ApiSource): readonly RouteSettings[] {
    if (route !== null) return this.#routes.slice(route, route + 1);
    return this.#ordered.filter(
      ({ action }) => action.kind === 'service' && action.targets.some((target) => target.service === service),
    );
  }

  #problem(text: string): void {
    if (this.#problems.size < MOST_PROBLEMS) this.#problems.add(text);
    else this.#problems.add('there are more problems');
  }

  result({ title, version, description, servers }: MergeOptions): Merged {
    const published = [...this.#published.values()].sort((one, other) => (one.path < other.path ? -1 : 1));
    return {
      problems: [...this.#problems],
      forAudience: (audience) => {
        const paths: Record<string, Record<string, unknown>> = {};
        const tags = new Set<string>();
        for (const each of published) {
          if (AUDIENCES.indexOf(each.audience) > AUDIENCES.indexOf(audience)) continue;
          paths[each.path] = { ...paths[each.path], [each.method]: each.operation };
          for (const tag of listOfTexts(each.operation['tags'])) tags.add(tag);
        }
        const schemes = Object.fromEntries(Object.entries(this.#schemes).filter(([name]) => isUsed(name, paths)));
        const components = {
          ...this.#components.used(paths),
          ...(Object.keys(schemes).length === 0 ? {} : { securitySchemes: schemes }),
        };
        return {
          openapi: '3.1.0',
          info: { title, version, ...(description === '' ? {} : { description }) },
          servers: servers.length === 0 ? [{ url: '/' }] : servers.map((url) => ({ url })),
          ...(tags.size === 0 ? {} : { tags: [...tags].sort().map((name) => this.#tags.get(name) ?? { name }) }),
          paths,
          ...(Object.keys(components).length === 0 ? {} : { components }),
        };
      },
    };
  }
}

const BEARER = { type: 'http', scheme: 'bearer', bearerFormat: 'JWT' };

function direct(route: RouteSettings, path: string) {
  const { match } = route;
  if (match.path.kind === 'regex') return { problem: 'the route has a regular expression for a path' };
  return fits(parsePattern(match.path.pattern), path) ? { path } : null;
}

/** Path of the first server of a document; a template or nothing is none. */
export function serverPath(document: Mapping): string {
  const [server] = listOf(document['servers']);
  const url = String(server?.['url'] ?? '');
  const path = url.replace(/^[a-z][a-z0-9+.-]*:\/\/[^/]*/i, '').replace(/\/+$/, '');
  return path.startsWith('/') && !path.includes('{') ? path : '';
}

/** Parameters and texts that a path item has for all its operations. */
function withShared(item: Mapping, operation: Mapping): Mapping {
  const own = listOf(operation['parameters']);
  const shared = listOf(item['parameters']).filter(
    (each) => !own.some(({ name, in: at }) => name !== undefined && name === each['name'] && at === each['in']),
  );
  const summary = operation['summary'] ?? item['summary'];
  return {
    ...operation,
    ...(summary === undefined ? {} : { summary }),
    ...(own.length + shared.length === 0 ? {} : { parameters: [...shared, ...own] }),
  };
}

function securityWord(document: Mapping, operation: Mapping): { readonly security?: unknown } {
  const security = operation['security'] ?? document['security'];
  return security === undefined ? {} : { security };
}

function audienceOf(operation: Mapping): Audience {
  if (operation['x-internal'] === true) return 'admin';
  const named = operation[AUDIENCE_FIELD];
  return AUDIENCES.find((audience) => audience === named) ?? 'public';
}

function highest(one: Audience, other: Audience): Audience {
  return AUDIENCES.indexOf(one) > AUDIENCES.indexOf(other) ? one : other;
}

function isConditional({ match, version }: RouteSettings): boolean {
  const byField = version !== null && version.by.kind !== 'path' && !version.isDefault;
  return match.hosts.length + match.headers.length + match.query.length > 0 || byField;
}

function conditionNotes({ match, version }: RouteSettings): string[] {
  const names = [...match.headers, ...match.query].map(({ name }) => `\`${name}\``);
  const notes = names.length === 0 ? [] : [`Only requests with ${names.join(', ')} as the route says.`];
  if (version !== null && version.by.kind === 'header')
    notes.push(`Version \`${version.name}\`, by the field \`${version.by.header}\`.`);
  if (version !== null && version.by.kind === 'accept')
    notes.push(`Version \`${version.name}\`, by \`Accept: ${version.by.mediaType}\`.`);
  return notes;
}

function serversOf({ match }: RouteSettings): { readonly servers?: readonly Mapping[] } {
  const exact = match.hosts.filter((host) => !host.startsWith('*.'));
  return exact.length === 0 ? {} : { servers: exact.map((host) => ({ url: `https://${host}` })) };
}

export function serviceOf({ action }: RouteSettings): string {
  return action.kind === 'service' ? (action.targets[0]?.service ?? 'gateway') : 'gateway';
}

function isUsed(scheme: string, paths: Readonly<Record<string, Record<string, unknown>>>): boolean {
  return Object.values(paths).some((item) =>
    Object.values(item).some((operation) =>
      listOf((operation as Mapping)['security']).some((each) => Object.hasOwn(each, scheme)),
    ),
  );
}

function listOf(value: unknown): Mapping[] {
  return Array.isArray(value) ? value.filter(isMapping) : [];
}

function listOfTexts(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((each) => typeof each === 'string') : [];
}
