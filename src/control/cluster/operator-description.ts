/** The API for operators in the document of the admin API: paths as the feature has them. */
import { PRODUCT_VERSION } from '../config/version.ts';
import { inlinePaths, type Mapping } from '../openapi-document.ts';
import { createClusterApp } from './app.ts';

export function operatorPaths(): Mapping {
  const quiet = { debug() {}, info() {}, warn() {}, error() {} };
  // Operations are registered when the application is made; the cluster is touched only when one is called.
  const app = createClusterApp({ cluster: {}, log: quiet, path: '/', version: PRODUCT_VERSION } as never);
  const info = { title: 'cluster', version: PRODUCT_VERSION };
  return inlinePaths(app.getOpenAPI31Document({ openapi: '3.1.0', info }) as unknown as Mapping);
}
