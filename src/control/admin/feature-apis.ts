/**
 * What the APIs of features say about themselves in the document of the admin API, below `/features/NAME`: only of
 * those that are in use, each operation with the role that it needs. Loads them, so it is called when somebody asks for
 * the document.
 */
import type { OperationsApi, OperatorHost } from '../feature.ts';
import { isMapping, type Mapping, METHODS } from '../openapi-document.ts';

/** Paths of the document, such as `/features/limits/bans`. */
export async function featurePaths(host: OperatorHost): Promise<Record<string, Mapping>> {
  const paths: Record<string, Mapping> = {};
  for (const [name, api] of host.operations())
    for (const [path, item] of Object.entries((await api.describe?.()) ?? {}))
      paths[`/features/${name}${path}`] = itemOf(name, path, item as Mapping, api);
  return paths;
}

function itemOf(feature: string, path: string, item: Mapping, api: OperationsApi): Mapping {
  const { look = 'viewer', change = 'operator' } = api;
  const entries = Object.entries(item).map(([method, operation]) => {
    if (!isMapping(operation) || !METHODS.some((known) => known === method)) return [method, operation] as const;
    const { 'x-audience': _, security: __, ...rest } = operation;
    const isLook = method === 'get' || method === 'head';
    const asked = isLook ? look : change;
    const role = typeof asked === 'function' ? asked(path) : asked;
    const words = `${method}/features/${feature}${path}`;
    const operationId = words.replace(/[^A-Za-z0-9]+(.)?/g, (___, next?: string) => (next ?? '').toUpperCase());
    const description = `Needs the role \`${role}\`.`;
    return [method, { ...rest, operationId, tags: [feature], description }] as const;
  });
  return Object.fromEntries(entries);
}
