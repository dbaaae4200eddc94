/** The API for operators in the document of the admin API: paths as the feature has them. */
import { PRODUCT_VERSION } from '../config/version.ts';
import { isMapping, type Mapping } from '../openapi-document.ts';
import { createClusterApp } from './app.ts';

export function operatorPaths(): Mapping {
  const quiet = { debug() {}, info() {}, warn() {}, error() {} };
  // Operations are registered when the application is made; the cluster is touched only when one is called.
  const app = createClusterApp({ cluster: {}, log: quiet, path: '/', version: PRODUCT_VERSION } as never);
  const info = { title: 'cluster', version: PRODUCT_VERSION };
  return resolved(app.getOpenAPI31Document({ openapi: '3.1.0', info }) as unknown as Mapping);
}

/** With the schemas that the document refers to in the place of the references: here they have no other. */
function resolved(document: Mapping): Mapping {
  const schemas = ((document['components'] as Mapping | undefined)?.['schemas'] ?? {}) as Mapping;
  const inline = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(inline);
    if (!isMapping(value)) return value;
    const name = /^#\/components\/schemas\/(.+)$/.exec(String(value['$ref'] ?? ''))?.[1];
    if (name !== undefined) return inline(schemas[name]);
    return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, inline(each)]));
  };
  return inline(document['paths']) as Mapping;
}
