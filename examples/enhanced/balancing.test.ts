/** The four algorithms and our own, health checks, failover and registration, as a caller sees them: by `Served-By`. */
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { register } from '../../src/registry/index.ts';
import { suiteScope } from '../../test/support/scope.ts';
import { startInstance } from './services/service.ts';
import { DEFINITIONS, eventually, type System, startSystem } from './testing.ts';

const REGISTRY_TOKEN = 'a-registry-token-of-the-tests';

describe('balancing, seen from outside', () => {
  const scope = suiteScope();
  let system: System;
  const servedBy = async (path: string, from = '127.0.0.1'): Promise<string> => {
    const answer = await system.call(path, { from });
    assert.equal(answer.status, 200, answer.text);
    return String(answer.headers['served-by']);
  };
  const many = async (path: string, times: number): Promise<Record<string, number>> => {
    const counts: Record<string, number> = {};
    for (let i = 0; i < times; i++) {
      const name = await servedBy(path);
      counts[name] = (counts[name] ?? 0) + 1;
    }
    return counts;
  };
  const usable = async (service: string): Promise<number> => {
    const { loadBalancers } = (await system.call('/health/detailed')).json<{
      loadBalancers: Record<string, { healthyInstances: number }>;
    }>();
    return loadBalancers[service]?.healthyInstances ?? -1;
  };

  before(async () => {
    // One worker: the turns of two would be two series, each of them right.
    const env = { CLUSTER_MODE: 'false', GATEHOUSE_REGISTRY_TOKEN: REGISTRY_TOKEN };
    system = await startSystem(scope, { env });
  });

  test('weighted-round-robin gives the instance of weight 2 twice as many', async () => {
    assert.deepEqual(await many('/api/v1/projects', 30), { 'project-manager-1': 10, 'project-manager-2': 20 });
  });

  test('round-robin takes turns', async () => {
    const names: string[] = [];
    for (let i = 0; i < 9; i++) names.push(await servedBy('/api/v1/workflows'));
    for (let i = 3; i < 9; i++) assert.equal(names[i], names[i - 3]);
    assert.equal(new Set(names).size, 3);
  });

  test('least-connections goes round the instance that is busy', async (t) => {
    await system.drill('ai-planner-1', 'slow', 2_500);
    await system.drill('ai-planner-2', 'slow', 300);
    t.after(() => system.drill('ai-planner-1', 'off'));
    // From other addresses, and so on connections of their own. Both are slow, so each gets one.
    const held = ['127.0.0.2', '127.0.0.3'].map((from) => system.call('/api/v1/ai', { from }));
    const first = await Promise.race(held);
    assert.equal(first.headers['served-by'], 'ai-planner-2');
    await system.drill('ai-planner-2', 'off');
    assert.deepEqual(await many('/api/v1/ai', 10), { 'ai-planner-2': 10 });
    const names = (await Promise.all(held)).map(({ headers }) => headers['served-by']);
    assert.deepEqual(names.sort(), ['ai-planner-1', 'ai-planner-2']);
  });

  test('ip-hash keeps each address on one instance, and uses all that are healthy', async () => {
    const seen = new Set<string>();
    for (let host = 1; host <= 20; host++) {
      const from = `127.0.0.${host}`;
      const first = await servedBy('/api/v1/notifications', from);
      for (let i = 0; i < 3; i++) assert.equal(await servedBy('/api/v1/notifications', from), first, from);
      seen.add(first);
    }
    assert.deepEqual([...seen].sort(), ['smart-notifications-1', 'smart-notifications-2']);
  });

  test('the custom algorithm keeps charts on the large instance and everything else off it', async () => {
    const body = { metric: 'requests', value: 12 };
    assert.equal((await system.call('/api/v1/analytics', { body })).status, 201);
    assert.deepEqual(await many('/api/v1/analytics/requests?bucket=day', 10), { 'analytics-dashboard-1': 10 });
    assert.deepEqual(await many('/api/v1/analytics', 10), { 'analytics-dashboard-2': 10 });
  });

  test('the unhealthy instance joins when it comes up, and leaves when it goes', { timeout: 20_000 }, async () => {
    await eventually(async () => (await usable('smart-notifications')) === 2, 'two of three are healthy');
    await system.startInstance('smart-notifications-3');
    await eventually(async () => (await usable('smart-notifications')) === 3, 'the third is healthy');
    const seen = new Set<string>();
    for (let host = 1; host <= 40; host++) seen.add(await servedBy('/api/v1/notifications', `127.0.0.${host}`));
    assert.equal(seen.size, 3);
    await system.stopInstance('smart-notifications-3');
    // At once: a refused connection is tried at the next instance.
    for (let host = 1; host <= 40; host++)
      assert.notEqual(await servedBy('/api/v1/notifications', `127.0.0.${host}`), 'smart-notifications-3');
    await eventually(async () => (await usable('smart-notifications')) === 2, 'the third is out');
  });

  test('a service registers a further instance of itself, which leaves with it', async () => {
    const port = 0;
    const definition = DEFINITIONS['workflow-orchestrator'];
    const instance = await startInstance(definition, { instance: 'registered', port, folder: system.folder });
    scope.after(() => instance.close());
    const lease = await register({
      gateway: system.url,
      token: REGISTRY_TOKEN,
      service: 'workflow-orchestrator',
      url: instance.url,
    });
    await eventually(async () => (await usable('workflow-orchestrator')) === 4, 'the fourth instance takes traffic');
    const counts = await many('/api/v1/workflows', 12);
    assert.equal(counts['registered'], 3);
    await lease.close();
    await eventually(async () => (await usable('workflow-orchestrator')) === 3, 'it has left');
    assert.equal((await many('/api/v1/workflows', 6))['registered'], undefined);
  });

  test('nobody registers without the token', async () => {
    const url = 'http://127.0.0.1:9';
    await assert.rejects(
      register({ gateway: system.url, token: 'x'.repeat(20), service: 'workflow-orchestrator', url }),
      { status: 401 },
    );
  });

  test('while all instances of a service are away it answers 503, and the other services work', async () => {
    await system.stopInstance('project-manager-1');
    await system.stopInstance('project-manager-2');
    const answer = await system.call('/api/v1/projects');
    assert.ok([502, 503].includes(answer.status), answer.text);
    assert.match(String(answer.json()['code']), /^(BAD_GATEWAY|SERVICE_UNAVAILABLE)$/);
    assert.equal((await system.call('/api/v1/workflows')).status, 200);
    await system.startInstance('project-manager-1');
    await eventually(async () => (await system.call('/api/v1/projects')).status === 200, 'it works again');
  });
});
