/**
 * The documents are right: every YAML block in them is configuration that `gatehouse check` accepts and that compiles
 * when it is written in TypeScript, every TypeScript block compiles, every link leads somewhere.
 *
 * The convention for writers: a block is a whole configuration or a part of one, as the keys at its left edge say (of
 * the document, of one service, of one route, or a list of routes); what a part leaves out is added here. A block of
 * another kind says so: `# projects.yaml` in its first line names another file, `apiVersion:` is Kubernetes, and
 * anything behind the language (```yaml sketch) takes it out. A TypeScript or proto block whose first line is
 * `// name.ts` is the file of that name for the blocks of its page.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { EventEmitter } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { parse } from 'yaml';
import { main } from '../../src/cli/gatehouse.ts';
import { TEST_CERTIFICATE, TEST_KEY } from '../support/test-certificate.ts';
import { anchors, type Block, blocks, CHECKOUT, links, type Page, pages } from './markdown.ts';

type Mapping = Record<string, unknown>;

const PAGES = pages();
const FOLDER = mkdtempSync(join(tmpdir(), 'gatehouse-docs-'));
after(() => rmSync(FOLDER, { recursive: true, force: true }));

const SCHEMA = JSON.parse(readFileSync(`${CHECKOUT}schema/gatehouse.schema.json`, 'utf8')) as Mapping;

describe('configuration in the documents', () => {
  for (const page of PAGES) {
    const configurations = blocks(page).filter(isConfiguration);
    if (configurations.length === 0) continue;
    test(page.path, async () => {
      for (const block of configurations) {
        const document = completed(parse(quoted(block.text)) as unknown, block);
        const problems = await check(document, page, block);
        assert.equal(problems, '', `${block.place}\n${problems}`);
      }
    });
  }

  test('there is some, so that the rules above are about something', () => {
    assert.ok(PAGES.flatMap(blocks).filter(isConfiguration).length > 30);
  });
});

function isConfiguration({ language, info, text }: Block): boolean {
  if (language !== 'yaml' || info !== '' || text.startsWith('apiVersion:')) return false;
  const named = /^# ?([\w-]+\.\w+)/.exec(text)?.[1];
  return named === undefined || named.startsWith('gatehouse.');
}

/** A part of a configuration, with what is needed around it. */
function completed(part: unknown, block: Block): Mapping {
  const document = surrounded(part, block);
  const services = (document['services'] ?? {}) as Mapping;
  for (const name of servicesNamed(document)) services[name] ??= { instances: [{ url: 'http://127.0.0.1:4001' }] };
  if (Object.keys(services).length > 0) document['services'] = services;
  // Parts that ask who is calling leave out how that is known.
  document['identity'] ??= { enabled: true };
  return document;
}

function surrounded(part: unknown, { place }: Block): Mapping {
  const instances = [{ url: 'http://127.0.0.1:4001' }];
  const route = { match: { path: '/documented' }, service: 'documented', auth: 'public' };
  if (Array.isArray(part)) return { routes: part.map((entry: Mapping) => ({ auth: 'public', ...entry })) };
  assert.ok(typeof part === 'object' && part !== null, `${place}: neither a mapping nor a list`);
  const keys = Object.keys(part);
  const all = (known: ReadonlySet<string>): boolean => keys.every((key) => known.has(key));
  if (all(keysAt([]))) return { ...part };
  if (all(keysAt(['services', '*']))) return { services: { documented: { instances, ...part } }, routes: [route] };
  if (all(keysAt(['routes', '0']))) return { routes: [{ ...route, ...part }] };
  assert.fail(`${place}: these keys belong to no one place: ${keys.join(', ')}`);
}

/** Names in `service:`, wherever it stands, alone or in weighted lists. */
function servicesNamed(value: unknown, key = ''): Set<string> {
  if (typeof value === 'string') return new Set(key === 'service' && !value.startsWith('builtin:') ? [value] : []);
  if (typeof value !== 'object' || value === null) return new Set();
  return new Set(
    Object.entries(value).flatMap(([name, inner]) => [...servicesNamed(inner, Array.isArray(value) ? key : name)]),
  );
}

/** Keys that the schema knows at a place; `*` is any key of a mapping, `0` any entry of a list. */
function keysAt(path: readonly string[]): ReadonlySet<string> {
  let at: Mapping[] = [SCHEMA];
  for (const step of path) at = at.flatMap((schema) => alternatives(schema)).flatMap((schema) => inside(schema, step));
  return new Set(at.flatMap(alternatives).flatMap((schema) => Object.keys((schema['properties'] ?? {}) as Mapping)));
}

