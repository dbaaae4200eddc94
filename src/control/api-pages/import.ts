/** A configuration out of an OpenAPI document: what `gatehouse import openapi` writes. */
import { isMapping, type Mapping, METHODS } from '../openapi-document.ts';
import { serverPath } from './merge.ts';

export interface ImportOptions {
  /** The document, as the configuration names it. */
  readonly file: string;
  readonly service: string | undefined;
  readonly url: string | undefined;
  /** Before the paths of the document, as callers write them; empty or without a slash at its end. */
  readonly prefix: string;
}

export interface Imported {
  readonly configuration: Mapping;
  /** What the reader should look at. */
  readonly notes: readonly string[];
}

/** The document or an option cannot be used. */
export class ImportError extends Error {}

export function importedConfiguration(document: Mapping, options: ImportOptions): Imported {
  const notes: string[] = [];
  const { prefix, file } = options;
  if (prefix !== '' && !/^(\/[^/\s?#:*]+)+$/.test(prefix))
    throw new ImportError(`the prefix must be a path such as /api/v1, not ${JSON.stringify(prefix)}`);
  const name = options.service ?? serviceName(document);
  const base = serverPath(document);
  const origin = options.url ?? serverOrigin(document);
  if (origin === null) notes.push(`the document names no server: services.${name} has an address to be changed`);
  const routes: Mapping[] = [];
  for (const [path, item] of Object.entries(document['paths'] as Mapping)) {
    if (!isMapping(item) || path.startsWith('x-')) continue;
    const bySecurity = new Map<string, { auth: unknown; methods: string[] }>();
    for (const method of METHODS) {
      const operation = item[method];
      if (!isMapping(operation) || method === 'trace') continue;
      const auth = authOf(document, operation);
      const key = JSON.stringify(auth);
      const group = bySecurity.get(key) ?? { auth, methods: [] };
      group.methods.push(method.toUpperCase());
      bySecurity.set(key, group);
    }
    for (const { auth, methods } of bySecurity.values())
      routes.push({
        match: { path: matchPath(prefix + base + path, notes), methods },
        service: name,
        ...(auth === undefined ? {} : { auth }),
        ...(prefix === '' ? {} : { rewrite: { stripPrefix: prefix } }),
      });
  }
  if (routes.length === 0) throw new ImportError('there are no operations');
  if (routes.some(({ auth }) => auth !== 'public'))
    notes.push('routes without "auth: public" need to know who calls: say how with gateway.auth or identity');
  return {
    configuration: {
      services: {
        [name]: {
          instances: [{ url: origin ?? 'http://127.0.0.1:4001' }],
          openapi: { file, basePath: prefix + base },
        },
      },
      routes,
    },
    notes,
  };
}

function serviceName(document: Mapping): string {
  const title = isMapping(document['info']) ? String(document['info']['title'] ?? '') : '';
  const name = title
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+|-+$/g, '')
    .slice(0, 50);
  return name === '' ? 'api' : name;
}

function serverOrigin(document: Mapping): string | null {
  const servers = document['servers'];
  const first: unknown = Array.isArray(servers) ? servers[0] : undefined;
  const url = isMapping(first) ? String(first['url'] ?? '') : '';
  return /^https?:\/\/[^/{}]+/i.exec(url)?.[0] ?? null;
}

/** `/a/{id}` as `/a/:id`; what patterns cannot say, such as `/a/{id}.json`, as a regular expression. */
function matchPath(path: string, notes: string[]): string | { readonly regex: string } {
  const segments = path.split('/').slice(1);
  const names = new Set<string>();
  const isPlain = segments.every((segment) => {
    if (!segment.includes('{')) return !segment.includes('*') && !segment.startsWith(':');
    const name = /^\{([A-Za-z_][A-Za-z0-9_]*)\}$/.exec(segment)?.[1];
    if (name === undefined || names.has(name)) return false;
    names.add(name);
    return true;
  });
  if (isPlain) return `/${segments.map((segment) => segment.replace(/^\{(.*)\}$/, ':$1')).join('/')}`;
  notes.push(`${path} has no pattern: the route has a regular expression`);
  const parts = path
    .split(/(\{[^}]*\})/)
    .map((part) => (part.startsWith('{') ? '[^/]+' : part.replace(/[.*+?^$()|[\]\\{}]/g, '\\$&')));
  return { regex: parts.join('') };
}

/** Undefined: as the gateway says for every route. */
function authOf(document: Mapping, operation: Mapping): unknown {
  const security = operation['security'] ?? document['security'];
  // What is written wrong protects all the same.
  if (security !== undefined && !Array.isArray(security)) return undefined;
  if (security === undefined || security.length === 0) return 'public';
  if (security.some((each) => isMapping(each) && Object.keys(each).length === 0)) return 'public';
  const scopes = security
    .filter(isMapping)
    .flatMap((each) => Object.values(each).flatMap((names) => (Array.isArray(names) ? names : [])));
  return scopes.length === 0 ? undefined : { scopes: [...new Set(scopes.map(String))] };
}
