import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { test } from 'node:test';
import { until } from '../../test/support/until.ts';
import { connectRedis, parseRedisUrl, reconnectDelayMs } from './redis.ts';

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

test('a Redis that goes away again while one subscribes anew is a problem that somebody hears of, not the end', async (t) => {
  const unheard: unknown[] = [];
  const hear = (reason: unknown): void => void unheard.push(reason);
  process.on('unhandledRejection', hear);
  t.after(() => process.off('unhandledRejection', hear));
  let lines = 0;
  // It answers what a connection begins with, and the first SUBSCRIBE; at each later one it is gone.
  const server = createServer((socket) => {
    const line = ++lines;
    socket.on('error', () => {});
    socket.on('data', (bytes) => {
      const commands = bytes
        .toString()
        .split(/\*\d+\r\n/)
        .slice(1)
        .map((text) => text.split('\r\n')[1]!.toLowerCase());
      for (const command of commands) {
        if (command === 'info') socket.write('$17\r\nredis_version:7.0\r\n');
        else if (command !== 'subscribe') socket.write('+OK\r\n');
        else if (line === 1) socket.write('*3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n', () => socket.destroy());
        else socket.destroy();
      }
    });
  }).listen(0, '127.0.0.1');
  t.after(() => server.close());
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const connection = await connectRedis(parseRedisUrl(`redis://127.0.0.1:${port}`), 'test');
  t.after(() => connection.disconnect());
  const heard: string[] = [];
  connection.on('error', () => {});
  connection.on('ready', () => connection.subscribe('news').catch((error: Error) => heard.push(error.message)));
  await until(() => heard.length >= 2, 'two connections were lost while they subscribed');
  assert.deepEqual(unheard, []);
});
