// biome-ignore-all lint/suspicious/noTemplateCurlyInString: it is the syntax under test
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { textSource } from './text-source.ts';

const env = { PORT: '8000', NAME: 'gate "house"', NOTHING: '' };

test('a JSON file means what the same text means as YAML, variables and all', () => {
  const texts = fc.constantFrom(
    'a',
    '<<',
    '${PORT}',
    '${NOTHING:-}',
    'at ${NAME}:${PORT}',
    '$${PORT}',
    '${A:-${B:-c}}',
  );
  const { tree } = fc.letrec((tie) => ({
    tree: fc.oneof({ maxDepth: 4 }, texts, fc.integer(), fc.boolean(), fc.constant(null), tie('list'), tie('mapping')),
    list: fc.array(tie('tree'), { maxLength: 4 }),
    mapping: fc.dictionary(fc.constantFrom('a', 'b', '1', 'gateway', 'port "x"'), tie('tree'), { maxKeys: 4 }),
  }));
  fc.assert(
    fc.property(tree, (value) => {
      const text = JSON.stringify({ value }, null, 2);
      const [json, yaml] = [textSource(text, 'f', 'json', env), textSource(text, 'f', 'yaml', env)];
      assert.deepEqual(json.problems, yaml.problems);
      assert.deepEqual(json.source?.value, yaml.source?.value);
      assert.deepEqual(json.source?.environmentValues, yaml.source?.environmentValues);
      assert.deepEqual(json.source?.place(['value'], 'value'), yaml.source?.place(['value'], 'value'));
    }),
    { numRuns: 500 },
  );
});

test('what JSON.parse would pass over is refused where it stands', () => {
  const refused: Record<string, string> = {
    '{\n "a": 1,\n "b\\":": 2,\n "a": 3 }': '4:2: the key "a" is there twice',
    '{ "a": { "b": "${GONE}" } }': '1:15: the environment variable GONE is not set',
    '{ "a": "${PORT" , "b": "}" }': '1:8: "${PORT\\" , \\"b\\": \\"}" is not a substitution',
    '{ "${PORT}": 1 }': '1:3: a key cannot come out of the environment',
    '{ "__proto__": {} }': '1:3: this key is not allowed',
    [`{ "a": ${'['.repeat(70)}${']'.repeat(70)} }`]: '1:72: the document is too large or nested too deeply',
  };
  for (const [text, wanted] of Object.entries(refused)) {
    const [problem] = textSource(text, 'f', 'json', env).problems;
    assert.equal(`${problem?.line}:${problem?.column}: ${problem?.message}`, wanted);
  }
});

test('ten thousand routes are read in a small part of the time that YAML takes', () => {
  const routes = Array.from({ length: 10_000 }, (_, i) => ({ match: { path: `/r${i}/*` }, service: `s${i % 500}` }));
  const text = JSON.stringify({ routes });
  const timed = (kind: 'yaml' | 'json'): number => {
    const began = process.cpuUsage().user;
    assert.ok(textSource(text, 'f', kind, env).source);
    return process.cpuUsage().user - began;
  };
  const yaml = timed('yaml');
  const json = timed('json');
  assert.ok(json < yaml / 3, `${json} µs for JSON, ${yaml} µs for YAML`);
});
