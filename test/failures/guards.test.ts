/**
 * What else a service can be told to do when instances fail, each through a whole gateway: where the request goes then.
 */
import assert from 'node:assert/strict';
import type { ServerResponse } from 'node:http';
import type { TestContext } from 'node:test';
import { describe, test } from 'node:test';
import type { TestGateway } from '../support/gateway.ts';
import { startTestGateway } from '../support/gateway.ts';
import { startGrpcHealthServer } from '../support/grpc-health-server.ts';
import { KubernetesApi } from '../support/kubernetes-api.ts';
import type { Answer } from '../support/raw.ts';
import { RawCaller } from '../support/raw.ts';
import { until } from '../support/until.ts';
import type { Upstream } from '../support/upstream.ts';
import { deadPort, httpUpstream } from '../support/upstream.ts';

const PATIENCE_MS = 9_000;

function inFront(t: TestContext, service: object, others: object = {}, workers = 1): Promise<TestGateway> {
  return startTestGateway(t, {
    gateway: { workers },
    services: { work: service, ...others },
    routes: [{ match: { path: '/w/*' }, service: 'work', auth: 'public' }],
  });
}

async function ask(gateway: TestGateway, more = '', method = 'GET'): Promise<Answer> {
  const caller = new RawCaller(gateway.port);
  const answer = await caller.send(`${method} /w/1 HTTP/1.1\r\nHost: a\r\n${more}\r\n`).answer();
  caller.close();
  return answer;
}

/** Upstreams that say who they are: `0`, `1` and so on. */
function named(t: TestContext, count: number): Promise<Upstream[]> {
  return Promise.all(
    Array.from({ length: count }, (_, i) => httpUpstream(t, (_request, response) => response.end(String(i)))),
  );
}

const instances = (upstreams: readonly Upstream[]) => upstreams.map(({ url }) => ({ url }));
const reasonOf = (answer: Answer): unknown => (JSON.parse(answer.body.toString()) as { reason?: unknown }).reason;

describe('a sticky service', () => {
  test('keeps a caller on one instance, on every worker, until that one dies; then on another', async (t) => {
    const upstreams = await named(t, 4);
    const service = {
      instances: instances(upstreams),
      loadBalancing: { algorithm: 'round-robin' },
      sticky: { key: 'a key of some length', cookie: 'who' },
      retries: 3,
    };
    const gateway = await inFront(t, service, {}, 2);
    const cookieOf = (answer: Answer): string => answer.headers['set-cookie']!.split(';')[0]!;
    const first = await ask(gateway);
    const mine = first.body.toString();
    const cookie = cookieOf(first);
    // Each on a connection of its own, so both workers are met.
    for (let i = 0; i < 12; i++) {
      const again = await ask(gateway, `Cookie: ${cookie}\r\n`);
      assert.deepEqual([again.body.toString(), again.headers['set-cookie']], [mine, undefined]);
    }
    await upstreams[Number(mine)]!.close();
    const moved = await ask(gateway, `Cookie: ${cookie}\r\n`);
    assert.equal(moved.status, 200);
    assert.notEqual(moved.body.toString(), mine);
    assert.notEqual(cookieOf(moved), cookie);
    const forged = await ask(gateway, 'Cookie: who=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\r\n');
    assert.ok(forged.headers['set-cookie'] !== undefined, 'a made-up cookie counts as none');
  });
});

describe('consistent hashing', () => {
  test('sends one key to one instance, and only the keys of a dead one elsewhere', async (t) => {
    const upstreams = await named(t, 3);
    const gateway = await inFront(t, {
      instances: instances(upstreams),
      loadBalancing: { algorithm: 'consistent-hash', by: { header: 'X-Tenant' } },
      retries: 2,
      ejection: { consecutiveFaults: 1 },
    });
    const keys = Array.from({ length: 48 }, (_, i) => `tenant-${i}`);
    const where = async (): Promise<string[]> => {
      const found: string[] = [];
      for (const key of keys) found.push((await ask(gateway, `X-Tenant: ${key}\r\n`)).body.toString());
      return found;
    };
    const before = await where();
    assert.deepEqual(await where(), before);
    assert.equal(new Set(before).size, 3);
    await upstreams[1]!.close();
    const after = await where();
    for (const [i, instance] of before.entries())
      assert.ok(instance === '1' ? after[i] !== '1' : after[i] === instance, `${keys[i]}: ${instance}, ${after[i]}`);
  });
});

