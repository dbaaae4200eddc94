import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { CacheControl } from '../../data/contract/cache.ts';
import { cacheApi } from './api.ts';
import { CacheCounts } from './counts.ts';

function api(isLocal: boolean) {
  const purged: unknown[] = [];
  const cache = {
    purgeAll: () => purged.push('all') > 0,
    purgeTag: (tag: string) => purged.push(['tag', tag]) > 0,
    purgePrefix: (prefix: string) => purged.push(['prefix', prefix]) > 0,
    firstKeysOf: (url: URL) => [url.href],
    purgeKey: (key: string) => purged.push(['url', key]) > 0,
    stats: () => ({ objects: 0, usedBytes: 0, totalBytes: 0, evictions: 0, resets: 0 }),
    top: () => [],
  } as unknown as CacheControl;
  const fetch = cacheApi({
    cache,
    counts: new CacheCounts(),
    errorFormat: () => 'problem',
    keys: () => [],
    shared: () => null,
    basePath: isLocal ? '' : '/api/v1',
    isLocal,
  });
  const call = async (method: string, path: string, headers: Record<string, string> = {}, body: string | null = null) =>
    (await fetch(new Request(`http://cache${path}`, { method, headers, body }))).status;
  return { call, purged };
}

test('administrators of this gateway alone: role or scope, none of an outside issuer', async () => {
  const { call, purged } = api(false);
  const purge = (headers: Record<string, string>) => call('POST', '/api/v1/cache/purge', headers, '{"tag":"x"}');
  assert.equal(await purge({}), 401);
  assert.equal(await purge({ 'x-auth-subject': 'bob' }), 403);
  const admin = { 'x-auth-subject': 'ada', 'x-auth-roles': 'user,admin' };
  assert.equal(await purge({ ...admin, 'x-auth-issuer': 'https%3A%2F%2Felsewhere' }), 403);
  assert.deepEqual(purged, []);
  assert.equal(await purge(admin), 200);
  assert.equal(await purge({ 'x-auth-subject': 'ada', 'x-auth-scopes': 'a cache%3Aadmin' }), 200);
  assert.equal(await call('GET', '/api/v1/cache', admin), 200);
  assert.equal(await call('DELETE', '/api/v1/cache', admin), 404);
});

test('exactly one thing is purged, and it is what it looks like', async () => {
  const { call, purged } = api(true);
  for (const bad of [
    '',
    '{}',
    '[]',
    '{"tag":"x","all":true}',
    '{"url":"ftp://x/"}',
    '{"tag":"a b"}',
    '{"prefix":"/a"}',
    '{"all":false}',
  ])
    assert.equal(await call('POST', '/cache/purge', {}, bad), 400, bad);
  for (const good of ['{"url":"http://H/a"}', '{"prefix":"http://H:80/a/"}', '{"tag":"t"}', '{"all":true}'])
    assert.equal(await call('POST', '/cache/purge', {}, good), 200, good);
  assert.deepEqual(purged, [['url', 'http://h/a'], ['prefix', 'http://h/a/'], ['tag', 't'], 'all']);
});
