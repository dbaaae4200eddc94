/**
 * The pages `docs` (Swagger UI) and `redoc`: a page each, a script of ours that starts the library, and the library
 * itself as npm has it, served from here. A fixed list of files, so that no request names a path. The policy of the
 * pages (CSP) lets no script in but these: a description that a service wrote cannot become one.
 */
import { hash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export interface PageFacts {
  readonly kind: 'docs' | 'redoc';
  /** Path of the page, such as `/docs`. */
  readonly path: string;
  readonly title: string;
  /** Prefix of the documents, such as `/openapi`. */
  readonly documents: string;
  readonly servers: readonly string[];
  readonly tryIt: boolean;
}

const OWN = fileURLToPath(new URL('../../../console/', import.meta.url));
/** Beside compiled code: copied there when it is built, so that nobody installs what the libraries were made of. */
const BUILT = fileURLToPath(new URL('../../vendor/', import.meta.url));

const FILES: Readonly<Record<PageFacts['kind'], Readonly<Record<string, () => string>>>> = {
  docs: {
    'swagger-ui.js': () => vendored('swagger-ui-dist', 'swagger-ui-bundle.js'),
    'swagger-ui.css': () => vendored('swagger-ui-dist', 'swagger-ui.css'),
    'page.js': () => join(OWN, 'api-docs.js'),
    'page.css': () => join(OWN, 'api-docs.css'),
  },
  redoc: {
    'redoc.js': () => vendored('redoc', 'bundles/redoc.standalone.js'),
    'page.js': () => join(OWN, 'api-redoc.js'),
    'page.css': () => join(OWN, 'api-docs.css'),
  },
};

function vendored(name: string, file: string): string {
  const built = join(BUILT, name, file.split('/').at(-1) ?? file);
  if (existsSync(built)) return built;
  return join(dirname(createRequire(import.meta.url).resolve(`${name}/package.json`)), file);
}

const TYPES: Readonly<Record<string, string>> = {
  css: 'text/css; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
};

interface Served {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly etag: string;
}
const kept = new Map<string, Promise<Served>>();

/** `name` is what follows the path of the page and a slash; empty for the page itself. */
export async function pageFile(facts: PageFacts, name: string, ifNoneMatch: string | null): Promise<Response> {
  if (name === '') return respond(tagged(page(facts)), 'text/html; charset=utf-8', facts, ifNoneMatch);
  const path = Object.hasOwn(FILES[facts.kind], name) ? FILES[facts.kind][name]!() : undefined;
  if (path === undefined) return new Response('there is no such file\n', { status: 404 });
  if (!kept.has(path)) kept.set(path, load(path));
  return respond(
    await kept.get(path)!,
    TYPES[name.slice(name.lastIndexOf('.') + 1)] ?? 'text/plain',
    facts,
    ifNoneMatch,
  );
}

function respond({ bytes, etag }: Served, type: string, facts: PageFacts, ifNoneMatch: string | null): Response {
  const headers = {
    'content-type': type,
    etag,
    'cache-control': 'no-cache',
    'content-security-policy': contentSecurityPolicy(facts),
    'x-content-type-options': 'nosniff',
    'x-frame-options': 'DENY',
    'referrer-policy': 'no-referrer',
    'cross-origin-opener-policy': 'same-origin',
  };
  return ifNoneMatch === etag ? new Response(null, { status: 304, headers }) : new Response(bytes, { headers });
}

function contentSecurityPolicy({ kind, servers }: PageFacts): string {
  const origins = servers.map((url) => new URL(url).origin);
  return [
    "default-src 'none'",
    "script-src 'self'",
    // Redoc makes its styles while it runs and has no way to sign them.
    kind === 'redoc' ? "style-src 'self' 'unsafe-inline'" : "style-src 'self'",
    "img-src 'self' data:",
    "font-src 'self'",
    `connect-src ${["'self'", ...new Set(origins)].join(' ')}`,
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; ');
}

function page({ kind, path, title, documents, tryIt }: PageFacts): string {
  const at = escaped(path);
  const library = kind === 'docs' ? 'swagger-ui.js' : 'redoc.js';
  const styles = kind === 'docs' ? `<link rel="stylesheet" href="${at}/swagger-ui.css">\n` : '';
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escaped(title)}</title>
<link rel="icon" href="data:,">
${styles}<link rel="stylesheet" href="${at}/page.css">
<script src="${at}/${library}" defer></script>
<script src="${at}/page.js" defer></script>
<body data-documents="${escaped(documents)}" data-try="${tryIt}">
<form id="which">
<label>API of <select name="audience"><option value="">everybody</option><option value="signed-in">who is signed in</option><option value="admin">administrators</option></select></label>
<label>with token <input name="token" type="password" autocomplete="off" size="24"></label>
<button>Show</button> <output></output>
</form>
<div id="api"></div>
<noscript>This page needs JavaScript. The document itself: <a href="${escaped(documents)}.json">${escaped(documents)}.json</a></noscript>
</body>
</html>
`;
}

function escaped(text: string): string {
  return text.replace(/[&<>"]/g, (char) => `&#${char.charCodeAt(0)};`);
}

async function load(path: string): Promise<Served> {
  const text = await readFile(path, 'utf8');
  // Redoc shows a picture of its makers from their server; our pages ask nobody else.
  return tagged(
    text.replace(/\n\/[/*]# sourceMappingURL=.*/, '').replaceAll(/https:\/\/cdn\.redoc\.ly\/[\w/.-]+/g, 'data:,'),
  );
}

function tagged(text: string): Served {
  const bytes = new TextEncoder().encode(text);
  return { bytes, etag: `"${hash('sha256', bytes, 'hex').slice(0, 16)}"` };
}