describe('with no instance left', () => {
  const down = async (more: object = {}) => ({
    instances: [{ url: `http://127.0.0.1:${await deadPort()}`, healthy: false }],
    ...more,
  });

  test('it is 503 with Retry-After, at once', async (t) => {
    const answer = await ask(await inFront(t, await down()));
    assert.deepEqual([answer.status, reasonOf(answer), answer.headers['retry-after']], [503, 'no_instance', '1']);
  });

  test('a fixed answer is given instead where the service has one', async (t) => {
    const fallback = { respond: { status: 200, json: { items: [] } } };
    const answer = await ask(await inFront(t, await down({ fallback })));
    assert.deepEqual([answer.status, answer.body.toString()], [200, '{"items":[]}']);
    assert.equal(answer.headers['content-type'], 'application/json');
  });

  test('another service answers instead where one is named', async (t) => {
    const [other] = await named(t, 1);
    const fallback = { service: 'other' };
    const gateway = await inFront(t, await down({ fallback }), { other: { instances: instances([other!]) } });
    const answer = await ask(gateway);
    assert.deepEqual([answer.status, answer.body.toString()], [200, '0']);
  });

  test('those that are down are tried all the same where that is said', async (t) => {
    const [well] = await named(t, 1);
    const gateway = await inFront(t, { instances: [{ url: well!.url, healthy: false }], whenAllDown: 'try' });
    assert.equal((await ask(gateway)).body.toString(), '0');
  });
});

describe('an answer that asks to be tried again', () => {
  /** Refuses the first so many requests with this. */
  async function refusing(t: TestContext, times: number, status: number, headers: Record<string, string>) {
    let asked = 0;
    const upstream = await httpUpstream(t, (request, response) => {
      request.resume().on('end', () => {
        if (++asked <= times) response.writeHead(status, headers).end('refused');
        else response.end('well');
      });
    });
    return { upstream, asked: () => asked };
  }

  const retries = { attempts: 2, statuses: [503], backoff: { base: '1ms', max: '1s' } };

  test('a POST is tried again only with an Idempotency-Key', async (t) => {
    const { upstream, asked } = await refusing(t, 2, 503, {});
    const gateway = await inFront(t, { instances: [{ url: upstream.url }], retries });
    const body = 'Content-Length: 2\r\n';
    const post = async (more: string): Promise<Answer> => {
      const caller = new RawCaller(gateway.port);
      const answer = await caller.send(`POST /w/1 HTTP/1.1\r\nHost: a\r\n${body}${more}\r\nhi`).answer();
      caller.close();
      return answer;
    };
    const plain = await post('');
    assert.deepEqual([plain.status, plain.body.toString(), asked()], [503, 'refused', 1]);
    const vouched = await post('Idempotency-Key: 1\r\n');
    assert.deepEqual([vouched.status, vouched.body.toString(), asked()], [200, 'well', 3]);
  });

  test('its Retry-After is kept to, and ends the retries if it is longer than the longest pause', async (t) => {
    const soon = await refusing(t, 1, 503, { 'Retry-After': '1' });
    const gateway = await inFront(t, { instances: [{ url: soon.upstream.url }], retries });
    const beganMs = performance.now();
    assert.equal((await ask(gateway)).status, 200);
    assert.ok(performance.now() - beganMs >= 990, 'it waited as long as it was asked to');
    const late = await refusing(t, 1, 503, { 'Retry-After': '5' });
    const other = await inFront(t, { instances: [{ url: late.upstream.url }], retries });
    const answer = await ask(other);
    assert.deepEqual([answer.status, answer.headers['retry-after'], late.asked()], [503, '5', 1]);
  });

  test('the budget ends a storm: of many failing requests only a share is tried again', async (t) => {
    const { upstream, asked } = await refusing(t, Number.POSITIVE_INFINITY, 503, {});
    const gateway = await inFront(t, {
      instances: [{ url: upstream.url }],
      retries: { ...retries, attempts: 3, budget: '20%', budgetMinimum: 0 },
    });
    for (let i = 0; i < 10; i++) await Promise.all(Array.from({ length: 20 }, () => ask(gateway)));
    t.diagnostic(`200 requests, all refused: the service was asked ${asked()} times`);
    assert.ok(asked() > 200 && asked() <= 240, `asked ${asked()} times`);
  });
});

