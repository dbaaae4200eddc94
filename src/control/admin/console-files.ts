/**
 * The console's files: pages and scripts of ours (compiled beside this package) and the libraries that they import, as
 * npm installed them. A fixed list, so that no request names a path. Nothing is fetched from elsewhere, and the policy
 * of the page (CSP) allows nothing else: a name that a client chose cannot become a script. The page has its style
 * sheets in it, so that its first paint waits for no other file.
 */
import { hash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';

const TYPES: Readonly<Record<string, string>> = {
  html: 'text/html; charset=utf-8',
  css: 'text/css; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
  svg: 'image/svg+xml',
};
const SHEET = /<link rel="stylesheet" href="([^"]+)" \/>/g;

/** `styles`: sources of style sheets beside the console's own files. */
function policy(styles: readonly string[]): string {
  const style = ["'self'", ...styles].join(' ');
  return `default-src 'none'; script-src 'self'; style-src ${style}; img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'`;
}

const require = createRequire(import.meta.url);
/** `console/` of the package: beside `src/` in a checkout, beside `dist/` when installed. */
const OWN = fileURLToPath(new URL('../../../console/', import.meta.url));

/** Files of packages: where each is, by the package's own entry. */
const VENDORED: Readonly<Record<string, () => string>> = {
  'vendor/preact.js': () => beside('preact', 'preact.mjs'),
  'vendor/hooks.js': () => beside('preact/hooks', 'hooks.mjs'),
  'vendor/signals-core.js': () => beside('@preact/signals-core', 'signals-core.mjs'),
  'vendor/signals.js': () => beside('@preact/signals', 'signals.mjs'),
  'vendor/htm.js': () => beside('htm', 'htm.mjs'),
  'vendor/uplot.js': () => beside('uplot', 'uPlot.esm.js'),
  'vendor/uplot.css': () => beside('uplot', 'uPlot.min.css'),
};
/**
 * What they import by name, a browser finds beside. An import map would need a script in the page, which CSP forbids.
 */
const SPECIFIERS: Readonly<Record<string, string>> = {
  preact: './preact.js',
  'preact/hooks': './hooks.js',
  '@preact/signals-core': './signals-core.js',
};

function beside(name: string, file: string): string {
  return join(dirname(require.resolve(name)), file);
}

const OWN_FILES = new Set([
  'index.html',
  'style.css',
  'app.js',
  'api.js',
  'ui.js',
  'chart.js',
  'instance-rates.js',
  'live.js',
  'pages-overview.js',
  'pages-routes.js',
  'pages-services.js',
  'pages-requests.js',
  'pages-limit.js',
  'pages-limits.js',
  'pages-apis.js',
  'pages-cluster.js',
  'sign-in.js',
  'try-request.js',
  'pages-accounts.js',
  'account.js',
  'pages-changes.js',
  'icon.svg',
]);

interface Served {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly gzip: Uint8Array<ArrayBuffer>;
  readonly etag: string;
  readonly policy: string;
}
const kept = new Map<string, Promise<Served>>();

/** `name` is what stands behind `/console/`, `accepted` the `Accept-Encoding` of the request. */
export async function consoleFile(name: string, accepted = ''): Promise<Response> {
  const file = name === '' ? 'index.html' : name;
  const path = pathOf(file);
  if (path === undefined) return new Response('there is no such file\n', { status: 404 });
  if (!kept.has(file)) kept.set(file, file === 'index.html' ? loadPage(path) : load(path));
  const { bytes, gzip, etag, policy: csp } = await kept.get(file)!;
  const isPacked = /\bgzip\b(?!\s*;\s*q=0(?:\.0*)?(?:,|$))/i.test(accepted);
  return new Response(isPacked ? gzip : bytes, {
    headers: {
      ...(isPacked ? { 'content-encoding': 'gzip' } : {}),
      vary: 'accept-encoding',
      'content-type': TYPES[file.slice(file.lastIndexOf('.') + 1)] ?? 'application/octet-stream',
      // Another representation has another (RFC 9110 §8.8.3.3).
      etag: isPacked ? etag.replace(/"$/, '-gzip"') : etag,
      'cache-control': 'no-cache',
      'content-security-policy': csp,
      'x-content-type-options': 'nosniff',
      'x-frame-options': 'DENY',
      'referrer-policy': 'no-referrer',
      'cross-origin-opener-policy': 'same-origin',
    },
  });
}

function pathOf(file: string): string | undefined {
  return VENDORED[file]?.() ?? (OWN_FILES.has(file) ? join(OWN, file) : undefined);
}

/** CSP knows each sheet by its hash. */
async function loadPage(path: string): Promise<Served> {
  const html = await readFile(path, 'utf8');
  const sheets = new Map<string, string>();
  for (const [, name = ''] of html.matchAll(SHEET)) sheets.set(name, await readFile(pathOf(name)!, 'utf8'));
  const hashes = [...sheets.values()].map((css) => `'sha256-${hash('sha256', css, 'base64')}'`);
  return served(
    html.replace(SHEET, (_, name: string) => `<style>${sheets.get(name)}</style>`),
    hashes,
  );
}

async function load(path: string): Promise<Served> {
  const text = await readFile(path, 'utf8');
  return served(
    text
      .replace(/(\bfrom\s*|\bimport\s*)(["'])([^"'.][^"']*)\2/g, (whole, word: string, _quote: string, name: string) =>
        SPECIFIERS[name] === undefined ? whole : `${word}"${SPECIFIERS[name]}"`,
      )
      .replace(/\n\/\/# sourceMappingURL=.*/, ''),
  );
}

function served(text: string, styles: readonly string[] = []): Served {
  const bytes = new TextEncoder().encode(text);
  return {
    bytes,
    gzip: new Uint8Array(gzipSync(bytes)),
    etag: `"${hash('sha256', bytes, 'hex').slice(0, 16)}"`,
    policy: policy(styles),
  };
}
