/**
 * The Enhanced document's own configuration (test/golden/enhanced.json) in front of a real instance: its numbers reach
 * the data plane as they stand, and breaker, timeouts and retries do what the document says, seen from outside:
 * answers, /health/detailed, /metrics and the log. Where it has to be waited for, its times are divided by ten or more.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import type { TestContext } from 'node:test';
import { test } from 'node:test';
import { Fleet } from '../support/fleet.ts';
import type { TestGateway } from '../support/gateway.ts';
import { startTestGateway } from '../support/gateway.ts';
import type { Answer } from '../support/raw.ts';
import { RawCaller } from '../support/raw.ts';
import { until } from '../support/until.ts';
import { rawUpstream } from '../support/upstream.ts';

const NAME = 'project-manager';
const PATIENCE_MS = 9_000;

interface Enhanced {
  gateway: Record<string, unknown>;
  services: Record<
    typeof NAME,
    {
      instances: { url: string }[];
      timeout: number;
      retries: number;
      circuitBreaker: { timeout: number; errorThresholdPercentage: number; resetTimeout: number };
      loadBalancing: { algorithm: string; healthCheckInterval: number };
    }
  >;
}

/** As it stands, but for port, address of the instance, and a route, which the document has in its code. */
async function start(t: TestContext, url: string, divisor: number, resetDivisor = divisor): Promise<TestGateway> {
  const document = JSON.parse(readFileSync(new URL('../golden/enhanced.json', import.meta.url), 'utf8')) as Enhanced;
  const service = document.services[NAME];
  service.instances[0]!.url = url;
  service.timeout /= divisor;
  service.circuitBreaker.timeout /= divisor;
  service.circuitBreaker.resetTimeout /= resetDivisor;
  service.loadBalancing.healthCheckInterval /= divisor;
  return startTestGateway(t, {
    ...document,
    gateway: { ...document.gateway, port: 0, workers: 2 },
    routes: [{ match: { path: '/w/*' }, service: NAME, auth: 'public' }],
  });
}

async function ask(gateway: TestGateway, path = '/w/1', method = 'GET'): Promise<Answer> {
  const caller = new RawCaller(gateway.port);
  const answer = await caller.send(`${method} ${path} HTTP/1.1\r\nHost: a\r\n\r\n`).answer();
  caller.close();
  return answer;
}

interface Detailed {
  services: Record<string, { status: string; available: boolean }>;
  circuitBreakers: Record<string, { state: string; requests: number; errors: number; retryInMs: number }>;
  loadBalancers: Record<string, { algorithm: string; instances: { breaker: { state: string } }[] }>;
}

async function detailed(gateway: TestGateway): Promise<Detailed> {
  return JSON.parse((await ask(gateway, '/health/detailed')).body.toString()) as Detailed;
}

async function breakerIs(gateway: TestGateway, state: string, value: number): Promise<void> {
  const health = await detailed(gateway);
  assert.equal(health.circuitBreakers[NAME]?.state, state);
  assert.equal(health.loadBalancers[NAME]?.instances[0]?.breaker.state, state);
  const metrics = (await ask(gateway, '/metrics/prometheus')).body.toString();
  assert.ok(metrics.includes(`\ngatehouse_breaker_open{service="${NAME}"} ${value}\n`), `breaker at ${value}`);
}

const reasonOf = (answer: Answer): unknown => (JSON.parse(answer.body.toString()) as { reason?: unknown }).reason;

test('its numbers are those that the workers go by', async (t) => {
  const gateway = await start(t, 'http://127.0.0.1:9', 1);
  const service = gateway.primary.snapshot.services.find(({ name }) => name === NAME)!;
  const { breaker } = service.resilience;
  assert.deepEqual(
    [service.timeouts.firstByteMs, service.retries.attempts, service.balancer.algorithm, service.instances[0]!.weight],
    [5_000, 3, 'weighted-round-robin', 1],
  );
  assert.deepEqual(
    [breaker!.timeoutMs, breaker!.errorThresholdRatio, breaker!.resetTimeoutMs, breaker!.rollingWindowMs],
    [3_000, 0.5, 30_000, 10_000],
  );
  assert.equal(breaker!.rollingBuckets, 10);
  assert.equal(gateway.primary.compiled.plan.services[NAME]!.healthCheck!.intervalMs, 30_000);
});

test('timeout: a response that does not begin in time is 504, and a slow GET is not done twice', async (t) => {
  let asked = 0;
  const upstream = await rawUpstream(t, (socket) => {
    socket.on('data', (bytes: Buffer) => {
      const isProbe = bytes.toString('latin1').includes(' /health');
      if (isProbe) socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
      else asked++;
    });
  });
  const gateway = await start(t, upstream.url, 25);
  const post = await ask(gateway, '/w/1', 'POST');
  assert.deepEqual([post.status, reasonOf(post), asked], [504, 'first_byte_timeout', 1]);
  const get = await ask(gateway);
  assert.deepEqual([get.status, reasonOf(get), asked], [504, 'first_byte_timeout', 2]);
});