function inside(schema: Mapping, step: string): Mapping[] {
  if (step === '0') return schema['items'] === undefined ? [] : [schema['items'] as Mapping];
  if (step === '*')
    return typeof schema['additionalProperties'] === 'object' ? [schema['additionalProperties'] as Mapping] : [];
  const property = ((schema['properties'] ?? {}) as Mapping)[step];
  return property === undefined ? [] : [property as Mapping];
}

function alternatives(schema: Mapping): Mapping[] {
  const reference = schema['$ref'] as string | undefined;
  if (reference !== undefined) {
    const target = reference
      .slice(2)
      .split('/')
      .reduce<unknown>((value, step) => (value as Mapping)[step], SCHEMA);
    return alternatives(target as Mapping);
  }
  const choices = (schema['anyOf'] ?? schema['oneOf'] ?? schema['allOf']) as Mapping[] | undefined;
  return choices === undefined ? [schema] : [schema, ...choices.flatMap(alternatives)];
}

/** What `gatehouse check` has to say; nothing when it is right. Files and variables that are named are there. */
async function check(document: Mapping, page: Page, block: Block): Promise<string> {
  const folder = join(FOLDER, 'checked', block.place.replace(/\W/g, '-'));
  mkdirSync(folder, { recursive: true });
  for (const { text, language } of blocks(page)) {
    const isNamed = language === 'ts' || language === 'proto';
    const name = isNamed ? /^\/\/ ([\w-]+\.(?:ts|proto))\n/.exec(text)?.[1] : undefined;
    if (name !== undefined) writeFileSync(join(folder, name), text);
  }
  for (const file of filesNamed(document)) if (!existsSync(join(folder, file))) writeFixture(join(folder, file));
  const file = join(folder, 'gatehouse.json');
  writeFileSync(file, JSON.stringify(document, null, 1));
  linkPackage(folder);
  let said = '';
  const code = await main(['check', file], {
    cwd: folder,
    env: variablesNamed(block.text),
    signals: new EventEmitter(),
    exit: () => {},
    out: () => {},
    err: (text) => {
      said += text;
    },
  });
  return code === 0 ? '' : said.replaceAll(folder, '');
}

const LONG = 'a-value-that-is-long-enough-to-be-a-secret-0123456789';

/** The loader reads `${NAME}` before it reads YAML; for a plain parser it has to be quoted. */
function quoted(text: string): string {
  return text.replace(/(?<=[\s[,])\$\{[^}]*\}(?=[\s,\]}]|$)/gm, '"$&"');
}

function variablesNamed(text: string): Record<string, string> {
  const names = [...text.matchAll(/\$\{(\w+)\}/g)].map((match) => match[1]!);
  return Object.fromEntries(names.map((name) => [name, name.endsWith('URL') ? 'redis://127.0.0.1:6379' : LONG]));
}

function filesNamed(value: unknown): string[] {
  if (typeof value === 'string') return /^(\.\/)?[\w/-]+\.(txt|pem|key|crt|ts|yaml|json)$/.test(value) ? [value] : [];
  if (typeof value !== 'object' || value === null) return [];
  return Object.values(value).flatMap(filesNamed);
}

function writeFixture(file: string): void {
  mkdirSync(dirname(file), { recursive: true });
  if (file.endsWith('.pem')) {
    const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    writeFileSync(file, publicKey.export({ type: 'spki', format: 'pem' }));
  } else if (file.endsWith('.yaml')) {
    // The one kind of YAML file that keys name and whose content matters: an OpenAPI document.
    writeFileSync(
      file,
      'openapi: 3.1.0\ninfo: { title: A, version: "1" }\npaths: { /pets: { get: { responses: {} } } }\n',
    );
  } else if (file.endsWith('.crt')) {
    writeFileSync(file, TEST_CERTIFICATE);
  } else if (file.endsWith('.key')) {
    writeFileSync(file, TEST_KEY);
  } else if (file.endsWith('.txt')) {
    writeFileSync(file, '203.0.113.0/24\n');
  }
}

/** The package by its name, made of the sources. */
function linkPackage(folder: string): void {
  const modules = join(folder, 'node_modules', 'gatehouse');
  if (existsSync(modules)) return;
  mkdirSync(modules, { recursive: true });
  const entries = {
    '.': 'index.ts',
    './balancer': 'data/contract/balancer.ts',
    './policy': 'data/contract/user-policy.ts',
    './testing': 'testing/index.ts',
    './registry': 'registry/index.ts',
  };
  const exports = Object.fromEntries(Object.keys(entries).map((entry, i) => [entry, `./${i}.ts`]));
  Object.values(entries).forEach((source, i) => {
    symlinkSync(`${CHECKOUT}src/${source}`, join(modules, `${i}.ts`));
  });
  writeFileSync(join(modules, 'package.json'), JSON.stringify({ name: 'gatehouse', type: 'module', exports }));
}