describe('instances that others know of', () => {
  test('a gRPC health service takes an instance out and back', async (t) => {
    const upstreams = await named(t, 2);
    const health = await startGrpcHealthServer();
    t.after(() => health.close());
    // Both are probed at one port, so the verdict is about both.
    const gateway = await inFront(t, {
      instances: instances(upstreams),
      healthCheck: { kind: 'grpc', port: health.port, grpcService: 'work', interval: '100ms', unhealthyThreshold: 1 },
    });
    const logged = (text: string): boolean => gateway.logged.some((line) => line.includes(text));
    await until(() => logged('instance unhealthy'), 'a verdict on a service that it does not know', PATIENCE_MS);
    health.statuses.set('work', 1);
    await until(
      () => gateway.logged.filter((line) => line.includes('instance healthy')).length === 2,
      'SERVING',
      PATIENCE_MS,
    );
    assert.equal((await ask(gateway)).status, 200);
    health.statuses.set('work', 2);
    await until(() => logged('NOT_SERVING'), 'NOT_SERVING', PATIENCE_MS);
    await until(() => gateway.primary.opsSources().services[0]!.instances.every(({ usable }) => !usable), 'both out');
    assert.equal(reasonOf(await ask(gateway)), 'no_instance');
  });

  test('EndpointSlices: pods come and go, and the API server may be away', async (t) => {
    const [pod] = await named(t, 1);
    const api = await KubernetesApi.start();
    t.after(() => api.close());
    const ports = [{ name: 'http', port: pod!.port }];
    api.put('orders-a', { ports, endpoints: [{ addresses: ['127.0.0.9'] }] });
    const gateway = await inFront(t, {
      discovery: { kubernetes: { service: api.service, namespace: api.namespace, apiServer: api.url } },
      retries: 0,
    });
    assert.equal(reasonOf(await ask(gateway)), 'connect_failed');
    api.put('orders-a', { ports, endpoints: [{ addresses: ['127.0.0.1'] }] });
    const urls = () => gateway.primary.opsSources().services[0]!.instances.map(({ url }) => url);
    await until(() => urls()[0] === pod!.url, 'the new pod', PATIENCE_MS);
    assert.equal((await ask(gateway)).status, 200);
    await api.close();
    await until(() => gateway.logged.some((line) => line.includes('discovery problem')), 'the problem', PATIENCE_MS);
    assert.equal((await ask(gateway)).status, 200);
  });
});

test('a half-open breaker lets an answer through while it waits, and no more than its probes', async (t) => {
  const held: ServerResponse[] = [];
  let fails = true;
  const upstream = await httpUpstream(t, (_request, response) => {
    if (fails) response.writeHead(500).end();
    else held.push(response);
  });
  const gateway = await inFront(t, {
    instances: [{ url: upstream.url }],
    retries: 0,
    circuitBreaker: { volumeThreshold: 4, resetTimeout: '300ms', halfOpenProbes: 2, scope: 'service' },
  });
  for (let i = 0; i < 4; i++) assert.equal((await ask(gateway)).status, 500);
  fails = false;
  const answers: Answer[] = [];
  const asked: Promise<unknown>[] = [];
  await until(
    () => {
      if (held.length < 2 && asked.length < 2_000) asked.push(ask(gateway).then((answer) => answers.push(answer)));
      return held.length === 2;
    },
    'two probes',
    PATIENCE_MS,
  );
  for (let i = 0; i < 20; i++) assert.equal(reasonOf(await ask(gateway)), 'circuit_open');
  assert.equal(held.length, 2);
  for (const response of held) response.end('well');
  await Promise.all(asked);
  assert.equal(answers.filter(({ status }) => status === 200).length, 2);
  assert.ok(gateway.logged.some((line) => line.includes('2 probes were answered well')));
});
