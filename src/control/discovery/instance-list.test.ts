import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { MAX_LISTED, readInstanceList } from './instance-list.ts';

function read(text: string): unknown {
  const result = readInstanceList(text);
  if ('problem' in result) return result.problem;
  return result.instances.map((instance) => instance.url);
}

describe('a list of instances', () => {
  const good = [
    {
      name: 'YAML texts',
      text: '- http://10.0.0.1:80\n- http://10.0.0.2:4001/\n',
      want: ['http://10.0.0.1', 'http://10.0.0.2:4001'],
    },
    { name: 'JSON', text: '["http://10.0.0.1:81"]', want: ['http://10.0.0.1:81'] },
    {
      name: 'an object with `instances`',
      text: 'instances:\n  - url: https://[::1]:443/api/\n',
      want: ['https://[::1]/api'],
    },
    { name: 'an honest empty list', text: '[]', want: [] },
  ];
  for (const { name, text, want } of good) it(`reads ${name}`, () => assert.deepEqual(read(text), want));

  it('reads every field, in the order of the file', () => {
    const result = readInstanceList(
      '- {url: "http://b:1", weight: 0, zone: eu-1, healthy: false, metadata: {v: "2"}, priority: 3}\n- http://a:1',
    );
    assert.deepEqual(result, {
      instances: [
        { url: 'http://b:1', weight: 0, zone: 'eu-1', healthy: false, metadata: { v: '2' }, priority: 3 },
        { url: 'http://a:1', weight: 1, zone: null, healthy: true, metadata: {}, priority: 0 },
      ],
    });
  });

  const bad = [
    { name: 'an empty file', text: '', want: /^must be a list of instances/ },
    { name: 'a text', text: 'hello', want: /^must be a list of instances/ },
    { name: 'a wrong URL in a text', text: '- http://a:1\n- ftp://x', want: /^entry 1: expected an http or https URL/ },
    {
      name: 'a wrong URL in an object',
      text: '- url: http://u:p@a',
      want: /^entry 0, url: expected a URL without user name/,
    },
    { name: 'a weight that is no number', text: '- {url: "http://a", weight: heavy}', want: /^entry 0, weight: / },
    { name: 'an unknown field', text: '- {url: "http://a", wieght: 2}', want: /^entry 0: Unrecognized key: "wieght"/ },
    {
      name: 'an address that is there twice',
      text: '- http://a:80\n- http://a/',
      want: /^entry 1: http:\/\/a is listed twice/,
    },
    { name: 'broken YAML, with its line', text: '- "http://a\n', want: /at line 2/ },
    {
      name: 'a wrong field below `instances`',
      text: 'instances: [{url: "http://a", zone: 7}]',
      want: /^entry 0, zone: /,
    },
    {
      name: 'too many entries',
      text: JSON.stringify(Array.from({ length: MAX_LISTED + 1 }, (_, n) => `http://a:${n + 1}`)),
      want: /1024/,
    },
  ];
  for (const { name, text, want } of bad) {
    it(`refuses ${name}`, () => {
      const result = read(text);
      assert.ok(typeof result === 'string', `a problem, not ${JSON.stringify(result)}`);
      assert.match(result, want);
    });
  }

  it('refuses aliases that make a small file huge', () => {
    const lines = ['a: &a [x, x, x, x, x, x, x, x, x]'];
    for (let level = 1; level < 9; level++) {
      const above = `*${String.fromCharCode(96 + level)}`;
      const name = String.fromCharCode(97 + level);
      lines.push(`${name}: &${name} [${new Array(9).fill(above).join(', ')}]`);
    }
    assert.match(String(read(lines.join('\n'))), /Excessive alias count/);
  });
});
