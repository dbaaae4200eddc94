/**
 * What may be matched against traffic: which expressions pass, which are refused, and that those that pass are fast.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { literalPrefix, MAX_REGEX_LENGTH, matchesEverything, regexProblem, wholeRegex } from './safe-regex.ts';

const ACCEPTED = [
  '/items/(?<id>\\d+)',
  '/(en|de|fr|es|it|et|el|eu)/docs/.*',
  '/(en|en-US|en-GB)/x',
  '/files/.+\\.(jpg|jpeg|png)',
  '/v\\d+/[^/]+/x',
  '^/a/.*$',
  '/a/.*?',
  '(?:/[^/]+)*',
  '/(?:[a-z]+-)*[0-9]+',
  '/[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}',
  '/\\d{1,3}(?:\\.\\d{1,3}){3}',
  '/users/[^/]+/posts/[^/]+/.+\\.md',
  '[\\w-]+/[\\u{61}-z]',
  '/a?a?b',
  '/x{2,4}y{3,}',
  '.*',
  '',
  'a|b',
  '[]a',
  '.*/\\.ht[\\s\\S]*',
  '(?:.*\\.(env|git)|.*ab)[\\s\\S]*',
  '/\\x41\\u0042\\cJ\\0\\n[\\b\\]]',
];

const REFUSED: readonly { source: string; want: RegExp }[] = [
  { source: '(a+)+b', want: /exponential/ },
  { source: '(a|a)*b', want: /exponential/ },
  { source: '(a|ab|b)*c', want: /exponential/ },
  { source: '(\\d*\\d)*x', want: /exponential/ },
  { source: '([a-z]+)*x', want: /exponential/ },
  { source: '(.*)*', want: /can be empty is repeated/ },
  { source: '(a?)+', want: /can be empty is repeated/ },
  { source: '(a?|b?)c', want: /alternatives can be empty/ },
  { source: '.*x.*y', want: /quadratic/ },
  { source: '.*x.*y[\\s\\S]*', want: /quadratic/ },
  { source: '(a+)+b[\\s\\S]*', want: /exponential/ },
  { source: '(?:a|.*b[\\s\\S]*)', want: /quadratic/ },
  { source: '.*x\\p{L}*', want: /quadratic/ },
  { source: '/.+/.+/z', want: /quadratic/ },
  { source: '\\d+\\d+x', want: /quadratic/ },
  { source: '.*a[ab]*c', want: /quadratic/ },
  { source: `${'(a|a)'.repeat(7)}b`, want: /too many alternatives/ },
  { source: `${'a?'.repeat(20)}b`, want: /too many alternatives/ },
  { source: '(a)\\1', want: /back reference/ },
  { source: '(?<n>a)\\k<n>', want: /back reference/ },
  { source: '(?=a)b', want: /looking ahead/ },
  { source: '(?<!a)b', want: /looking ahead/ },
  { source: '(?i:a)', want: /modifiers/ },
  { source: 'a{1,1000}', want: /too large/ },
  { source: '(((a{20}){20}){20}){20}', want: /too large/ },
  { source: '(', want: /Unterminated group/ },
  { source: 'a\\_', want: /escape/i },
  { source: 'a'.repeat(MAX_REGEX_LENGTH + 1), want: /longer than/ },
];

test('what is linear is accepted', () => {
  for (const source of ACCEPTED) assert.equal(regexProblem(source), undefined, source);
});

test('what can be made slow, or cannot be judged, is refused with the reason', () => {
  for (const { source, want } of REFUSED) assert.match(regexProblem(source) ?? 'accepted', want, source);
});

test('every accepted expression answers at once on a long text made to annoy it', () => {
  const texts = ['a', 'ab', '/', '/a', '0', 'a-', '.jpg', '/1.', 'x.md/'].map((piece) => piece.repeat(20_000));
  for (const source of ACCEPTED) {
    const regex = wholeRegex(source);
    for (const text of texts) {
      const start = process.cpuUsage().user;
      regex.test(`${text}!`);
      // A quadratic expression takes a second here, a linear one a millisecond; the bound is far from both.
      assert.ok(process.cpuUsage().user - start < 400_000, `${source} on ${text.slice(0, 12)}`);
    }
  }
});

test('a whole expression matches nothing less than the whole text', () => {
  assert.equal(wholeRegex('a|b').test('ax'), false);
  assert.equal(wholeRegex('a|b').test('b'), true);
  assert.throws(() => wholeRegex('(a+)+'), /exponential/);
});

test('the literal prefix is what every match begins with', () => {
  const rows = [
    { source: '/api/v1/(?<id>\\d+)', want: '/api/v1/' },
    { source: '^/a\\.b/.*', want: '/a.b/' },
    { source: '/a|/b', want: '' },
    { source: '/ab?', want: '/a' },
    { source: '/(?:x/y)z', want: '/x/yz' },
    { source: '/é', want: '/é' },
    { source: '/[a]b', want: '/ab' },
    { source: '(', want: '' },
  ];
  for (const { source, want } of rows) assert.equal(literalPrefix(source), want, source);
});

test('an expression that matches everything is known as such', () => {
  for (const source of ['.*', '/.*', '^/.*$', '(.*)', '(/.*)']) assert.equal(matchesEverything(source), true, source);
  for (const source of ['.+', '/a.*', '', '/.*x']) assert.equal(matchesEverything(source), false, source);
});
