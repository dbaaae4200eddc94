/** What a path becomes, and which results are refused. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { request, route } from '../../../test/support/route-settings.ts';
import type { RewriteSettings } from '../contract/snapshot.ts';
import { compileRewrite } from './rewrite.ts';
import { buildRouter, RouteMatchResult } from './router.ts';

const NONE: RewriteSettings = {
  stripPrefix: null,
  addPrefix: null,
  path: null,
  regex: null,
  host: null,
  response: null,
};

/** As the exchange does it: match, then rewrite. */
function rewrite(match: string, settings: Partial<RewriteSettings>, path: string): string | null {
  const settingsOfRoute = route(match);
  const out = new RouteMatchResult();
  buildRouter([settingsOfRoute]).match(request(`GET ${path}`), out);
  assert.ok(out.route !== null, `${match} does not match ${path}`);
  const change = compileRewrite({ ...NONE, ...settings }, settingsOfRoute.match.path);
  return change === null ? path : change(path, out);
}

test('prefixes, templates and expressions', () => {
  const rows: { match: string; settings: Partial<RewriteSettings>; path: string; want: string | null }[] = [
    { match: '/*', settings: {}, path: '/a', want: '/a' },
    { match: '/*', settings: { host: 'x' }, path: '/a', want: '/a' },
    { match: '/*', settings: { stripPrefix: '/api/v1' }, path: '/api/v1/users', want: '/users' },
    { match: '/*', settings: { stripPrefix: '/api/v1' }, path: '/api/v1', want: '' },
    { match: '/*', settings: { stripPrefix: '/api/v1' }, path: '/api/v1/', want: '/' },
    { match: '/*', settings: { stripPrefix: '/api/v1' }, path: '/api/v10', want: '/api/v10' },
    { match: '/*', settings: { stripPrefix: '/api/v1/' }, path: '/api/v1/a', want: '/a' },
    { match: '/*', settings: { stripPrefix: '/api' }, path: '/api//a//b', want: '/a//b' },
    { match: '/*', settings: { stripPrefix: '/api' }, path: '/api///', want: '/' },
    { match: '/*', settings: { stripPrefix: '/café' }, path: '/caf%c3%a9/a%2fb', want: '/a%2fb' },
    { match: '/*', settings: { stripPrefix: '/a', addPrefix: '/b' }, path: '/a', want: '/b' },
    { match: '/*', settings: { stripPrefix: '/a', addPrefix: '/b' }, path: '/a/', want: '/b/' },
    { match: '/*', settings: { addPrefix: '/x' }, path: '/a', want: '/x/a' },
    { match: '/*', settings: { addPrefix: '/x y/' }, path: '/', want: '/x%20y/' },
    { match: '/*', settings: { stripPrefix: '/a', addPrefix: '/b' }, path: '/a/c', want: '/b/c' },
    { match: '/u/:id', settings: { path: '/v/:id/x' }, path: '/u/7', want: '/v/7/x' },
    { match: '/u/:id', settings: { path: '/v/:id' }, path: '/u/a%20b%2Fc%25', want: '/v/a%20b%2Fc%25' },
    { match: '/u/:id', settings: { path: '/v/:id' }, path: '/u/bob@x', want: '/v/bob%40x' },
    { match: '/u/:id/*', settings: { path: '/v/:id/w/*' }, path: '/u/1/a/b%2f', want: '/v/1/w/a/b%2f' },
    { match: '/u/*', settings: { path: '/*' }, path: '/u', want: '/' },
    { match: '/u/*', settings: { path: '/v/*' }, path: '/u/', want: '/v/' },
    { match: '/u/*', settings: { path: '/v' }, path: '/u/x', want: '/v' },
    { match: '~/f/(?<a>[^/]+)(?:/(?<b>.+))?', settings: { path: '/g/:a' }, path: '/f/x', want: '/g/x' },
    { match: '~/f/(?<rest>.+)', settings: { path: '/g/:rest' }, path: '/f/x/y', want: '/g/x%2Fy' },
    {
      match: '/*',
      settings: { regex: { source: '/old/(.*)', replacement: '/new/$1' } },
      path: '/old/a/b',
      want: '/new/a/b',
    },
    {
      match: '/*',
      settings: { regex: { source: '^/(\\w+)/(\\w+)$', replacement: '/$2/$1' } },
      path: '/a/b',
      want: '/b/a',
    },
    {
      match: '/*',
      settings: { regex: { source: '/old/(.*)', replacement: '/new/$1' } },
      path: '/older/a',
      want: '/older/a',
    },
    { match: '/*', settings: { regex: { source: '/(?<x>.*)', replacement: '/y/$<x>' } }, path: '/z', want: '/y/z' },
    {
      match: '/*',
      settings: { regex: { source: '/o(.*)', replacement: '$1' }, addPrefix: '/p' },
      path: '/o/a',
      want: '/p/a',
    },
  ];
  for (const { match, settings, path, want } of rows) {
    assert.equal(rewrite(match, settings, path), want, `${JSON.stringify(settings)} ${path}`);
  }
});

test('a result that would be read as another path is refused', () => {
  const rows: { match: string; settings: Partial<RewriteSettings>; path: string }[] = [
    { match: '~/x-(?<name>.*)', settings: { path: '/y/:name/z' }, path: '/x-..' },
    { match: '~/x-(?<name>.*)', settings: { path: '/y/:name' }, path: '/x-.' },
    { match: '~/x(?<name>.*)', settings: { path: '/y/:name/z' }, path: '/x' },
    { match: '/*', settings: { regex: { source: '/x-(.*)', replacement: '/$1' } }, path: '/x-../admin' },
    { match: '/*', settings: { regex: { source: '/x(.*)', replacement: '/$1' } }, path: '/x/evil.test' },
    { match: '/*', settings: { regex: { source: '/x(.*)', replacement: '$1' } }, path: '/xy' },
    { match: '/*', settings: { regex: { source: '/x(.*)', replacement: '$1' } }, path: '/x' },
    { match: '/*', settings: { regex: { source: '/(%2)(.*)', replacement: '/$1/$2' } }, path: '/%20' },
    { match: '/*', settings: { regex: { source: '/a', replacement: '/a?b' } }, path: '/a' },
    { match: '/*', settings: { regex: { source: '/a', replacement: '/a b\r\n' } }, path: '/a' },
  ];
  for (const { match, settings, path } of rows) {
    assert.equal(rewrite(match, settings, path), null, `${JSON.stringify(settings)} ${path}`);
  }
});

test('what the route let through on purpose stays as it was', () => {
  assert.equal(rewrite('/a/*', { path: '/b/*' }, '/a//x'), '/b//x');
  assert.equal(rewrite('/a/*', { addPrefix: '/b' }, '/a//x'), '/b/a//x');
  assert.equal(rewrite('/a/*', { path: '/b/*' }, '/a/../x'), '/b/../x');
  assert.equal(rewrite('/a/*', { stripPrefix: '/a' }, '/a/../x'), '/../x');
});

test('a template that the route cannot fill, or an expression that could be slow, is a mistake of the program', () => {
  const match = route('/a/:x').match.path;
  assert.throws(() => compileRewrite({ ...NONE, path: '/b/*' }, match), TypeError);
  assert.throws(() => compileRewrite({ ...NONE, path: 'b' }, match), TypeError);
  assert.throws(() => compileRewrite({ ...NONE, regex: { source: '(a+)+', replacement: '' } }, match), TypeError);
});
