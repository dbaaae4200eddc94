/**
 * What an operator sees of instances that fail: /health/detailed, `gatehouse status` and the log say of each one that
 * it gets no traffic, since when and why; and say when it is back.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { commandLine } from '../../src/cli/command-line.suite.ts';
import type { InstanceReport } from '../../src/control/ops/services.ts';
import { endScene, startScene } from '../support/fault-scene.ts';
import type { TestGateway } from '../support/gateway.ts';
import { RawCaller } from '../support/raw.ts';
import { until } from '../support/until.ts';

const PATIENCE_MS = 9_000;
const cli = commandLine();
after(() => cli.remove());

async function detailed(gateway: TestGateway) {
  const caller = new RawCaller(gateway.port);
  const answer = await caller.send('GET /health/detailed HTTP/1.1\r\nHost: a\r\n\r\n').answer();
  caller.close();
  return JSON.parse(answer.body.toString()) as {
    status: string;
    services: Record<string, { status: string }>;
    loadBalancers: Record<string, { healthyInstances: number; instances: InstanceReport[] }>;
  };
}

interface Line {
  level: string;
  message: string;
  service?: string;
  instance?: string;
  reason?: string;
}

test('a dead instance and a failing one are told apart, each with its reason, and both are seen to return', async (t) => {
  const scene = await startScene(t, {
    service: {
      healthCheck: { interval: '200ms' },
      ejection: { consecutiveFaults: 3, baseEjection: '3s', maxEjection: '3s' },
    },
  });
  const { fleet, gateway } = scene;
  const [a, b, c] = fleet.instances.map((instance) => instance);
  const lines = (message: string, url: string): Line[] =>
    gateway.logged
      .map((line) => JSON.parse(line) as Line)
      .filter((line) => line.message === message && line.instance === `work@${url.slice('http://'.length)}`);
  const told = (message: string, url: string) =>
    until(() => lines(message, url).length > 0, `"${message}" of ${url}`, PATIENCE_MS);
  const instance = async (url: string) =>
    (await detailed(gateway)).loadBalancers['work']!.instances.find((each) => each.url === url)!;

  await b!.become({ kind: 'errors' });
  await told('instance ejected', b!.url);
  await c!.kill();
  await told('instance unhealthy', c!.url);

  const health = await detailed(gateway);
  assert.deepEqual([health.status, health.services['work']], ['degraded', { status: 'degraded', available: true }]);
  assert.equal(health.loadBalancers['work']!.healthyInstances, 1);
  const well = await instance(a!.url);
  assert.deepEqual([well.usable, well.healthCheck!.status, well.healthCheck!.lastStatus], [true, 'healthy', 200]);
  assert.deepEqual([well.healthCheck!.reason, well.healthCheck!.consecutiveFailures], [null, 0]);
  assert.ok(well.healthCheck!.latencyMs! > 0 && Date.parse(well.healthCheck!.since) > 0);
  const failing = await instance(b!.url);
  // Its probes are answered well: it is the traffic that shows its errors.
  assert.deepEqual([failing.usable, failing.ejected, failing.healthCheck!.status], [false, true, 'healthy']);
  assert.ok(failing.ejectedForMs > 0 && failing.ejections === 1);
  const dead = await instance(c!.url);
  assert.deepEqual([dead.usable, dead.healthy, dead.healthCheck!.status], [false, false, 'unhealthy']);
  assert.ok(dead.healthCheck!.consecutiveFailures >= 3 && dead.healthCheck!.lastStatus === null);
  assert.match(dead.healthCheck!.reason!, /ECONNREFUSED/);

  const { code, out } = await cli.run('status', '--socket', join(gateway.folder, 'gatehouse.sock'));
  assert.equal(code, 0);
  const shown = (url: string): string => out.split('\n').find((line) => line.includes(`${url} `)) ?? '';
  assert.match(out, /^work: degraded, 1 of 3 instances, round-robin, /m);
  assert.match(shown(a!.url), / up .* probe 200 in [\d.]+ ms$/);
  assert.match(shown(b!.url), / ejected .* back in [1-3]s$/);
  assert.match(shown(c!.url), / down .* connection refused \(ECONNREFUSED\), \d+ failures, for \d+s$/);

  const [ejected] = lines('instance ejected', b!.url);
  assert.deepEqual([ejected!.level, ejected!.service], ['warn', 'work']);
  assert.match(ejected!.reason!, /^[3-9] failures in a row; out for 3000 ms$/);
  assert.match(lines('instance unhealthy', c!.url)[0]!.reason!, /ECONNREFUSED/);

  await b!.become({ kind: 'well' });
  await c!.start();
  await told('ejected instance is back', b!.url);
  await told('instance healthy', c!.url);
  assert.equal(lines('ejected instance is back', b!.url)[0]!.reason, 'ejection time passed');
  await until(
    () => lines('instance healthy', c!.url).some(({ reason }) => reason === '2 good responses'),
    'its return',
  );
  assert.deepEqual((await detailed(gateway)).services['work'], { status: 'running', available: true });
  await endScene(t, scene, ['500 of the instance']);
});
