import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseRedisUrl, reconnectDelayMs } from './redis.ts';

const single = { kind: 'single', name: '', username: null, password: null, db: 0, tls: false };

test('one server, Sentinel and Cluster, with their usual ports', () => {
  assert.deepEqual(parseRedisUrl('redis://localhost'), { ...single, nodes: [{ host: 'localhost', port: 6_379 }] });
  assert.deepEqual(parseRedisUrl('rediss://ada:p%40ss@[::1]:6380/2'), {
    ...single,
    nodes: [{ host: '::1', port: 6_380 }],
    username: 'ada',
    password: 'p@ss',
    db: 2,
    tls: true,
  });
  assert.deepEqual(parseRedisUrl('redis+sentinel://:hush@one,two:26380/main?db=3'), {
    ...single,
    kind: 'sentinel',
    nodes: [
      { host: 'one', port: 26_379 },
      { host: 'two', port: 26_380 },
    ],
    name: 'main',
    password: 'hush',
    db: 3,
  });
  assert.deepEqual(parseRedisUrl('redis+cluster://one:7000,two:7001'), {
    ...single,
    kind: 'cluster',
    nodes: [
      { host: 'one', port: 7_000 },
      { host: 'two', port: 7_001 },
    ],
  });
});

test('the last @ ends the credentials, so that a password may hold one, a slash or a bare percent sign', () => {
  for (const [url, password] of [
    ['redis://:p@ss@host:6380/1', 'p@ss'],
    ['redis://:a/b?c#d@host:6380/1', 'a/b?c#d'],
    ['redis://:100%@host:6380/1', '100%'],
    ['redis://ada:x:y@z@host:6380/1', 'x:y@z'],
  ] as const) {
    const { nodes, ...rest } = parseRedisUrl(url);
    assert.deepEqual([nodes, rest.password, rest.db], [[{ host: 'host', port: 6_380 }], password, 1], url);
  }
});

test('what is no Redis URL is refused without showing a password', () => {
  for (const url of ['http://a', 'redis://a,b', 'redis://a/x', 'redis+sentinel://:hush@one', 'redis://:hush@ho st:1']) {
    assert.throws(
      () => parseRedisUrl(url),
      (error: Error) => error instanceof TypeError && !error.message.includes('hush'),
      url,
    );
  }
});

test('reconnecting waits longer each time, up to 5 s, and never the same for all', () => {
  for (let attempt = 1; attempt < 20; attempt++) {
    const delay = reconnectDelayMs(attempt);
    const whole = Math.min(5_000, 50 * 2 ** Math.min(attempt, 10));
    assert.ok(delay >= whole / 2 && delay <= whole, `${delay} of ${whole}`);
  }
});
