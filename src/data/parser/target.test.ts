/** The four forms of a request target, authorities, and what is refused of them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Authority, readAuthority, readTarget, Target } from './target.ts';

const target = new Target();
const authority = new Authority();

test('the parts of a valid target come out byte for byte', () => {
  const rows: { method?: string; target: string; want: Partial<Target> }[] = [
    { target: '/', want: { form: 'origin', path: '/', query: '', hasQuery: false, isSuspicious: false } },
    { target: '/a/b.c', want: { path: '/a/b.c', isSuspicious: false } },
    { target: '/a?b=1&c=%20', want: { path: '/a', query: 'b=1&c=%20', hasQuery: true, isSuspicious: false } },
    { target: '/a?', want: { path: '/a', query: '', hasQuery: true } },
    { target: '/a?b?c/d//', want: { path: '/a', query: 'b?c/d//', isSuspicious: false } },
    { target: "/-._~!$&'()*+,=:@", want: { path: "/-._~!$&'()*+,=:@", isSuspicious: false } },
    { target: '/%41%2f', want: { path: '/%41%2f', isSuspicious: true } },
    { target: '/a;b', want: { path: '/a;b', isSuspicious: true } },
    { target: '/.well-known', want: { path: '/.well-known', isSuspicious: true } },
    { target: '/a//b', want: { path: '/a//b', isSuspicious: true } },
    { target: '//evil.test/x', want: { form: 'origin', path: '//evil.test/x', authority: null, isSuspicious: true } },
    { target: "/a?f[x]={}|\\^`'", want: { path: '/a', query: "f[x]={}|\\^`'" } },
    { method: 'OPTIONS', target: '*', want: { form: 'asterisk', path: '*', query: '' } },
    {
      target: 'http://Example.com:81/a?b',
      want: { form: 'absolute', scheme: 'http', authority: 'Example.com:81', path: '/a', query: 'b' },
    },
    { target: 'HTTPS://a', want: { form: 'absolute', scheme: 'https', authority: 'a', path: '/', hasQuery: false } },
    { target: 'http://a?b', want: { form: 'absolute', authority: 'a', path: '/', query: 'b' } },
    { target: 'http://[::1]:80/', want: { form: 'absolute', authority: '[::1]:80', path: '/' } },
    { method: 'OPTIONS', target: 'http://a:1', want: { form: 'asterisk', authority: 'a:1', path: '*' } },
    { method: 'OPTIONS', target: 'http://a:1/', want: { form: 'absolute', path: '/' } },
    { method: 'CONNECT', target: 'a.test:443', want: { form: 'authority', authority: 'a.test:443', path: '' } },
  ];
  for (const row of rows) {
    assert.equal(readTarget(row.target, row.method ?? 'GET', target), undefined, row.target);
    assert.deepEqual({ ...target, ...row.want }, { ...target }, row.target);
  }
});

test('a target outside the grammar is refused', () => {
  const rows: { method?: string; target: string; want: RegExp }[] = [
    { target: '', want: /neither a path/ },
    { target: 'a', want: /neither a path/ },
    { target: '*', want: /only OPTIONS/ },
    { target: '*a', want: /neither a path/ },
    { target: 'a.test:80', want: /neither a path/ },
    { target: 'ftp://a/', want: /neither a path/ },
    { target: 'http:/a', want: /neither a path/ },
    { target: '/a#b', want: /fragment/ },
    { target: 'http://a#b', want: /fragment/ },
    { target: '/a b', want: /must be percent-encoded/ },
    { target: '/a\x7f', want: /must be percent-encoded/ },
    { target: '/\u0100', want: /must be percent-encoded/ },
    { target: '/a?b c', want: /must be percent-encoded/ },
    { target: '/a?\r', want: /must be percent-encoded/ },
    { target: '/a?\0', want: /must be percent-encoded/ },
    { target: '/a?\u0100', want: /must be percent-encoded/ },
    { target: 'http:///a', want: /host or port/ },
    { target: 'http://user@a/', want: /host or port/ },
    { target: 'http://a:b/', want: /host or port/ },
    { target: 'http://a\\b/', want: /host or port/ },
    { target: 'http://[::1/', want: /host or port/ },
    { method: 'CONNECT', target: '/a', want: /host and a port/ },
    { method: 'CONNECT', target: 'a.test', want: /host and a port/ },
    { method: 'CONNECT', target: 'http://a.test:1/', want: /host and a port/ },
  ];
  for (const { method, target: text, want } of rows) {
    assert.match(readTarget(text, method ?? 'GET', target) ?? 'accepted', want, text);
  }
});

test('what clients send as it is gets one spelling in the path and stays in the query', () => {
  const latin = (text: string): string => Buffer.from(text).toString('latin1');
  const rows: { target: string; path: string; query?: string }[] = [
    { target: '/a|b', path: '/a%7Cb' },
    { target: '/[1]^`{x}', path: '/%5B1%5D%5E%60%7Bx%7D' },
    { target: '/"<>', path: '/%22%3C%3E' },
    { target: '/a\\b', path: '/a%5Cb' },
    { target: latin('/café/€'), path: '/caf%C3%A9/%E2%82%AC' },
    { target: '/caf\xe9', path: '/caf%E9' },
    { target: '/100%', path: '/100%25' },
    { target: '/%zz/%4/%41%%41', path: '/%25zz/%254/%41%25%41' },
    { target: '/a?100%&b=%zz&c=%', path: '/a', query: '100%&b=%zz&c=%' },
    { target: latin('/a?q=é|[]{}\\^`"<>#\''), path: '/a', query: latin('q=é|[]{}\\^`"<>#\'') },
    { target: 'http://a/x|y?"', path: '/x%7Cy', query: '"' },
  ];
  for (const { target: text, path, query = '' } of rows) {
    assert.equal(readTarget(text, 'GET', target), undefined, text);
    assert.deepEqual({ path: target.path, query: target.query }, { path, query }, text);
    assert.equal(target.isRespelled, !text.includes(path), text);
    assert.equal(target.isSuspicious, target.isRespelled, text);
  }
});

test('nothing of one target is left in the next', () => {
  readTarget('http://a/x?y', 'GET', target);
  readTarget('/z', 'GET', target);
  assert.deepEqual({ ...target }, { ...new Target(), path: '/z' });
});

test('host and port of an authority', () => {
  const rows: { text: string; host: string; port: number }[] = [
    { text: '', host: '', port: -1 },
    { text: 'example.com', host: 'example.com', port: -1 },
    { text: 'EXAMPLE.com:8080', host: 'example.com', port: 8080 },
    { text: 'example.com.', host: 'example.com', port: -1 },
    { text: 'example.com.:80', host: 'example.com', port: 80 },
    { text: 'a:', host: 'a', port: -1 },
    { text: 'my_service-1:0', host: 'my_service-1', port: 0 },
    { text: '127.0.0.1:65535', host: '127.0.0.1', port: 65_535 },
    { text: '[::FFFF:1.2.3.4]:1', host: '[::ffff:1.2.3.4]', port: 1 },
    { text: '[::1]', host: '[::1]', port: -1 },
  ];
  for (const { text, host, port } of rows) {
    assert.equal(readAuthority(text, authority), undefined, text);
    assert.deepEqual({ ...authority }, { host, port }, text);
  }
  const refused = [
    ':80',
    '.',
    '.a',
    'a..b',
    'a..',
    'a b',
    'a/b',
    'a@b',
    'a%2e',
    'a,b',
    'a:b',
    'a:1:2',
    'a:65536',
    'a:000080',
    'a:+1',
    '[::1',
    '[::1]x',
    '[::1]:x',
    '[1.2.3.4]',
    '[fe80::1%25eth0]',
    '[v1.a]',
    'é',
    'a\u0000',
    'a'.repeat(254),
    `${'a'.repeat(254)}.`,
  ];
  for (const text of refused) assert.equal(readAuthority(text, authority), 'the host or port is not valid', text);
});

test('whatever is accepted goes back together to what came, and a URL parser reads the same host and path', () => {
  const piece = fc.constantFrom(
    '/',
    'a',
    'B',
    '%41',
    '%2f',
    '.',
    '..',
    ';',
    ':',
    '@',
    '?',
    '&',
    '=',
    '#',
    '%',
    '|',
    '*',
  );
  const text = fc.array(piece, { maxLength: 12 }).map((pieces) => pieces.join(''));
  const prefix = fc.constantFrom('/', '', 'http://h', 'https://H:1', 'http://u@h', '*');
  fc.assert(
    fc.property(prefix, text, (start, rest) => {
      const input = start + rest;
      if (readTarget(input, 'GET', target) !== undefined) return;
      if (target.isRespelled) return;
      const tail = target.path + (target.hasQuery ? `?${target.query}` : '');
      if (target.form === 'origin') {
        assert.equal(tail, input);
        return;
      }
      if (target.query.includes('#')) return;
      const url = new URL(input);
      const bare = `${target.scheme}://${target.authority}`;
      assert.ok(input === bare + tail || input === bare + tail.slice(1), input);
      assert.equal(readAuthority(target.authority ?? '', authority), undefined);
      assert.equal(url.hostname.replace(/\.$/, ''), authority.host);
      if (!target.path.includes('.')) assert.equal(url.pathname + (target.hasQuery ? `?${target.query}` : ''), tail);
    }),
    { numRuns: 3_000 },
  );
});
