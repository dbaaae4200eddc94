// biome-ignore-all lint/suspicious/noTemplateCurlyInString: it is the syntax under test
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import * as fc from 'fast-check';
import { compile } from './compile.ts';
import type { LoadResult } from './load.ts';
import { loadConfig } from './load.ts';
import { moduleSource } from './module-source.ts';
import { formatProblem } from './problems.ts';

const folder = mkdtempSync(join(tmpdir(), 'load-'));
after(() => rmSync(folder, { recursive: true, force: true }));

function write(name: string, text: string | Uint8Array): string {
  const file = join(folder, name);
  writeFileSync(file, text);
  return file;
}

function said(result: LoadResult): string[] {
  return result.ok ? [] : result.problems.map(formatProblem);
}

test('a file that is missing, a folder, not text or of no known kind is one problem each', async () => {
  mkdirSync(join(folder, 'folder.yaml'));
  write('latin1.yaml', new Uint8Array([0x61, 0x3a, 0x20, 0xe9]));
  write('config.toml', '');
  const rows = [
    ['absent.yaml', 'absent.yaml: the file cannot be read: it does not exist'],
    ['absent.ts', 'absent.ts: the file cannot be read: it does not exist'],
    ['folder.yaml', 'folder.yaml: the file cannot be read: it is a folder'],
    ['latin1.yaml', 'latin1.yaml: the file cannot be read: it is not UTF-8'],
    [
      'config.toml',
      'config.toml: the kind of the file is not known (expected .yaml, .yml, .json, .ts, .mts, .js or .mjs)',
    ],
  ] as const;
  for (const [file, want] of rows) assert.deepEqual(said(await loadConfig({ file, cwd: folder })), [want]);
});

test('a file that is empty, or of comments alone, is refused: it would open what a real one keeps closed', async () => {
  for (const [name, text] of [
    ['empty.yaml', ''],
    ['comments.yaml', '# routes: later\n\n'],
    ['braces.yaml', '{}'],
    ['braces.json', '{}'],
    ['line.yaml', '---\n'],
  ] as const) {
    const result = await loadConfig({ file: write(name, text), env: { PORT: '8000' } });
    assert.match(said(result).join(), /the file holds no configuration/, name);
  }
});

test('what Kubernetes says of services beside the pod is no setting', async () => {
  const file = write('pod.yaml', 'routes: []\ngateway: { port: 9000 }\n');
  for (const [value, port] of [
    ['tcp://10.96.0.12:80', 9_000],
    ['8080', 8_080],
  ] as const) {
    const result = await loadConfig({ file, env: { GATEWAY_PORT: value, GATEWAY_SERVICE_HOST: '10.96.0.12' } });
    assert.equal(result.ok && result.config.document.gateway.port, port, value);
  }
});

