/**
 * `npm run executable [-- --out DIR]`: one file that runs without Node on the machine: this Node with the compiled
 * gateway and the packages it uses inside (https://nodejs.org/api/single-executable-applications.html), for the
 * platform it is made on. Beside it `SHA256SUMS` and a bill of materials (CycloneDX) of the packages inside. Default
 * folder: `release`.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { constants, zstdCompressSync } from 'node:zlib';

const ROOT = fileURLToPath(new URL('../', import.meta.url));
const OWN = ['bin', 'console', 'dist', 'schema', 'package.json', 'LICENSE', 'CHANGELOG.md'];
/** What a running package reads of itself; types, maps and prose are left out. */
const NEEDED = /\.(c|m)?js$|\.(json|node|wasm|css|html|svg|txt|proto|ts)$|(^|\/)(LICEN[CS]E|NOTICE|COPYING)[^/]*$/i;
const LEFT_OUT = /\.d\.[cm]?ts$/;

const { values } = parseArgs({ options: { out: { type: 'string', default: 'release' } } });
const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string };

const files = [...OWN.flatMap((part) => filesOf(join(ROOT, part), false)), ...packages().flatMap(packageFiles)];
const { entries, bytes } = archive(files);
const out = values.out;
mkdirSync(out, { recursive: true });
const program = join(out, `gatehouse-${version}-${process.platform}-${process.arch}`);
build(program);
const bill = join(out, `gatehouse-${version}.cdx.json`);
writeFileSync(bill, npm('sbom', '--sbom-format', 'cyclonedx', '--omit', 'dev', '--package-lock-only'));
const sums = [program, bill].map((file) => `${sha256(readFileSync(file), 'hex')}  ${basename(file)}\n`);
writeFileSync(join(out, 'SHA256SUMS'), sums.join(''));
console.log(program);

function filesOf(path: string, isPackage: boolean): string[] {
  const entries = readdirSync(join(path, '..'), { withFileTypes: true });
  if (entries.find(({ name }) => name === basename(path))?.isFile()) return [path];
  return readdirSync(path, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((file) => {
      const inside = relative(path, file).split(sep).join('/');
      return NEEDED.test(inside) && !LEFT_OUT.test(inside) && !(isPackage && inside.startsWith('node_modules/'));
    });
}

/** A package without those inside it, which are packages of their own. */
function packageFiles(folder: string): string[] {
  return filesOf(folder, true);
}

/** Folders of the packages that are installed for use, not for development, by the lock file. */
function packages(): string[] {
  const { packages: locked } = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8')) as {
    packages: Readonly<Record<string, { dev?: boolean }>>;
  };
  return Object.entries(locked)
    .filter(([path, { dev = false }]) => path !== '' && !dev && !path.includes('/@types/'))
    .map(([path]) => join(ROOT, path))
    .filter((folder) => existsSync(folder));
}

function npm(...args: string[]): string {
  return execFileSync('npm', args, { cwd: ROOT, encoding: 'utf8', maxBuffer: 64 * 1024 ** 2 });
}

type Entry = readonly [path: string, offset: number, length: number];

function archive(paths: readonly string[]): { entries: readonly Entry[]; bytes: Buffer } {
  const parts: Buffer[] = [];
  const entries: Entry[] = [];
  let offset = 0;
  for (const path of [...paths].sort()) {
    const part = readFileSync(path);
    entries.push([relative(ROOT, path).split(sep).join('/'), offset, part.length]);
    parts.push(part);
    offset += part.length;
  }
  return { entries, bytes: Buffer.concat(parts) };
}

/** What is looked for at each start: all of ours, and that each package is there. */
function isNeeded(path: string): boolean {
  return !path.startsWith('node_modules/') || /^node_modules\/(@[^/]+\/)?[^/]+\/package\.json$/.test(path);
}

function build(output: string): void {
  const folder = mkdtempSync(join(tmpdir(), 'gatehouse-executable-'));
  try {
    const asset = (name: string, content: string | Buffer): string => {
      writeFileSync(join(folder, name), content);
      return join(folder, name);
    };
    const level = { params: { [constants.ZSTD_c_compressionLevel]: 12 } };
    const assets = {
      index: asset('index', JSON.stringify(entries)),
      needed: asset(
        'needed',
        JSON.stringify(entries.filter(([path]) => isNeeded(path)).map(([path, , length]) => [path, length])),
      ),
      files: asset('files', zstdCompressSync(bytes, level)),
      name: asset('name', `${version}-${sha256(bytes, 'base64url').slice(0, 16)}`),
    };
    const settings = {
      main: join(ROOT, 'tools/executable/main.mjs'),
      mainFormat: 'module',
      output,
      disableExperimentalSEAWarning: true,
      // As many threads of V8 as there are cores beside one; bin/gatehouse.js says why.
      execArgv: ['--disable-warning=ExperimentalWarning', '--v8-pool-size=0'],
      execArgvExtension: 'none',
      assets,
    };
    execFileSync(process.execPath, ['--build-sea', asset('sea.json', JSON.stringify(settings))], { stdio: 'ignore' });
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function sha256(content: Buffer, form: 'hex' | 'base64url'): string {
  return createHash('sha256').update(content).digest(form);
}
