/** RFC 9110 §12.5.1: what is read of Accept, and what is passed over. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { acceptedQuality, parseAccept } from './accept.ts';

test('ranges, weights and version parameters', () => {
  const rows: { value: string; want: string[] }[] = [
    { value: '', want: [] },
    { value: 'text/html', want: ['text/html - 1000'] },
    { value: 'Text/HTML;q=0.5 , */*; Q=0.001', want: ['text/html - 500', '*/* - 1'] },
    { value: 'a/b;version=2;q=1.000', want: ['a/b 2 1000'] },
    { value: 'a/b; VERSION="V2" ; q=0', want: ['a/b 2 0'] },
    { value: 'a/b;v=3', want: ['a/b 3 1000'] },
    { value: 'a/b;v=3;version=4;v=5', want: ['a/b 4 1000'] },
    { value: 'a/b;x="a,b;version=9";version="\\2"', want: ['a/b 2 1000'] },
    { value: ',, a/b ,', want: ['a/b - 1000'] },
    { value: 'a/b;;x;=;version=2', want: ['a/b 2 1000'] },
    { value: 'a/b;q=2, a/b;q=0.1234, a/b;q=-1, a/b;q=, c/d', want: ['c/d - 1000'] },
    { value: 'a, /b, a/, a b/c, a/b/c, é/x, c/d', want: ['c/d - 1000'] },
    { value: 'a/b;x="never closed, c/d', want: ['a/b - 1000'] },
  ];
  for (const { value, want } of rows) {
    const read = parseAccept(value).map(({ type, version, quality }) => `${type} ${version ?? '-'} ${quality}`);
    assert.deepEqual(read, want, value);
  }
  assert.equal(parseAccept('a/b,'.repeat(100)).length, 32);
});

test('how gladly a version is taken: named, another one named, none named', () => {
  const type = { base: 'application/vnd.acme', suffix: '+json' };
  const rows: { value: string; want: number }[] = [
    { value: '*/*', want: -1 },
    { value: 'application/vnd.acme+json', want: -1 },
    { value: 'application/vnd.acme+xml;version=2', want: -1 },
    { value: 'application/vnd.acmes.v2+json', want: -1 },
    { value: 'application/vnd.acme.+json', want: -1 },
    { value: 'application/vnd.acme+json;version=2', want: 1_000 },
    { value: 'application/vnd.acme.2+json;q=0.4', want: 400 },
    { value: 'application/vnd.acme.v2+json;q=0.4, application/vnd.acme+json;v=2;q=0.6', want: 600 },
    { value: 'application/vnd.acme.v3+json', want: 0 },
    { value: 'application/vnd.acme.v2+json;q=0', want: 0 },
  ];
  for (const { value, want } of rows) assert.equal(acceptedQuality(parseAccept(value), type, '2'), want, value);
  const bare = { base: 'application/vnd.acme', suffix: '' };
  assert.equal(acceptedQuality(parseAccept('application/vnd.acme.v2+json'), bare, '2'), -1);
  assert.equal(acceptedQuality(parseAccept('application/vnd.acme.v2'), bare, '2'), 1_000);
});
