/**
 * Documents of the gateway's own APIs, by the built-in service that serves each: made from the schemas that check
 * requests. Nothing runs for it: an application is made here only for what it says about itself.
 */
import { type ApiSource, AUDIENCE_FIELD, describeApi, isMapping, type Mapping, METHODS } from '../openapi-document.ts';

export interface OwnPaths {
  /** Where the account API is mounted, and the service that its routes lead to. */
  readonly identity: readonly string[];
  readonly identityService: string;
  readonly registry: string | null;
  readonly cluster: string | null;
  readonly admin: string | null;
}

/** Loads what they are made of: call it when somebody asks for a document. */
export async function ownApis(paths: OwnPaths, version: string): Promise<ApiSource[]> {
  const source = (service: string, document: Mapping, basePath: string): ApiSource => ({
    service,
    from: service,
    document,
    paths: 'upstream',
    basePath,
    route: null,
  });
  const sources: ApiSource[] = [];
  if (paths.identity.length > 0) {
    const { identityDocument } = await import('../identity/api-description.ts');
    const document = identityDocument(version);
    for (const path of paths.identity) sources.push(source(paths.identityService, document, path));
  }
  if (paths.registry !== null) {
    const { registrationSchema, changesSchema } = await import('../discovery/registry/bodies.ts');
    const hour = 3_600_000;
    const bodies = {
      registration: registrationSchema({ leaseMs: { min: 1, default: 30_000, max: hour } }),
      changes: changesSchema,
    };
    const document = describeApi('registry', version, {
      'POST /services/:name/instances': {
        summary: 'Registers an instance',
        who: 'signed-in',
        body: bodies.registration,
        status: 201,
      },
      'PUT /services/:name/instances/:id/heartbeat': {
        summary: 'Keeps a registration alive',
        who: 'signed-in',
        body: bodies.changes,
      },
      'DELETE /services/:name/instances/:id': { summary: 'Removes a registration', who: 'signed-in', status: 204 },
      'GET /services/:name/instances': { summary: 'Registered instances of a service', who: 'signed-in' },
      'GET /services': { summary: 'All registered instances', who: 'signed-in' },
    });
    sources.push(source('builtin:registry', document, paths.registry));
  }
  const { banBody } = await import('../limits/bans/bans-app.ts');
  sources.push(source('builtin:limits', limitsDocument(version, banBody), ''));
  const { purgeBody } = await import('../cache/api.ts');
  const cache = describeApi('cache', version, {
    'GET /cache': { summary: 'Sizes and contents of the cache', who: 'admin' },
    'POST /cache/purge': { summary: 'Removes responses from the cache', who: 'admin', body: purgeBody },
  });
  sources.push(source('builtin:cache', cache, '/api/v1'));
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
    sources.push(
      source('builtin:admin', forAdmins(adminDocument() as unknown as Mapping, 'admin'), `${paths.admin}/api`),
    );
  }
  return sources;
}

function limitsDocument(version: string, banBody: Parameters<typeof describeApi>[2][string]['body']): Mapping {
  return describeApi('limits', version, {
    'GET /.well-known/gatehouse/plans': { summary: 'What each plan allows', who: 'public' },
    'GET /api/v1/usage': { summary: 'What the caller has used and has left', who: 'signed-in' },
    'GET /api/v1/usage/history': { summary: 'What the caller used in past periods', who: 'signed-in' },
    'GET /api/v1/usage/export': { summary: 'Usage of all accounts in a period', who: 'admin' },
    'GET /api/v1/bans': { summary: 'Bans that hold', who: 'admin' },
    'POST /api/v1/bans': {
      summary: 'Bans an address, a user or a key',
      who: 'admin',
      status: 201,
      ...(banBody === undefined ? {} : { body: banBody }),
    },
    'DELETE /api/v1/bans/:id': { summary: 'Lifts a ban', who: 'admin', status: 204 },
  });
}

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
