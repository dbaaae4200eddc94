/**
 * What the APIs of features say about themselves in the document of the admin API, below `/features/NAME`: only of
 * those that are in use, each operation with the role that it needs. Loads them, so it is called when somebody asks for
 * the document.
 */
import * as z from 'zod';
import { PRODUCT_VERSION } from '../config/version.ts';
import type { OperationsApi, OperatorHost } from '../feature.ts';
import { describeApi, isMapping, type Mapping, METHODS, type OperationText } from '../openapi-document.ts';

type Operations = Readonly<Record<string, OperationText>>;

/** Paths of the document, such as `/features/limits/bans`. */
export async function featurePaths(host: OperatorHost): Promise<Record<string, Mapping>> {
  const paths: Record<string, Mapping> = {};
  for (const [name, api] of host.operations()) {
    const describe = Object.hasOwn(DESCRIBED, name) ? DESCRIBED[name] : undefined;
    if (describe === undefined) continue;
    for (const [path, item] of Object.entries(await describe()))
      paths[`/features/${name}${path}`] = itemOf(name, path, item as Mapping, api);
  }
  return paths;
}

const DESCRIBED: Readonly<Record<string, () => Promise<Mapping>>> = {
  identity: async () => pathsOf(await identityOperations()),
  limits: async () => {
    const { banBody } = await import('../limits/bans/bans-app.ts');
    return pathsOf(limitOperations(banBody));
  },
  cache: async () => {
    const { purgeBody } = await import('../cache/api.ts');
    return pathsOf({
      'GET ': { summary: 'Sizes and contents of the cache', who: 'admin' },
      'POST /purge': { summary: 'Removes responses from the cache', who: 'admin', body: purgeBody },
    });
  },
  cluster: async () => {
    const { createClusterApp } = await import('../cluster/app.ts');
    const quiet = { debug() {}, info() {}, warn() {}, error() {} };
    // Operations are registered when the application is made; the cluster is touched only when one is called.
    const app = createClusterApp({ cluster: {}, log: quiet, path: '/', version: PRODUCT_VERSION } as never);
    const info = { title: 'cluster', version: PRODUCT_VERSION };
    return resolved(app.getOpenAPI31Document({ openapi: '3.1.0', info }) as unknown as Mapping);
  },
  events: async () => pathsOf(EVENTS),
};

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

function pathsOf(operations: Operations): Mapping {
  return describeApi('', PRODUCT_VERSION, operations)['paths'] as Mapping;
}

/** What administrators of accounts may do, as far as the admin API offers it (identity/operator-app.ts). */
async function identityOperations(): Promise<Operations> {
  const { IDENTITY_OPERATIONS } = await import('../identity/api-description.ts');
  const { operatorBodies } = await import('../identity/operator-routes.ts');
  const offered = Object.entries(IDENTITY_OPERATIONS).filter(
    ([key]) => /^\w+ \/admin\/(users|keys|audit)/.test(key) && !key.endsWith('/impersonate'),
  );
  const own: Operations = {
    'GET /admin/audit/head': { summary: 'The last entry of the audit log, to note elsewhere', who: 'admin' },
    'GET /admin/audit/verify': {
      summary: 'Checks the chain of the audit log',
      who: 'admin',
      query: operatorBodies['GET /admin/audit/verify'],
    },
    'POST /admin/tokens/check': {
      summary: 'Says whether a token is alive, and what it says',
      who: 'admin',
      body: operatorBodies['POST /admin/tokens/check'],
    },
    'DELETE /admin/tokens/:jti': { summary: 'Revokes a minted token', who: 'admin' },
  };
  const all = { ...Object.fromEntries(offered), ...own };
  return Object.fromEntries(Object.entries(all).map(([key, text]) => [key.replace(' /admin', ' '), text]));
}

function limitOperations(banBody: OperationText['body']): Operations {
  return {
    'GET /usage': {
      summary: 'What an account has used and has left',
      who: 'admin',
      query: z.object({ account: z.string(), plan: z.string().optional() }),
    },
    'GET /usage/history': {
      summary: 'What an account used in past periods',
      who: 'admin',
      query: z.object({ account: z.string(), quota: z.string().optional() }),
    },
    'GET /usage/export': {
      summary: 'Usage of all accounts in a period',
      who: 'admin',
      query: z.object({
        quota: z.string(),
        period: z.string(),
        format: z.enum(['json', 'csv']).optional(),
        partial: z.enum(['true', 'false']).optional(),
      }),
    },
    'GET /bans': { summary: 'Bans that hold', who: 'admin' },
    'POST /bans': {
      summary: 'Bans an address, a user or a key',
      who: 'admin',
      status: 201,
      ...(banBody === undefined ? {} : { body: banBody }),
    },
    'DELETE /bans/:id': { summary: 'Lifts a ban', who: 'admin', status: 204 },
  };
}

const choice = z
  .object({
    consumer: z.string(),
    positions: z.array(z.string()).max(1_000).optional(),
    subject: z.string().optional(),
    all: z.literal(true).optional(),
  })
  .describe('A consumer with `positions`, a `subject`, or `all`');
const page = z.object({
  limit: z.int().max(1_000).optional(),
  skip: z.int().optional(),
  subject: z.string().optional(),
});
const EVENTS: Operations = {
  'GET /streams': { summary: 'Streams of events', who: 'admin' },
  'GET /asyncapi': { summary: 'Streams as an AsyncAPI document', who: 'admin' },
  'GET /consumers': { summary: 'Consumers to which events are delivered', who: 'admin' },
  'GET /dead': {
    summary: 'Events that could not be delivered',
    who: 'admin',
    query: page.extend({ consumer: z.string().optional() }),
  },
  'GET /dead/:consumer': {
    summary: 'Events that could not be delivered to a consumer',
    who: 'admin',
    query: page,
  },
  'GET /dead/:consumer/:position': { summary: 'One event that could not be delivered, whole', who: 'admin' },
  'POST /dead/replay': { summary: 'Delivers such events again', who: 'admin', body: choice },
  'POST /dead/drop': { summary: 'Gives such events up', who: 'admin', body: choice },
};

function itemOf(feature: string, path: string, item: Mapping, api: OperationsApi): Mapping {
  const { look = 'viewer', change = 'operator' } = api;
  const entries = Object.entries(item).map(([method, operation]) => {
    if (!isMapping(operation) || !METHODS.some((known) => known === method)) return [method, operation] as const;
    const { 'x-audience': _, security: __, ...rest } = operation;
    const isLook = method === 'get' || method === 'head';
    const role = isLook ? look : typeof change === 'function' ? change(path) : change;
    const words = `${method}/features/${feature}${path}`;
    const operationId = words.replace(/[^A-Za-z0-9]+(.)?/g, (___, next?: string) => (next ?? '').toUpperCase());
    const description = `Needs the role \`${role}\`.`;
    return [method, { ...rest, operationId, tags: [feature], description }] as const;
  });
  return Object.fromEntries(entries);
}