test('TypeScript in the documents compiles', { timeout: 280_000 }, async () => {
  const root = compilerFolder('compiled');
  // What a page may leave open.
  writeFileSync(join(root, 'docs', 'open.d.ts'), 'declare const token: string;\n');
  let count = 0;
  for (const page of PAGES) {
    const mine = blocks(page).filter(({ language, info }) => language === 'ts' && info === '');
    const folder = join(root, 'docs', page.path.replace(/\W/g, '-'));
    if (mine.length > 0) mkdirSync(folder, { recursive: true });
    for (const [i, { text, place }] of mine.entries()) {
      const name = /^\/\/ ([\w-]+)\.ts\n/.exec(text)?.[1] ?? `block-${i}`;
      // A module even if it neither imports nor exports, with the place for the compiler's messages.
      writeFileSync(join(folder, `${name}.ts`), `${text}export {}; // ${place}\n`);
      count++;
    }
  }
  const source = (path: string): string[] => [join(CHECKOUT, 'src', path)];
  const paths = {
    gatehouse: source('index.ts'),
    'gatehouse/balancer': source('data/contract/balancer.ts'),
    'gatehouse/policy': source('data/contract/user-policy.ts'),
    'gatehouse/testing': source('testing/index.ts'),
    'gatehouse/cluster': source('cluster-client/index.ts'),
    'gatehouse/registry': source('registry/index.ts'),
  };
  assert.equal(await compiled(root, paths), '');
  assert.ok(count >= 5);
});

test('configuration in the documents compiles as an argument of defineConfig', { timeout: 280_000 }, async () => {
  const root = compilerFolder('configurations');
  const configurations = PAGES.flatMap(blocks).filter(isConfiguration);
  for (const block of configurations) {
    const document = JSON.stringify(completed(withDefaults(parse(quoted(block.text))), block), null, 1);
    const program = `import { defineConfig } from 'gatehouse';\n// ${block.place}\nexport default defineConfig(${document});\n`;
    writeFileSync(join(root, 'docs', `${block.place.replace(/\W/g, '-')}.ts`), program);
  }
  assert.equal(await compiled(root, { gatehouse: [join(CHECKOUT, 'src/control/config/define.ts')] }), '');
  assert.ok(configurations.length > 30);
});

/** What stands behind `:-` in variables, as a program would have it: numbers are numbers. */
function withDefaults(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withDefaults);
  if (typeof value === 'string') {
    const preset = /^\$\{\w+:-(\d+|true|false)\}$/.exec(value)?.[1];
    return preset === undefined ? value : (JSON.parse(preset) as unknown);
  }
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, withDefaults(inner)]));
}

/** A folder beside the sources, whose `docs` are to be compiled. */
function compilerFolder(name: string): string {
  const root = join(FOLDER, name);
  mkdirSync(join(root, 'docs'), { recursive: true });
  symlinkSync(`${CHECKOUT}src`, join(root, 'src'));
  symlinkSync(`${CHECKOUT}node_modules`, join(root, 'node_modules'));
  writeFileSync(join(root, 'package.json'), JSON.stringify({ type: 'module' }));
  return root;
}

/** What the compiler says of the files in `docs` under a folder. */
async function compiled(root: string, paths: Readonly<Record<string, readonly string[]>>): Promise<string> {
  const { compilerOptions } = JSON.parse(readFileSync(`${CHECKOUT}tsconfig.json`, 'utf8')) as Mapping;
  const options = { ...(compilerOptions as Mapping), noUnusedLocals: false, noUnusedParameters: false, paths };
  const settings = { compilerOptions: options, include: ['docs', 'src/base/buffer.d.ts'] };
  writeFileSync(join(root, 'tsconfig.json'), JSON.stringify(settings));
  const compiler = join(CHECKOUT, 'node_modules/.bin/tsc');
  const { stdout } = await promisify(execFile)(compiler, ['-p', '.'], { cwd: root }).catch(
    (error: { stdout: string }) => error,
  );
  return stdout;
}

test('every link between the documents leads to a file, and to a heading in it', () => {
  const broken: string[] = [];
  for (const page of PAGES) {
    for (const link of links(page)) {
      if (/^[a-z]+:/.test(link)) continue;
      const [path = '', anchor] = link.split('#');
      const target = path === '' ? page.path : join(dirname(page.path), decodeURIComponent(path));
      if (!existsSync(CHECKOUT + target)) {
        broken.push(`${page.path}: ${link}: no such file`);
        continue;
      }
      const other = PAGES.find((candidate) => candidate.path === target);
      // The links of the generated pages to themselves are their generator's business.
      const isGenerated = other === page && page.path.startsWith('docs/reference/');
      if (anchor !== undefined && other !== undefined && !isGenerated && !anchors(other).has(anchor))
        broken.push(`${page.path}: ${link}: no such heading`);
    }
  }
  assert.deepEqual(broken, []);
});
