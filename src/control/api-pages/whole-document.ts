/**
 * Everything together: what is configured, what is fetched and what the gateway serves itself, as one merged document.
 */
import type { ErrorFormat } from '../../base/error-body.ts';
import type { Snapshot } from '../../data/contract/snapshot.ts';
import type { ControlPlan } from '../config/plan.ts';
import { PRODUCT_VERSION } from '../config/version.ts';
import { type Merged, mergeApis } from './merge.ts';
import { type OwnPaths, ownApis } from './own-apis.ts';
import type { OpenApiPlan } from './section.ts';
import { type ServiceDocuments, validationSources, type WrittenDocument } from './sources.ts';
import { type OfferedApis, transcodedSources } from './transcoded.ts';

export interface DocumentParts {
  readonly snapshot: Snapshot;
  readonly plan: ControlPlan;
  readonly document: WrittenDocument;
  readonly offered: OfferedApis;
}

/** What `openapi: {}` says, for an export without the key. */
export const DEFAULT_PLAN: OpenApiPlan = {
  path: null,
  docs: null,
  redoc: null,
  title: null,
  version: '1',
  description: '',
  servers: [],
  audience: 'signed-in',
  listUndescribed: true,
  ownApis: true,
  tryIt: true,
  sources: [],
};

export async function wholeDocument(parts: DocumentParts, documents: ServiceDocuments): Promise<Merged> {
  const { snapshot, plan, document, offered } = parts;
  const options = plan.sections.openapi ?? DEFAULT_PLAN;
  const checked = await validationSources(document, plan.baseDir);
  const described = await documents.load(options.sources);
  const transcoded = transcodedSources(snapshot.routes, offered, [...described.sources, ...checked.sources]);
  const own = options.ownApis ? await ownApis(ownPaths(plan, snapshot.gateway.errorFormat), PRODUCT_VERSION) : [];
  // What is named for the purpose wins over what is there for checking.
  const sources = [...described.sources, ...checked.sources, ...transcoded.sources, ...own];
  const merged = mergeApis(snapshot, sources, {
    title: options.title ?? snapshot.gateway.name,
    version: options.version,
    description: options.description,
    servers: options.servers,
    listUndescribed: options.listUndescribed,
  });
  const problems = [...described.problems, ...checked.problems, ...transcoded.problems, ...merged.problems];
  return { ...merged, problems };
}

function ownPaths({ sections, endpoints }: ControlPlan, errorFormat: ErrorFormat): OwnPaths {
  const { identity, registry, cluster, admin, events } = sections;
  return {
    errorFormat,
    identity: identity === null ? [] : [identity.options.basePath, ...identity.options.alsoAt],
    identityService: identity?.options.service ?? 'builtin:identity',
    identitySettings:
      identity === null
        ? null
        : {
            errorFormat: identity.options.errorFormat ?? errorFormat,
            cookies: identity.options.cookies !== undefined,
            oauth: identity.options.oauth.enabled,
            publicUrl: identity.options.publicUrl ?? '',
          },
    oauth: identity?.options.oauth.enabled === true ? identity.options.oauth.path : null,
    registry: registry === null ? null : registry.path,
    cluster: cluster === null ? null : cluster.path,
    admin: admin.path,
    endpoints,
    events: events?.path ?? null,
  };
}
