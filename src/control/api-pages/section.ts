/**
 * The key `openapi`: one OpenAPI document of everything behind the gateway, as JSON and YAML, and two pages that show
 * it. Without the key there are none. feature.ts serves what is said here.
 */
import * as z from 'zod';
import { duration } from '../../base/zod-units.ts';
import { AUDIENCES, type Audience } from '../audience.ts';
import { plainPath } from '../config/schema/fields.ts';
import { defineSection, type SectionContext } from '../config/section.ts';

const SERVICE = 'builtin:api-pages';

/** Where the document of a service comes from. */
export interface DocumentSource {
  readonly service: string;
  readonly at:
    | { readonly kind: 'file'; readonly file: string }
    | { readonly kind: 'url'; readonly url: string; readonly refreshMs: number }
    /** A path of the service itself, asked of its instances. */
    | { readonly kind: 'path'; readonly path: string; readonly refreshMs: number };
  readonly basePath: string | null;
}

export interface OpenApiPlan {
  /** Prefix of the documents, such as `/openapi`; null is off. */
  readonly path: string | null;
  readonly docs: string | null;
  readonly redoc: string | null;
  readonly title: string | null;
  readonly version: string;
  readonly description: string;
  readonly servers: readonly string[];
  /** What strangers read at the open paths. */
  readonly audience: Audience;
  readonly listUndescribed: boolean;
  readonly ownApis: boolean;
  readonly tryIt: boolean;
  readonly sources: readonly DocumentSource[];
}

const off = z.literal('off');
const basePath = z
  .string()
  .regex(/^(\/[^/?#\s]+)*$/, 'must be a path such as /v1, without a slash at its end')
  .optional()
  .describe('What the service has before the paths of the document. Default: the path of its first server.');
const refresh = duration({ min: 1_000, max: 86_400_000 })
  .prefault('5m')
  .describe('How often it is fetched again. One that cannot be had stays as it was.');

const source = z.union([
  z.string().regex(/\.(yaml|yml|json)$/, 'must be a YAML or JSON file, or { url } or { path }'),
  z.strictObject({
    file: z
      .string()
      .regex(/\.(yaml|yml|json)$/, 'must be a YAML or JSON file')
      .describe('A file beside the configuration.'),
    basePath,
  }),
  z.strictObject({
    url: z.url({ protocol: /^https?$/, error: 'must be an http or https URL' }).describe('Where it is fetched.'),
    refresh,
    basePath,
  }),
  z.strictObject({
    path: plainPath().describe('Path at which the service itself has it; instances are asked in turn.'),
    refresh,
    basePath,
  }),
]);

const openapiSchema = z
  .strictObject({
    path: z
      .union([off, plainPath()])
      .prefault('/openapi')
      .describe(
        'Documents are at this path with `.json` and `.yaml`; for callers who are known also at `/signed-in.json` and `/admin.json` below it. `off`: nowhere.',
      ),
    docs: z.union([off, plainPath()]).prefault('/docs').describe('Path of the Swagger UI page. `off`: none.'),
    redoc: z.union([off, plainPath()]).prefault('/redoc').describe('Path of the Redoc page. `off`: none.'),
    title: z.string().min(1).max(200).optional().describe('Title of the document. Default: `gateway.name`.'),
    version: z.string().min(1).max(50).prefault('1').describe('Version of the document.'),
    description: z.string().max(20_000).prefault('').describe('Introduction, in Markdown.'),
    servers: z
      .array(z.url({ protocol: /^https?$/, error: 'must be an http or https URL' }))
      .max(20)
      .prefault([])
      .describe('Where callers reach the gateway. Default: where the page came from.'),
    audience: z
      .enum(AUDIENCES)
      .prefault('signed-in')
      .describe(
        'What the open document and the pages show to everybody: `public` operations that anybody may call, `signed-in` also those that need authentication, `admin` also those of administrators. Security: descriptions only; who may call is decided by the routes.',
      ),
    undescribed: z
      .enum(['list', 'hide'])
      .prefault('list')
      .describe('Routes that no document describes: with path and methods, or not at all.'),
    ownApis: z.boolean().prefault(true).describe("Also the gateway's own APIs: accounts, limits, cluster, admin."),
    tryIt: z.boolean().prefault(true).describe('Lets the Swagger UI page send requests.'),
    services: z
      .record(z.string(), source)
      .prefault({})
      .describe(
        'Documents by the name of the service: a file, `{ url }`, or `{ path }` of the service itself. Files of the key `openapi` of services and routes are used without being named here.',
      ),
  })
  .describe('One OpenAPI document of all APIs, and pages that show it. Default: off.');

export const openapiSection = defineSection({
  at: 'top',
  key: 'openapi',
  schema: openapiSchema,
  /** Null: no pages. */
  compile(options, context): OpenApiPlan | null {
    if (options === undefined) return null;
    const { path, docs, redoc, title, undescribed, services, ...rest } = options;
    const route = (suffix: string, at: string, movedBy: string, authenticated = false): void =>
      context.addRoute({
        id: `${SERVICE}/${suffix}`,
        service: SERVICE,
        path: at,
        methods: ['GET', 'HEAD'],
        movedBy: `openapi.${movedBy}`,
        authenticated,
      });
    if (path !== 'off') {
      for (const kind of ['json', 'yaml']) {
        route(kind, `${path}.${kind}`, 'path');
        for (const audience of ['signed-in', 'admin'])
          route(`${audience}.${kind}`, `${path}/${audience}.${kind}`, 'path', true);
      }
    }
    for (const [name, page] of Object.entries({ docs, redoc })) {
      if (page === 'off') continue;
      if (path === 'off') context.problem('needs openapi.path: the page shows that document', { at: [name] });
      route(name, page, name);
      route(`${name}/files`, `${page}/*`, name);
    }
    return {
      ...rest,
      path: path === 'off' ? null : path,
      docs: docs === 'off' ? null : docs,
      redoc: redoc === 'off' ? null : redoc,
      title: title ?? null,
      listUndescribed: undescribed === 'list',
      sources: Object.entries(services).flatMap(([name, written]) => compileSource(name, written, context)),
    };
  },
});

function compileSource(name: string, written: z.output<typeof source>, context: SectionContext): DocumentSource[] {
  const at = ['services', name];
  if (!context.services.includes(name)) {
    context.problem('there is no such service', { at, expected: `one of ${context.services.join(', ')}` });
    return [];
  }
  if (typeof written === 'string' || 'file' in written) {
    const { file, basePath: base } = typeof written === 'string' ? { file: written, basePath: undefined } : written;
    // Read again when the document is made; this says early when it is not there, and has it watched.
    if (context.readText(file, { at }) === undefined) return [];
    return [{ service: name, at: { kind: 'file', file: context.resolve(file) }, basePath: base ?? null }];
  }
  const { refresh: refreshMs, basePath: base } = written;
  const place =
    'url' in written
      ? ({ kind: 'url', url: written.url, refreshMs } as const)
      : ({ kind: 'path', path: written.path, refreshMs } as const);
  return [{ service: name, at: place, basePath: base ?? null }];
}
