import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { parse } from 'yaml';
import * as z from 'zod';
import type { JsonSchema } from '../src/control/config/json-schema.ts';
import { editorSchema, inputSchema } from '../src/control/config/json-schema.ts';
import { loadConfig } from '../src/control/config/load.ts';
import { formatProblem } from '../src/control/config/problems.ts';
import { textSource } from '../src/control/config/text-source.ts';
import { anchors } from '../test/docs/markdown.ts';
import { generatedFiles } from './generate-reference.ts';

const ROOT = new URL('../', import.meta.url);
const folder = mkdtempSync(join(tmpdir(), 'reference-'));
after(() => rmSync(folder, { recursive: true, force: true }));

function read(path: string): string {
  return readFileSync(new URL(path, ROOT), 'utf8');
}

for (const [path, text] of Object.entries(generatedFiles())) {
  test(`${path} is up to date`, () => {
    assert.ok(
      read(path) === text,
      `${path} differs: run "npx node tools/generate-reference.ts" and commit what it writes`,
    );
  });
}

/** The schema as an editor reads it. */
const schema = z.fromJSONSchema(editorSchema() as never);

function accepted(document: unknown): void {
  const result = schema.safeParse(document);
  assert.ok(result.success, JSON.stringify(result.error?.issues));
}

test('the JSON Schema accepts the document of Enhanced', () => {
  accepted(JSON.parse(read('test/golden/enhanced.json')));
});

for (const path of readdirSync(new URL('examples/', ROOT), { recursive: true, encoding: 'utf8' })) {
  if (!/(^|\/)gatehouse\.(ya?ml|json)$/.test(path) || path.includes('node_modules')) continue;
  test(`the JSON Schema accepts examples/${path}`, () => accepted(parse(read(`examples/${path}`))));
}

test('the JSON Schema accepts what loading accepts in the golden files, substitutions included', () => {
  const seen: string[] = [];
  for (const name of readdirSync(new URL('test/golden/cases/', ROOT))) {
    const kind = /\.(yaml|json)\.golden$/.exec(name)?.[1] as 'yaml' | 'json' | undefined;
    const [input = '', result = ''] = read(`test/golden/cases/${name}`).split('\n----\n');
    if (kind === undefined || !/^ok$/m.test(result) || input === '') continue;
    // With every variable as its own token, as an editor sees the file.
    const tokens = Object.fromEntries(
      [...input.matchAll(/\$\{([A-Z_]+)/g)].map(([, variable]) => [variable, `\${${variable}}`]),
    );
    const { source } = textSource(`${input}\n`, name, kind, tokens);
    accepted(source?.value ?? {});
    seen.push(name);
  }
  assert.ok(seen.length > 10, `${seen.length} files`);
});

const refused = [
  { gateway: { prot: 1 } },
  { gateway: { port: 70_000 } },
  { gateway: { timeouts: { head: 'soon' } } },
  { routes: [{ respond: {} }] },
  { services: { a: { loadBalancing: { algorithm: 'randon' } } } },
];
for (const document of refused) {
  test(`the JSON Schema refuses ${JSON.stringify(document)}`, () =>
    assert.equal(schema.safeParse(document).success, false));
}

test('every key says what it means', () => {
  const silent: string[] = [];
  const walk = (at: JsonSchema, path: string): void => {
    for (const branch of [at, ...(at.anyOf ?? []), ...(at.oneOf ?? [])]) {
      for (const [key, inner] of Object.entries(branch.properties ?? {})) {
        if (inner.description === undefined) silent.push(`${path}.${key}`);
        walk(inner, `${path}.${key}`);
      }
      if (typeof branch.additionalProperties === 'object') walk(branch.additionalProperties, `${path}.<name>`);
      if (branch.items !== undefined) walk(branch.items, `${path}[]`);
    }
  };
  walk(inputSchema(), '');
  assert.deepEqual(silent, []);
});

for (const [path, text] of Object.entries(generatedFiles()).filter(([path]) => path.endsWith('.md'))) {
  test(`every link of ${path} leads to a heading or a file`, () => {
    const own = anchors({ path, text });
    const all = [...text.matchAll(/\]\(([^()\s]+)\)/g)].map((match) => match[1] ?? '');
    assert.ok(all.length > 0);
    const broken = all.filter((link) => {
      if (link.startsWith('#')) return !own.has(link.slice(1));
      return !existsSync(new URL(link.replace(/#.*/, ''), new URL(path, ROOT)));
    });
    assert.deepEqual([...new Set(broken)], []);
  });
}

for (const page of ['docs/guide/configuration.md', 'README.md'].filter((path) => existsSync(new URL(path, ROOT)))) {
  test(`every YAML example of ${page} loads`, async () => {
    const blocks = [...read(page).matchAll(/```yaml\n([\s\S]*?)```/g)].map((match) => match[1] ?? '');
    for (const block of blocks) {
      const file = join(folder, 'gatehouse.yaml');
      writeFileSync(file, block);
      const loaded = await loadConfig({ file });
      assert.deepEqual(loaded.ok ? [] : loaded.problems.map(formatProblem), []);
    }
  });
}
