/**
 * Serves the documents and the pages as `builtin:api-pages`. A document is made when somebody asks for it, kept, and
 * made again behind the next request when the configuration changed or something fetched may have.
 */
import { hash } from 'node:crypto';
import { stringify } from 'yaml';
import type { ErrorFacts } from '../../base/error-body.ts';
import type { Logger } from '../../base/log.ts';
import type { Audience } from '../audience.ts';
import { gatewayIdentity } from '../gateway-identity.ts';
import { refusalResponse } from '../refusal-response.ts';
import type { Merged } from './merge.ts';
import { pageFile } from './pages.ts';
import type { OpenApiPlan } from './section.ts';
import type { ServiceDocuments } from './sources.ts';
import { type DocumentParts, wholeDocument } from './whole-document.ts';

export interface AppParts {
  readonly current: () => DocumentParts;
  readonly documents: ServiceDocuments;
  readonly log: Logger;
}

const KEPT_MS = 10_000;
const SHOWN_PROBLEMS = 10;
const NOT_FOUND = { status: 404, code: 'RESOURCE_NOT_FOUND', message: 'there is no such document' };
const FORBIDDEN = { status: 403, code: 'INSUFFICIENT_PERMISSIONS', message: 'this needs the role admin' };

interface Made {
  readonly snapshot: DocumentParts['snapshot'];
  readonly merged: Merged;
  readonly atMs: number;
  readonly texts: Map<string, { readonly text: string; readonly etag: string }>;
}

export class ApiPages {
  readonly #parts: AppParts;
  #made: Made | undefined;
  #making: Promise<Made> | undefined;
  #logged = '';

  constructor(parts: AppParts) {
    this.#parts = parts;
  }

  /** Of the newest document; null before the first one. */
  get problems(): readonly string[] | null {
    return this.#made?.merged.problems ?? null;
  }

  readonly fetch = async (request: Request): Promise<Response> => {
    const { plan, snapshot } = this.#parts.current();
    const options = plan.sections.openapi;
    const { pathname } = new URL(request.url);
    if (options === null) return this.#refused(request, NOT_FOUND);
    for (const kind of ['docs', 'redoc'] as const) {
      const path = options[kind];
      if (path === null || options.path === null) continue;
      if (pathname !== path && !pathname.startsWith(`${path}/`)) continue;
      const facts = { kind, path, title: options.title ?? snapshot.gateway.name, documents: options.path };
      const { servers, tryIt } = options;
      return pageFile(
        { ...facts, servers, tryIt },
        pathname.slice(path.length + 1),
        request.headers.get('if-none-match'),
      );
    }
    return await this.#document(request, options, pathname);
  };

  async #document(request: Request, { path, audience: open }: OpenApiPlan, pathname: string): Promise<Response> {
    const found = path === null ? null : /^(?:\/(signed-in|admin))?\.(json|yaml)$/.exec(pathname.slice(path.length));
    if (found === null || !pathname.startsWith(path ?? '')) return this.#refused(request, NOT_FOUND);
    const [, named, kind] = found;
    const audience = (named as Audience | undefined) ?? open;
    if (named === 'admin' && !isAdmin(request)) return this.#refused(request, FORBIDDEN);
    const made = await this.#current();
    const { text, etag } = textOf(made, audience, kind === 'json' ? 'json' : 'yaml');
    const headers = {
      'content-type': kind === 'json' ? 'application/json' : 'application/yaml',
      etag,
      'cache-control': named === undefined ? 'no-cache' : 'private, no-cache',
      'x-content-type-options': 'nosniff',
    };
    if (request.headers.get('if-none-match') === etag) return new Response(null, { status: 304, headers });
    return new Response(text, { headers });
  }

  #refused(request: Request, facts: ErrorFacts): Response {
    return refusalResponse(request, facts, this.#parts.current().snapshot.gateway.errorFormat);
  }

  async #current(): Promise<Made> {
    const parts = this.#parts.current();
    const made = this.#made;
    if (made === undefined || made.snapshot !== parts.snapshot) return await this.#make();
    const refreshes = (parts.plan.sections.openapi?.sources ?? []).map(({ at }) =>
      at.kind === 'file' ? KEPT_MS : at.refreshMs,
    );
    // Old for a moment longer rather than a request that waits for a slow service.
    if (Date.now() - made.atMs > Math.min(KEPT_MS, ...refreshes)) void this.#make().catch(() => {});
    return made;
  }

  #make(): Promise<Made> {
    this.#making ??= this.#build().finally(() => {
      this.#making = undefined;
    });
    return this.#making;
  }

  async #build(): Promise<Made> {
    const parts = this.#parts.current();
    const merged = await wholeDocument(parts, this.#parts.documents);
    const made = { snapshot: parts.snapshot, merged, atMs: Date.now(), texts: new Map() };
    this.#made = made;
    const problems = merged.problems.slice(0, SHOWN_PROBLEMS).join('; ');
    if (problems !== this.#logged && problems !== '')
      this.#parts.log.warn('the API document is not whole', { problems, all: merged.problems.length });
    this.#logged = problems;
    return made;
  }
}

function textOf({ merged, texts }: Made, audience: Audience, kind: 'json' | 'yaml') {
  const key = `${audience} ${kind}`;
  let found = texts.get(key);
  if (found === undefined) {
    const document = merged.forAudience(audience);
    const text = kind === 'json' ? JSON.stringify(document) : stringify(document, { aliasDuplicateObjects: false });
    found = { text, etag: `"${hash('sha256', text, 'hex').slice(0, 16)}"` };
    texts.set(key, found);
  }
  return found;
}

function isAdmin(request: Request): boolean {
  const caller = gatewayIdentity((name) => request.headers.get(name) ?? undefined);
  return caller !== null && caller.issuer === null && caller.roles.includes('admin');
}
