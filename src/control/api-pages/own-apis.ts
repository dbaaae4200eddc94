/**
 * Documents of the gateway's own APIs, by the built-in service that serves each: made from the schemas that check
 * requests. Nothing runs for it: an application is made here only for what it says about itself.
 */
import * as z from 'zod';
import type { ErrorFormat } from '../../base/error-body.ts';
import type { Endpoint } from '../config/plan.ts';
import type { ApiSettings } from '../identity/api-description.ts';
import {
  type ApiSource,
  AUDIENCE_FIELD,
  describeApi,
  isMapping,
  type Mapping,
  METHODS,
  type OperationText,
} from '../openapi-document.ts';

export interface OwnPaths {
  readonly errorFormat: ErrorFormat;
  /** Where the account API is mounted, what the configuration says of it, and the service that its routes lead to. */
  readonly identity: readonly string[];
  readonly identitySettings: ApiSettings | null;
  readonly identityService: string;
  /** Of the OAuth provider. */
  readonly oauth: string | null;
  readonly registry: string | null;
  readonly cluster: string | null;
  readonly admin: string | null;
  /** Of health, status and metrics; null is off. */
  readonly endpoints: Readonly<Record<Endpoint, string | null>>;
  /** `events.path`. */
  readonly events: string | null;
}

/** Loads what they are made of: call it when somebody asks for a document. */
export async function ownApis(paths: OwnPaths, version: string): Promise<ApiSource[]> {
  const errors = { format: paths.errorFormat };
  const source = (service: string, document: Mapping, basePath: string): ApiSource => ({
    service,
    from: service,
    own: true,
    document,
    paths: 'upstream',
    basePath,
    route: null,
  });
  const sources: ApiSource[] = [];
  if (paths.identity.length > 0) {
    const { identityDocument } = await import('../identity/api-description.ts');
    const { keySet } = await import('../identity/responses.ts');
    const document = identityDocument(version, paths.identitySettings ?? undefined);
    for (const path of paths.identity) sources.push(source(paths.identityService, document, path));
    sources.push(source(paths.identityService, describeApi('accounts', version, keySetOperation(keySet), errors), ''));
  }
  if (paths.oauth !== null) {
    const { oauthDocument } = await import('../identity/oauth/api-description.ts');
    sources.push(source(paths.identityService, oauthDocument(version), paths.oauth));
  }
  if (paths.registry !== null) {
    const { REGISTRY_OPERATIONS } = await import('../discovery/registry/api-description.ts');
    const document = describeApi('registry', version, REGISTRY_OPERATIONS, errors);
    sources.push(source('builtin:registry', document, paths.registry));
  }
  const { limitsOperations } = await import('../limits/api-description.ts');
  const limits = describeApi('limits', version, { ...PLANS, ...limitsOperations('/api/v1', 'callers') }, errors);
  sources.push(source('builtin:limits', limits, ''));
  const { cacheOperations } = await import('../cache/operator-description.ts');
  const cache = describeApi('cache', version, cacheOperations('/cache'), errors);
  sources.push(source('builtin:cache', cache, '/api/v1'));
  if (paths.events !== null) {
    const { bridgeOperations } = await import('../events/api-description.ts');
    sources.push(source('builtin:events', describeApi('events', version, bridgeOperations(paths.events), errors), ''));
  }
  if (paths.cluster !== null) {
    const { createClusterApp } = await import('../cluster/app.ts');
    const quiet = { debug() {}, info() {}, warn() {}, error() {} };
    // Operations are registered when the application is made; the cluster is touched only when one is called.
    const app = createClusterApp({ cluster: {}, log: quiet, path: paths.cluster, version } as never);
    const document = app.getOpenAPI31Document({ openapi: '3.1.0', info: { title: 'cluster', version } });
    sources.push(source('builtin:cluster', forAdmins(document as unknown as Mapping, 'cluster'), ''));
  }
  if (paths.admin !== null) {
    const { adminDocument } = await import('../admin/app.ts');
    sources.push(source('builtin:admin', forAdmins(adminDocument(paths.errorFormat), 'admin'), `${paths.admin}/api`));
  }
  // Last, so that operations of the admin API keep their ids.
  const { opsOperations } = await import('../ops/api-description.ts');
  sources.push(source('builtin:ops', describeApi('operations', version, opsOperations(paths.endpoints), errors), ''));
  return sources;
}

const keySetOperation = (response: z.ZodType): Readonly<Record<string, OperationText>> => ({
  'GET /.well-known/jwks.json': { summary: 'Keys by which access tokens are verified', who: 'public', response },
});

const PLANS: Readonly<Record<string, OperationText>> = {
  'GET /.well-known/gatehouse/plans': {
    summary: 'What each plan allows',
    who: 'public',
    response: z.object({
      plans: z.array(
        z.object({
          name: z.string(),
          default: z.boolean(),
          limits: z.array(z.object({ limit: z.int(), window_seconds: z.number(), burst: z.int() })),
          quotas: z.record(z.string(), z.int()),
        }),
      ),
    }),
  },
};

/** Every operation with the audience, the tag and the credential that all of them have. */
function forAdmins(document: Mapping, tag: string): Mapping {
  const paths = Object.entries((document['paths'] ?? {}) as Mapping).map(([path, item]) => [
    path,
    Object.fromEntries(
      Object.entries(isMapping(item) ? item : {}).map(([method, operation]) => [
        method,
        isMapping(operation) && METHODS.some((known) => known === method)
          ? { security: [{ bearer: [] }], ...operation, tags: [tag], [AUDIENCE_FIELD]: 'admin' }
          : operation,
      ]),
    ),
  ]);
  return { ...document, paths: Object.fromEntries(paths) };
}