test('retries: three further tries for a GET whose connection is lost, none for a POST', async (t) => {
  let asked = 0;
  let answersAt = Number.POSITIVE_INFINITY;
  const upstream = await rawUpstream(t, (socket) => {
    socket.on('data', (bytes: Buffer) => {
      const isProbe = bytes.toString('latin1').includes(' /health');
      if (!isProbe) asked++;
      if (isProbe || asked >= answersAt) socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
      else socket.resetAndDestroy();
    });
  });
  const gateway = await start(t, upstream.url, 25);
  const post = await ask(gateway, '/w/1', 'POST');
  assert.deepEqual([post.status, reasonOf(post), asked], [502, 'upstream_reset', 1]);
  const get = await ask(gateway);
  assert.deepEqual([get.status, reasonOf(get), asked], [502, 'upstream_reset', 5]);
  answersAt = asked + 4;
  assert.equal((await ask(gateway)).status, 200);
});

test('breaker: it opens at half errors, fails fast, lets probes through, opens anew, and closes', async (t) => {
  const fleet = await Fleet.start(t, ['p']);
  const instance = fleet.get('p');
  const gateway = await start(t, instance.url, 1, 30);
  const many = (count: number) => Promise.all(Array.from({ length: count }, () => ask(gateway)));
  const logged = (text: string, from = 0) => gateway.logged.slice(from).some((line) => line.includes(text));
  await breakerIs(gateway, 'closed', 0);

  // Below half of the answers it stays closed.
  await many(10);
  await instance.become({ kind: 'errors' });
  await many(9);
  await breakerIs(gateway, 'closed', 0);
  assert.equal((await detailed(gateway)).circuitBreakers[NAME]!.errors, 9);

  // The tenth error of twenty answers opens it; the instance then hears nothing of what is asked.
  assert.equal((await ask(gateway)).status, 500);
  const journal = (await fleet.journal()).length;
  const refused = await many(50);
  for (const answer of refused) {
    assert.deepEqual([answer.status, reasonOf(answer)], [503, 'circuit_open']);
    assert.match(answer.headers['retry-after']!, /^1$/);
  }
  assert.equal((await fleet.journal()).length, journal);
  await breakerIs(gateway, 'open', 1);
  const shut = await detailed(gateway);
  assert.deepEqual(shut.services[NAME], { status: 'unavailable', available: false });
  assert.ok(shut.circuitBreakers[NAME]!.retryInMs > 0);
  await until(() => logged('circuit breaker opened') && logged('10 of 20 responses were errors'), 'its log line');

  // After the reset timeout a probe that fails opens it anew.
  const waited = gateway.logged.length;
  // The time is read inside: the document allows 1,000 requests in a quarter of an hour, too few to ask until it is up.
  const probe = async (): Promise<Answer> => {
    const due = (): boolean => gateway.primary.opsSources().services[0]!.breaker!.retryInMs === 0;
    await until(due, 'the reset timeout is over', PATIENCE_MS);
    return ask(gateway);
  };
  assert.equal((await probe()).status, 500);
  assert.ok(logged('circuit breaker is half-open', waited) && logged('a probe failed', waited));
  await breakerIs(gateway, 'open', 1);

  // Half-open lets three through; while they are on their way all others are refused. Three good ones close it.
  await instance.become({ kind: 'slow', ms: 200 });
  const first = probe();
  await until(
    () => gateway.logged.filter((line) => line.includes('half-open')).length === 4,
    'half-open again',
    PATIENCE_MS,
  );
  await breakerIs(gateway, 'half-open', 0.5);
  const others = await many(10);
  assert.deepEqual(others.map(({ status }) => status).toSorted(), [200, 200, ...Array.from({ length: 8 }, () => 503)]);
  assert.equal((await first).status, 200);
  await until(() => logged('circuit breaker closed'), 'its end');
  await breakerIs(gateway, 'closed', 0);
  const metrics = (await ask(gateway, '/metrics')).body.toString();
  assert.match(
    metrics,
    new RegExp(`gatehouse_service_events_total\\{service="${NAME}",event="breakerOpenings"\\} 2\\n`),
  );
});

test('breaker timeout: answers that come, but too late, count as errors', async (t) => {
  const fleet = await Fleet.start(t, ['p']);
  const gateway = await start(t, fleet.get('p').url, 5);
  await fleet.get('p').become({ kind: 'slow', ms: 750 });
  const answers = await Promise.all(Array.from({ length: 10 }, () => ask(gateway)));
  assert.deepEqual(
    answers.map(({ status }) => status),
    answers.map(() => 200),
  );
  assert.deepEqual(reasonOf(await ask(gateway)), 'circuit_open');
  await breakerIs(gateway, 'open', 1);
});
