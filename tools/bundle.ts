/**
 * `npm run compile`, and part of `npm run build`: compiles the package and puts its modules together. Node would find,
 * read and link hundreds of them one by one in each thread of a gateway; all of them become some 300 files of
 * `dist/bundle`. What several entries share, or what is loaded later, is a file of its own, so that no thread loads
 * more than before. Where a module is loaded by its path (the package's exports, threads, programs), there is a module
 * of one line that leads there. Names are not shortened; the map beside each file leads to the source. Each thread
 * keeps the text of what it runs, so comments and indents are left out, and every character is ASCII: for one that is
 * not (a section sign in a comment) Node keeps the whole file with two bytes a character.
 *
 * What is not ours stays a package, installed beside; but for those that a configuration cannot be read without, which
 * are put in for the same reason, with their licences.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { basename, dirname, join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build, type OutputFile, type Plugin } from 'esbuild';

const ROOT = fileURLToPath(new URL('../', import.meta.url));
const SOURCE = join(ROOT, 'src');

/**
 * Modules that are loaded by their path; one that is missing here is missing in the package. Those of one group may
 * meet in one thread: what they share is one module.
 */
const GROUPS: readonly (readonly string[])[] = [
  ['index', 'cli/gatehouse', 'cluster-client/index', 'registry/index'],
  [
    'data/worker',
    'data/auth/authorize/check-authorizer',
    'data/contract/balancer',
    'data/contract/user-policy',
    'data/user-policies/check-policy',
    'testing/index',
  ],
  ['control/config/build-worker'],
  ['control/config/module-worker'],
  ['control/events/bridge-thread'],
  ['control/identity/password-hashing/hash-thread'],
];

/** Packages that are put in: those that read a configuration, and those that must share a `zod` with them. */
const INSIDE = [
  '@asteasolutions/zod-to-openapi',
  '@hono/zod-openapi',
  '@hono/zod-validator',
  'hono',
  'openapi3-ts',
  'yaml',
  'zod',
];

/** As esbuild writes paths. */
const inside = (folder: string, path: string): string => relative(folder, path).split(sep).join('/');
const folderOf = (name: string): string => join(ROOT, 'node_modules', name);

/** Other packages are left to Node; a module of ours knows its own place, wherever it was put. */
const ours: Plugin = {
  name: 'ours',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^[^./]/ }, ({ path, kind }) => {
      if (kind === 'entry-point' || INSIDE.some((name) => path === name || path.startsWith(`${name}/`)))
        return undefined;
      return { path, external: true };
    });
    onLoad({ filter: /\.ts$/ }, async ({ path }) => {
      if (!path.startsWith(SOURCE)) return undefined;
      const place = inside(SOURCE, path).replace(/\.ts$/, '.js');
      const text = await readFile(path, 'utf8');
      return {
        contents: text.replaceAll('import.meta.url', `new URL('../${place}', import.meta.url).href`),
        loader: 'ts',
      };
    });
  },
};

/** Compiles all of it into a folder, such as `dist`; `more` are modules that a package has no need of by themselves. */
export async function compile(dist: string, more: readonly string[] = []): Promise<void> {
  const groups = [...GROUPS, ...more.map((entry) => [entry])];
  const folder = join(dist, 'bundle');
  const files = new Map<string, string | Uint8Array>([['LICENSES.txt', INSIDE.map(licence).join('\n\n')]]);
  for (const group of groups) {
    for (const { path, contents } of await bundle(group)) files.set(basename(path), contents);
  }
  // Nothing is written before all of it is there: a mistake in the source leaves the former package as it was.
  mkdirSync(folder, { recursive: true });
  for (const [name, contents] of files) writeFileSync(join(folder, name), contents);
  // Last, and only those: a gateway that was started from here before may still load what did not change.
  for (const file of readdirSync(folder)) if (!files.has(file)) rmSync(join(folder, file));
  for (const entry of groups.flat()) {
    const file = join(dist, `${entry}.js`);
    mkdirSync(dirname(file), { recursive: true });
    const up = '../'.repeat(entry.split('/').length - 1) || './';
    writeFileSync(file, `export * from '${up}bundle/${flat(entry)}.js';\n`);
  }
}

/** Maps too. What only code without use imports is left out: nothing leads there. */
async function bundle(entries: readonly string[]): Promise<OutputFile[]> {
  const { metafile, outputFiles } = await build({
    absWorkingDir: ROOT,
    entryPoints: Object.fromEntries(entries.map((entry) => [flat(entry), `src/${entry}.ts`])),
    outdir: 'dist/bundle',
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node24',
    // What Node finds by that name is CommonJS.
    alias: { yaml: join(folderOf('yaml'), 'browser/index.js') },
    // A thread that is ended while a module waits at its top takes the process along (nodejs/node#62114).
    supported: { 'top-level-await': false },
    // Constants are put in where they are used: joined modules have them in variables, whose value V8 cannot count on.
    minifySyntax: true,
    minifyWhitespace: true,
    // Places in stack traces can still be found without the map.
    lineLimit: 120,
    charset: 'ascii',
    sourcemap: 'linked',
    sourcesContent: false,
    plugins: [ours],
    metafile: true,
    write: false,
    logLevel: 'warning',
  });
  const { outputs } = metafile;
  const reached = new Set<string>();
  const reach = (path: string): void => {
    const output = outputs[path];
    if (output === undefined || reached.has(path)) return;
    reached.add(path);
    for (const each of output.imports) reach(each.path);
  };
  for (const entry of entries) reach(`dist/bundle/${flat(entry)}.js`);
  return outputFiles.filter(({ path }) => reached.has(inside(ROOT, path).replace(/\.map$/, '')));
}

function flat(entry: string): string {
  return entry.replaceAll('/', '-');
}

/** Two carry no text: they are of the authors of `hono`, by the same licence, whose text is here too. */
function licence(name: string): string {
  const folder = folderOf(name);
  const about = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as Record<'version' | 'license', string>;
  const file = join(folder, 'LICENSE');
  const text = existsSync(file) ? readFileSync(file, 'utf8') : '';
  return `${name} ${about.version}, ${about.license}\n\n${text}`.trimEnd();
}

if (import.meta.main) await compile(join(ROOT, 'dist'));
