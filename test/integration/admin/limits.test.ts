/**
 * The limits of a caller, looked at and forgotten by an operator, in shared memory and in Redis, by API and command.
 */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { commandLine } from '../../../src/cli/command-line.suite.ts';
import { startTestGateway } from '../../support/gateway.ts';
import { startRedis } from '../../support/redis.ts';
import { until } from '../../support/until.ts';

const TOKENS = { viewer: 'viewer-token-that-is-long-enough', operator: 'operator-token-that-is-long-enough' };

interface Shown {
  readonly by: string;
  readonly limit: string;
  readonly algorithm: string;
  readonly plan: string | null;
  readonly remaining: number;
  readonly resetMs: number;
  readonly retryMs: number;
  readonly routes: readonly string[];
}

async function scene(t: TestContext, more: Record<string, unknown> = {}, workers = 2) {
  const key = (subject: string, plan: string) => ({ key: `the-key-of-${subject}-is-long`, subject, plan });
  const gateway = await startTestGateway(t, {
    admin: {
      listen: '127.0.0.1:0',
      tokens: Object.entries(TOKENS).map(([role, token]) => ({ name: role, role, token })),
    },
    plans: { standard: { limits: ['50/1h'] }, gold: { limits: ['500/1h'] } },
    ...more,
    gateway: { workers, auth: { apiKey: { keys: [key('mia', 'gold')] } } },
    routes: [
      {
        name: 'drip',
        match: { path: '/drip' },
        auth: 'public',
        respond: { body: 'ok' },
        rateLimit: { by: 'ip', limits: ['5/1h'] },
      },
      {
        name: 'window',
        match: { path: '/window' },
        auth: 'public',
        respond: { body: 'ok' },
        rateLimit: { by: 'ip', algorithm: 'sliding', limits: ['7/1h'] },
      },
      {
        name: 'fixed',
        match: { path: '/fixed' },
        auth: 'public',
        respond: { body: 'ok' },
        rateLimit: { by: 'ip', algorithm: 'fixed', limits: ['6/1d'] },
      },
      { name: 'mine', match: { path: '/mine' }, respond: { body: 'ok' }, rateLimit: { by: 'user', plan: true } },
    ],
  });
  const found = gateway.primary.opsSources().features.find(({ sections }) => sections?.['admin'] !== undefined);
  const { url } = found!.sections!['admin'] as { url: string };
  const call = async (role: keyof typeof TOKENS, method: string, path: string, body?: unknown) => {
    const response = await fetch(`${url}/api${path}`, {
      method,
      headers: { authorization: `Bearer ${TOKENS[role]}`, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    // biome-ignore lint/suspicious/noExplicitAny: bodies of many shapes, checked by the assertions
    return { status: response.status, body: (await response.json()) as any };
  };
  const look = async (query: string): Promise<readonly Shown[]> => {
    const { status, body } = await call('viewer', 'GET', `/limits?${query}`);
    assert.equal(status, 200, JSON.stringify(body));
    return body.limits;
  };
  const use = async (path: string, times: number, headers = {}): Promise<number[]> => {
    const statuses: number[] = [];
    for (let i = 0; i < times; i++) {
      const response = await fetch(gateway.url + path, { headers });
      await response.text();
      statuses.push(response.status);
    }
    return statuses;
  };
  return { gateway, url, call, look, use };
}

type Scene = Awaited<ReturnType<typeof scene>>;

/** The same in memory and in Redis. */
async function looksAndForgets({ call, look, use }: Scene): Promise<void> {
  const of = async (route: string): Promise<Shown> => {
    const [found, ...others] = await look(`address=127.0.0.1&route=${route}`);
    assert.deepEqual(others, []);
    return found ?? assert.fail(`no limit of ${route}`);
  };
  for (const [path, most, algorithm] of [
    ['drip', 5, 'gcra'],
    ['window', 7, 'sliding'],
    ['fixed', 6, 'fixed'],
  ] as const) {
    assert.equal((await of(path)).remaining, most, 'looking costs nothing');
    assert.deepEqual(await use(`/${path}`, 2), [200, 200]);
    const some = await of(path);
    assert.deepEqual([some.by, some.algorithm, some.remaining, some.retryMs], ['ip', algorithm, most - 2, 0]);
    assert.ok(some.resetMs > 0, JSON.stringify(some));
    await use(`/${path}`, most);
    const spent = await of(path);
    assert.equal(spent.remaining, 0);
    assert.ok(spent.retryMs > 0, JSON.stringify(spent));
    assert.deepEqual(await use(`/${path}`, 1), [429]);
    const reset = await call('operator', 'POST', '/limits/reset', {
      address: '127.0.0.1',
      route: path,
      reason: 'case 7',
    });
    assert.deepEqual([reset.status, reset.body.limits[0].remaining], [200, most], JSON.stringify(reset.body));
    assert.deepEqual(await use(`/${path}`, 1), [200]);
    assert.equal((await of(path)).remaining, most - 1);
  }
}

test('in shared memory: an operator sees what a caller has left, and forgets it', async (t) => {
  await looksAndForgets(await scene(t));
});

test('in Redis: an operator sees what a caller has left on all gateways, and forgets it', async (t) => {
  const redis = await startRedis();
  t.after(() => redis.stop());
  // One: workers reach Redis one after the other, and decide by themselves until they have.
  const found = await scene(t, { stores: { redis: redis.url } }, 1);
  const reachesRedis = async (): Promise<boolean> =>
    (await found.call('viewer', 'GET', '/limits?address=127.0.0.1')).status === 200;
  await until(reachesRedis, 'the workers reach Redis', 60_000);
  await looksAndForgets(found);
  await redis.kill();
  const away = await found.call('viewer', 'GET', '/limits?address=127.0.0.1');
  assert.equal(away.status, 503);
});

test('by user and plan: whose plan it is decides, and another user’s counter is another', async (t) => {
  const { look, use, call } = await scene(t);
  assert.deepEqual(await use('/mine', 3, { 'x-api-key': 'the-key-of-mia-is-long' }), [200, 200, 200]);
  const gold = await look('user=mia&plan=gold');
  assert.deepEqual(
    gold.map(({ by, plan, limit, remaining, routes }) => [by, plan, limit, remaining, routes]),
    [['user', 'gold', '500/1h', 497, ['mine']]],
  );
  const [other] = await look('user=eve&plan=gold');
  assert.equal(other?.remaining, 500);
  const [standard] = await look('user=mia');
  assert.deepEqual([standard?.plan, standard?.remaining], ['standard', 50], 'a plan that she has not');
  await call('operator', 'POST', '/limits/reset', { user: 'eve', plan: 'gold', reason: 'another' });
  assert.equal((await look('user=mia&plan=gold'))[0]?.remaining, 497);
});

test('a viewer forgets nothing, and what is wrong is said', async (t) => {
  const { call, use, look } = await scene(t);
  await use('/drip', 2);
  const body = { address: '127.0.0.1', reason: 'x' };
  assert.equal((await call('viewer', 'POST', '/limits/reset', body)).status, 403);
  assert.equal((await look('address=127.0.0.1&route=drip'))[0]?.remaining, 3);
  assert.equal((await call('viewer', 'GET', '/limits')).status, 400);
  assert.equal((await call('viewer', 'GET', '/limits?address=localhost')).status, 400);
  assert.equal((await call('viewer', 'GET', '/limits?user=mia&route=nowhere')).status, 404);
  assert.equal((await call('viewer', 'GET', '/limits?user=mia&header=nonsense')).status, 400);
  assert.equal((await call('operator', 'POST', '/limits/reset', { address: '127.0.0.1' })).status, 400, 'a reason');
});

test('forty looks at once are each answered', async (t) => {
  const { look, use } = await scene(t);
  await use('/drip', 1);
  const found = await Promise.all(Array.from({ length: 40 }, () => look('address=127.0.0.1&route=drip')));
  assert.deepEqual(new Set(found.map(([each]) => each?.remaining)), new Set([4]));
});

test('by command, with what is left in words', async (t) => {
  const { url, use } = await scene(t);
  await use('/drip', 6);
  const line = commandLine();
  t.after(() => line.remove());
  line.env = { GATEHOUSE_SERVER: url, GATEHOUSE_TOKEN: TOKENS.operator };
  const seen = await line.run('limit', 'look', '127.0.0.1', '--route', 'drip');
  assert.deepEqual([seen.code, seen.err], [0, '']);
  assert.match(seen.out, /^ip +5\/1h +0 left +refused for [\d.]+ s +drip\n$/);
  assert.equal((await line.run('limit', 'reset', '127.0.0.1')).code, 2, 'a reason');
  const reset = await line.run('limit', 'reset', '127.0.0.1', '--route', 'drip', '--reason', 'case 7');
  assert.match(reset.out, /5 left +unused/);
  assert.equal((await line.run('limit', 'look')).code, 2);
  assert.equal((await line.run('limit', 'look', '127.0.0.1', '--route', 'nowhere')).code, 4);
  const [shown] = JSON.parse(
    (await line.run('limit', 'look', '127.0.0.1', '--route', 'drip', '--json')).out,
  ) as Shown[];
  assert.equal(shown?.remaining, 5);
});