test('a store URL is checked as the start would read it, and no part of its password is shown', async () => {
  for (const stores of [
    'redis: "redis://:p@ss/w#rd@host:6379/x"',
    'redis: "redis://:pssw@ho st"',
    'sql: "postgres://u:p/ssw@host/db"',
  ]) {
    const result = await loadConfig({ file: write('stores.yaml', `stores: { ${stores} }\n`) });
    const text = said(result).join();
    assert.equal(result.ok, false, stores);
    assert.doesNotMatch(text, /p@ss|pssw|ss\/w|p\/ss|w#rd/, text);
  }
});

test('a byte order mark is no problem', async () => {
  assert.ok((await loadConfig({ file: write('bom.json', '\uFEFF{"gateway": {"port": 0}}') })).ok);
});

test('a document that is handed in has keys and no places, and its texts are left as they are', async () => {
  const refused = await loadConfig({ document: { gateway: { prot: 1 } } });
  assert.deepEqual(said(refused), ['gateway: unknown key "prot"; did you mean "port"?']);
  const result = await loadConfig({ document: { gateway: { name: '${X}' } }, env: { X: 'y' } });
  assert.ok(result.ok);
  assert.equal(result.config.document.gateway.name, '${X}');
});

test('without env no variable of the process counts', async () => {
  const result = await loadConfig({ document: {} });
  assert.ok(result.ok);
  assert.equal(result.config.document.gateway.port, 8000);
});

test('a TypeScript file is read afresh each time, with what it imports', async () => {
  const text = (name: string): string => `export const name: string = '${name}';\n`;
  write('part.ts', text('one'));
  const file = write('fresh.ts', `import { name } from './part.ts';\nexport default { gateway: { name } };\n`);
  const nameOf = async (): Promise<string | undefined> => {
    const result = await loadConfig({ file });
    return result.ok ? result.config.document.gateway.name : undefined;
  };
  assert.equal(await nameOf(), 'one');
  write('part.ts', text('two'));
  assert.equal(await nameOf(), 'two');
});

test('a TypeScript file that never ends is ended', async () => {
  const file = write('endless.ts', 'for (;;) {}\n');
  const { source, problems } = await moduleSource(file, 'endless.ts', {}, 300);
  assert.equal(source, undefined);
  assert.deepEqual(problems.map(formatProblem), ['endless.ts: the file did not finish within 300 ms']);
});

test('a TypeScript file that ends its process ends only its thread', async () => {
  const file = write('exit.ts', 'process.exit(3);\n');
  assert.deepEqual(said(await loadConfig({ file, cwd: folder })), [
    `${file}: the file ended the process before it exported a document`,
  ]);
});

test('a TypeScript file sees the environment that is handed in and no other', async () => {
  const file = write(
    'env.ts',
    "export default { gateway: { name: process.env['GH_NAME'] + String(process.env['HOME']) } };\n",
  );
  const result = await loadConfig({ file, env: { GH_NAME: 'edge-' } });
  assert.ok(result.ok);
  assert.equal(result.config.document.gateway.name, 'edge-undefined');
});

// Random documents: nearly right ones find more than noise does.
const KEYS = [
  'gateway',
  'services',
  'routes',
  'registry',
  'instances',
  'url',
  'match',
  'path',
  'service',
  'respond',
  'retries',
  'timeouts',
  'connect',
  'tls',
  'a',
  'b',
  '__proto__',
  'constructor',
  'listeners',
  'port',
  'circuitBreaker',
  'loadBalancing',
  'algorithm',
  'x-note',
  'auth',
  'split',
  'rewrite',
  'redirect',
  'fallback',
  'sticky',
  'healthCheck',
  'discovery',
];
const leaf = fc.oneof(
  fc.constantFrom(
    'http://127.0.0.1:1',
    '/a/:id/*',
    '/a',
    'a',
    'public',
    'off',
    'unlimited',
    'random',
    '5s',
    '${A}',
    '',
    'unix:',
    '(',
    'toString',
  ),
  fc.integer(),
  fc.double(),
  fc.boolean(),
  fc.constant(null),
  fc.string(),
);
const { document } = fc.letrec((tie) => ({
  value: fc.oneof({ depthSize: 'small' }, leaf, fc.array(tie('value'), { maxLength: 4 }), tie('document')),
  document: fc.dictionary(fc.constantFrom(...KEYS), tie('value'), { maxKeys: 5 }),
}));

test('no document makes loading or compiling throw, and every refusal says why', async () => {
  await fc.assert(
    fc.asyncProperty(document, async (value) => {
      const loaded = await loadConfig({ document: value });
      if (!loaded.ok) return assert.ok(loaded.problems.length > 0);
      const compiled = compile(loaded.config);
      if (!compiled.ok) assert.ok(compiled.problems.length > 0);
    }),
    { numRuns: 400 },
  );
});

const VALID = {
  gateway: { port: 0, limits: { maxFields: 50 }, trustProxy: ['10.0.0.0/8'], accessLog: 'stdout' },
  services: {
    a: {
      instances: [{ url: 'http://127.0.0.1:1', weight: 2 }],
      retries: { attempts: 1 },
      circuitBreaker: {},
      fallback: { service: 'b' },
    },
    b: {
      instances: ['http://127.0.0.1:2'],
      loadBalancing: { algorithm: 'random' },
      healthCheck: { path: '/h' },
      sticky: { key: '0123456789abcdef' },
    },
  },
  routes: [
    {
      match: { path: '/a/:id/*', hosts: ['a.example'], headers: { 'x-a': { regex: '[0-9]+' } } },
      service: [{ service: 'a' }, { service: 'b', weight: 0 }],
      split: { sticky: {} },
      auth: 'public',
    },
    { auth: 'public', match: { path: '/b' }, redirect: { location: '/c', status: 301 } },
    { auth: 'public', match: { path: '/v1/c' }, respond: { json: [1] }, version: { name: 'v1', sunset: '2030-01-01' } },
  ],
};

/** Every place in the valid document, to put something else there. */
function placesOf(value: unknown, path: readonly (string | number)[] = []): (readonly (string | number)[])[] {
  if (typeof value !== 'object' || value === null) return [path];
  const entries = Array.isArray(value) ? [...value.entries()] : Object.entries(value);
  return [path, ...entries.flatMap(([key, inner]) => placesOf(inner, [...path, key]))];
}

function replaced(value: unknown, path: readonly (string | number)[], by: unknown): unknown {
  const [key, ...rest] = path;
  if (key === undefined) return by;
  const copy = (Array.isArray(value) ? [...value] : { ...(value as object) }) as Record<string | number, unknown>;
  copy[key] = replaced(copy[key], rest, by);
  return copy;
}

test('nothing put anywhere into a valid document makes loading or compiling throw', async () => {
  assert.deepEqual(said(await loadConfig({ document: VALID })), []);
  const places = fc.constantFrom(...placesOf(VALID));
  await fc.assert(
    fc.asyncProperty(places, fc.oneof(leaf, document), async (path, value) => {
      const loaded = await loadConfig({ document: replaced(VALID, path, value) });
      if (!loaded.ok) return assert.ok(loaded.problems.every(({ message }) => message !== ''));
      const compiled = compile(loaded.config);
      if (!compiled.ok) assert.ok(compiled.problems.some(({ severity }) => severity === 'error'));
    }),
    { numRuns: 600 },
  );
});

test('no text of a YAML file makes loading throw', async () => {
  const noise = fc.array(
    fc.oneof(
      fc.constantFrom(
        'gateway:',
        'services:',
        'routes:',
        '\n',
        '  ',
        '- ',
        '{',
        '}',
        '[',
        ']',
        ': ',
        '${A}',
        '${',
        '&a ',
        '*a ',
        '<<: ',
        '"',
        "'",
        '|',
        '>',
        '!!binary ',
        '---',
        '? ',
        '\t',
        '#',
      ),
      fc.string({ maxLength: 4 }),
    ),
    { maxLength: 30 },
  );
  await fc.assert(
    fc.asyncProperty(noise, async (parts) => {
      const result = await loadConfig({ file: write('noise.yaml', parts.join('')) });
      if (!result.ok) assert.ok(result.problems.length > 0);
    }),
    { numRuns: 400 },
  );
});
