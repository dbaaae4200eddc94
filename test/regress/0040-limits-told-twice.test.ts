/**
 * Symptom: with limits before and after authentication, or on the gateway's `arrival` and on a route, an answer had
 * each
 * `X-RateLimit-*` field twice, and a third time when the service sends its own. Where every route had limits of its
 * own, those of `arrival` were not checked at all. Cause: each phase added its fields to what was there; the nearest
 * level replaced the gateway's limits of all phases. Fix: of several phases the rule nearest to its limit is told, in
 * place of what the service says; `arrival` always holds. `RateLimit` and `RateLimit-Policy` are lists
 * (draft-ietf-httpapi-ratelimit-headers-11): there all speak.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startTestGateway } from '../support/gateway.ts';
import { RawCaller } from '../support/raw.ts';
import { cannedUpstream } from '../support/upstream.ts';

const ANSWER = [
  'HTTP/1.1 200 OK',
  'Content-Length: 0',
  'X-RateLimit-Limit: 7777',
  'x-ratelimit-remaining: 7776',
  'X-RateLimit-Reset: 1',
  'RateLimit-Policy: "theirs";q=7777;w=60',
  'RateLimit: "theirs";r=7776;t=60',
  '\r\n',
].join('\r\n');

/** Values of each field of one answer, in order. */
async function fields(port: number, path: string, key = ''): Promise<Record<string, string[]>> {
  const caller = new RawCaller(port);
  caller.send(
    `GET ${path} HTTP/1.1\r\nHost: a\r\n${key === '' ? '' : `X-API-Key: ${key}\r\n`}Connection: close\r\n\r\n`,
  );
  while (!caller.closed) await new Promise((resolve) => setTimeout(resolve, 1));
  const found: Record<string, string[]> = {};
  for (const line of caller.received.toString('latin1').split('\r\n\r\n')[0]!.split('\r\n').slice(1)) {
    const name = line.slice(0, line.indexOf(':')).toLowerCase();
    found[name] = [...(found[name] ?? []), line.slice(name.length + 2)];
  }
  return found;
}

test('of limits in three phases the nearest to its end is told, once', async (t) => {
  const upstream = await cannedUpstream(t, ANSWER);
  const gateway = await startTestGateway(
    t,
    {
      gateway: { rateLimit: { by: 'ip', phase: 'arrival', limits: ['9/1h'] } },
      services: { one: { instances: [upstream.url] } },
      routes: [
        {
          match: { path: '/a' },
          service: 'one',
          auth: { apiKey: {} },
          rateLimit: [
            { by: 'ip', limits: ['20/1h'] },
            { by: 'user', limits: ['4/1h'] },
          ],
        },
        { match: { path: '/b' }, service: 'one', auth: 'public', rateLimit: { by: 'ip', limits: ['5/1h'] } },
      ],
    },
    { API_KEY_1: 'sesame-0123456789abcdef0123456789:ada:a:basic' },
  );
  const key = 'sesame-0123456789abcdef0123456789';
  const first = await fields(gateway.port, '/a', key);
  assert.deepEqual(first['x-ratelimit-limit'], ['4']);
  assert.deepEqual(first['x-ratelimit-remaining'], ['3']);
  assert.equal(first['x-ratelimit-reset']?.length, 1);
  assert.ok(Number(first['x-ratelimit-reset']?.[0]) > 1_000_000_000);
  assert.deepEqual(first['ratelimit-policy']?.toSorted(), [
    '"gateway-ip-1h";q=9;w=3600',
    '"ip-1h";q=20;w=3600',
    '"theirs";q=7777;w=60',
    '"user-1h";q=4;w=3600',
  ]);
  assert.equal(first['ratelimit']?.length, 4);

  // Without a key nobody is known: what was told before that stays.
  const unknown = await fields(gateway.port, '/a');
  assert.deepEqual([unknown['x-ratelimit-limit'], unknown['x-ratelimit-remaining']], [['9'], ['7']]);

  for (let i = 0; i < 3; i++) await fields(gateway.port, '/a', key);
  const refused = await fields(gateway.port, '/a', key);
  assert.deepEqual([refused['x-ratelimit-limit'], refused['x-ratelimit-remaining']], [['4'], ['0']]);
  assert.equal(refused['retry-after']?.length, 1);

  // Six of nine are used up: on another route the gateway's own limit is nearer now, and holds there too.
  const other = await fields(gateway.port, '/b');
  assert.deepEqual([other['x-ratelimit-limit'], other['x-ratelimit-remaining']], [['9'], ['2']]);
  for (let i = 0; i < 2; i++) await fields(gateway.port, '/b');
  assert.deepEqual((await fields(gateway.port, '/b'))['x-ratelimit-limit'], ['9']);
  assert.deepEqual((await fields(gateway.port, '/nowhere'))['x-ratelimit-remaining'], ['0']);
});
