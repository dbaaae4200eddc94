/**
 * Request targets and hosts: what is accepted means the same to the WHATWG URL parser, which half of the world's
 * services use; what the path check lets pass is a path that no reading shortens; nothing throws.
 */
import assert from 'node:assert/strict';
import { Authority, pathProblem, readAuthority, readTarget, Target } from '../../src/data/parser/target.ts';
import { corpus, type FuzzTarget } from './support/target.ts';

const STRICT = {
  strict: true,
  allowDotSegments: false,
  allowDoubleSlash: false,
  allowEncodedSlash: false,
  allowEncodedBackslash: false,
  allowEncodedDot: false,
};
const METHODS = ['GET', 'OPTIONS', 'CONNECT'];

export const target: FuzzTarget = {
  name: 'target',
  seeds: corpus('target'),
  check(input) {
    const host = checkAuthority(input);
    return METHODS.map((method) => checkTarget(input, method)).join(' | ') + host;
  },
};

function checkTarget(input: string, method: string): string {
  const read = new Target();
  const problem = readTarget(input, method, read);
  if (problem !== undefined) return problem;
  // Nothing else is ever forwarded: the path in one spelling, the query as it came.
  assert.match(read.path, /^(?:[A-Za-z0-9\-._~!$&'()*+,;=:@/]|%[0-9A-Fa-f]{2})*$/);
  assert.doesNotMatch(read.query, /[\0-\x20\x7f]/);
  const tail = read.path + (read.hasQuery ? `?${read.query}` : '');
  if (read.form === 'origin' && !read.isRespelled) assert.equal(tail, input);
  if (read.form === 'origin' && read.isRespelled) assertSpelled(input, tail);
  if (read.form === 'absolute') {
    const authority = new Authority();
    assert.equal(readAuthority(read.authority!, authority), undefined);
    // A last label such as `0x7f` makes the URL parser look for an IPv4 address; to a gateway it is a name.
    if (URL.canParse(input)) checkUrl(new URL(input), read, authority);
    else assert.match(authority.host, /(^|\.)(0x[0-9a-f]*|[0-9]+)$|^xn--|\.xn--/);
  }
  const unsafe = pathProblem(read.path, read.isRespelled, STRICT);
  if (!read.isSuspicious && read.path !== '*' && read.form !== 'authority')
    assert.equal(unsafe, undefined, 'a path that was not marked as suspicious is unsafe');
  if (unsafe === undefined && (read.form === 'origin' || read.form === 'absolute')) checkSafe(read.path);
  return `${read.form} ${unsafe ?? 'safe'}`;
}

/** Encoding only made what it stands for visible: decoded once, both are the same bytes. */
function assertSpelled(input: string, tail: string): void {
  const decoded = (text: string): string =>
    text.replaceAll(/%([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  const query = input.includes('?') ? input.indexOf('?') : input.length;
  assert.equal(tail.slice(tail.length - (input.length - query)), input.slice(query));
  assert.equal(decoded(tail.slice(0, tail.length - (input.length - query))), decoded(input.slice(0, query)));
}

function checkUrl(url: URL, read: Target, authority: Authority): void {
  assert.equal(url.username + url.password, '');
  assert.equal(`${read.scheme}:`, url.protocol);
  if (authority.port >= 0)
    assert.equal(url.port, authority.port === defaultPort(read.scheme) ? '' : `${authority.port}`);
}

function checkSafe(path: string): void {
  assert.equal(new URL(`http://h${path}`).pathname, path, 'the URL parser reads another path');
  const decoded = decodeURIComponent(path);
  assert.doesNotMatch(decoded, /[\0-\x1f\x7f\\]/);
  assert.equal(decoded.split('/').length, path.split('/').length, 'decoding makes a slash');
  for (const segment of decoded.split('/')) assert.doesNotMatch(segment, /^\.{1,2}(;|$)/);
}

function checkAuthority(input: string): string {
  const read = new Authority();
  if (readAuthority(input, read) !== undefined || input === '') return '';
  assert.equal(read.host, read.host.toLowerCase());
  assert.ok(read.port >= -1 && read.port <= 65_535);
  const again = new Authority();
  assert.equal(readAuthority(read.host, again), undefined, 'a host that was accepted is not one');
  assert.equal(again.host, read.host);
  assert.doesNotMatch(read.host, /[/?#@\s\\%]/);
  return read.host.startsWith('[') ? ' +v6' : ' +host';
}

function defaultPort(scheme: string): number {
  return scheme === 'https' ? 443 : 80;
}
