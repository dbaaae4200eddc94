// biome-ignore-all lint/suspicious/noTemplateCurlyInString: it is the syntax under test
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import type { KeyPath } from '../../data/contract/options.ts';
import type { ConfigSource } from './source.ts';
import { textSource } from './text-source.ts';

function sourceOf(text: string, kind: 'yaml' | 'json' = 'yaml', env: Record<string, string> = {}): ConfigSource {
  const { source, problems } = textSource(text, 'f', kind, env);
  assert.deepEqual(problems, []);
  assert.ok(source);
  return source;
}

const YAML = `# a comment
gateway:
  port: 8000
services:
  a: { instances: [ { url: u } , v ] }
  b:
    instances:
      - w
`;
const places: readonly { path: KeyPath; part: 'key' | 'value'; want: string }[] = [
  { path: [], part: 'value', want: '2:1' },
  { path: ['gateway', 'port'], part: 'key', want: '3:3' },
  { path: ['gateway', 'port'], part: 'value', want: '3:9' },
  { path: ['services', 'a', 'instances', 0, 'url'], part: 'value', want: '5:28' },
  { path: ['services', 'a', 'instances', 1], part: 'value', want: '5:34' },
  { path: ['services', 'b', 'instances', 0], part: 'value', want: '8:9' },
  { path: ['services', 'b', 'timeout'], part: 'value', want: '6:3' },
  { path: ['services', 'c', 'timeout'], part: 'value', want: '4:1' },
];

for (const { path, part, want } of places) {
  test(`the ${part} of ${JSON.stringify(path)} is at ${want}`, () => {
    const { line, column } = sourceOf(YAML).place(path, part);
    assert.equal(`${line}:${column}`, want);
  });
}

test('JSON has the same places as YAML, tabs and escapes included', () => {
  const source = sourceOf('{\n\t"a": { "b\\u0063": [1, "x\\ty"] }\n}\n', 'json');
  assert.deepEqual(source.value, { a: { bc: [1, 'x\ty'] } });
  assert.deepEqual(source.place(['a', 'bc', 1], 'value'), { file: 'f', line: 2, column: 24 });
});

test('a variable’s content is never read as syntax', () => {
  const env = { V: '1\nadmin: true', Q: '"}, x: {' };
  assert.deepEqual(sourceOf('a: ${V}\nb: { c: ${Q}, d: "${Q}" }', 'yaml', env).value, {
    a: '1\nadmin: true',
    b: { c: '"}, x: {', d: '"}, x: {' },
  });
  assert.deepEqual(sourceOf('{"a": "${Q}"}', 'json', env).value, { a: '"}, x: {' });
});

test('nesting without end and aliases without end are refused, not suffered', () => {
  const deep = textSource('['.repeat(50_000), 'f', 'yaml', {});
  assert.equal(deep.source, undefined);
  const bomb = ['x0: &x0 [a, a, a, a, a, a, a, a, a, a]'];
  for (let level = 1; level < 12; level++) {
    bomb.push(`x${level}: &x${level} [${Array.from({ length: 10 }, () => `*x${level - 1}`).join(', ')}]`);
  }
  const { problems } = textSource(bomb.join('\n'), 'f', 'yaml', {});
  assert.match(problems[0]?.message ?? '', /too large/);
  for (const first of ['{}', '{ a: 1 }']) {
    const merges = [`x0: &x0 ${first}`];
    for (let level = 1; level < 12; level++)
      merges.push(`x${level}: &x${level} { <<: [${Array.from({ length: 10 }, () => `*x${level - 1}`).join(', ')}] }`);
    const merged = textSource(merges.join('\n'), 'f', 'yaml', {});
    assert.match(merged.problems[0]?.message ?? '', /too large/);
  }
});

test('an alias stands for the last node before it that has the anchor', () => {
  const text = 'a: &x 1\nb: *x\nc: [&x 2, *x]\nd: { <<: &z { e: 3 }, f: *x }\ng: *z\n';
  assert.deepEqual(sourceOf(text, 'yaml').value, { a: 1, b: 1, c: [2, 2], d: { f: 2, e: 3 }, g: { e: 3 } });
  const { problems } = textSource('a: *x\nb: &x 1\n', 'f', 'yaml', {});
  assert.match(problems[0]?.message ?? '', /no anchor "&x" before this alias/);
});

test('ten thousand routes may each have aliases', () => {
  const shared = Array.from({ length: 20 }, (_, i) => `k${i}: ${i}`).join(', ');
  const routes = Array.from({ length: 10_000 }, (_, i) => `  - { path: /a${i}, cors: *c, <<: *m }`);
  const text = `x-c: &c { ${shared} }\nx-m: &m { auth: public }\nroutes:\n${routes.join('\n')}\n`;
  const sinceMs = performance.now();
  const { routes: read } = sourceOf(text, 'yaml').value as { routes: { path: string; cors: object; auth: string }[] };
  const last = read.at(-1)!;
  assert.deepEqual(
    [read.length, last.path, Object.keys(last.cors).length, last.auth],
    [10_000, '/a9999', 20, 'public'],
  );
  // Each of them looked for in the whole document took minutes.
  assert.ok(performance.now() - sinceMs < 20_000);
});

test('what JSON could not say is refused where it stands: tags of other kinds, dates of YAML 1.1', () => {
  const kinds = ['!!binary aGVsbG8=', '!!set {a, b}', '!!omap [a: 1]', '!!timestamp 2001-01-01', '!own x'];
  for (const kind of kinds) {
    const { problems } = textSource(`a: ${kind}\n`, 'f.yaml', 'yaml', {});
    assert.ok(
      problems.some(({ key, line, severity }) => severity === 'error' && line === 1 && (key === 'a' || key === '')),
      kind,
    );
  }
  const dated = textSource('%YAML 1.1\n---\na: 2001-01-01\n', 'f.yaml', 'yaml', {});
  assert.deepEqual(
    dated.problems.map(({ key, line }) => [key, line]),
    [['a', 3]],
  );
  const plain = textSource('a: !!str 5\nb: !!int 7\nc: !!seq [x]\nd: !!map {e: 1}\n', 'f.yaml', 'yaml', {});
  assert.deepEqual([plain.source?.value, plain.problems], [{ a: '5', b: 7, c: ['x'], d: { e: 1 } }, []]);
});

test('any JSON value comes through as JSON.parse reads it', () => {
  // A key twice, "__proto__" and tokens have a meaning of their own.
  const isPlain = (text: string): boolean =>
    !text.includes('__proto__') && !text.includes('${') && !/[\uE000-\uF8FF]/.test(text);
  fc.assert(
    fc.property(fc.json().filter(isPlain), (text) => {
      assert.deepEqual(sourceOf(text, 'json').value, JSON.parse(text));
    }),
  );
});

test('whatever is read as JSON, JSON.parse reads as well', () => {
  const noise = fc.string({ unit: fc.constantFrom(...'{}[]",:\'#&*-\n\t 01ae\\') });
  fc.assert(
    fc.property(noise, (text) => {
      const { source, problems } = textSource(text, 'f', 'json', {});
      if (source !== undefined && problems.length === 0) assert.deepEqual(source.value, JSON.parse(text));
    }),
    { numRuns: 2_000 },
  );
});
