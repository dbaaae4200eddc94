/**
 * The circuit breaker of the workflow orchestrator in its three states, seen from outside; and the deadline before it.
 */
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { suiteScope } from '../../test/support/scope.ts';
import { eventually, type System, startSystem } from './testing.ts';

const SERVICE = 'workflow-orchestrator';

interface Breaker {
  readonly state: 'closed' | 'open' | 'half-open';
  readonly retryInMs: number;
  readonly openings: number;
}

describe('a service that is told to fail', () => {
  const scope = suiteScope();
  let system: System;
  const call = () => system.call('/api/v1/workflows');
  const detailed = async () =>
    (await system.call('/health/detailed')).json<{
      circuitBreakers: Record<string, Breaker>;
      loadBalancers: Record<string, { instances: { breaker: Breaker }[] }>;
    }>();
  const breaker = async (): Promise<Breaker> => (await detailed()).circuitBreakers[SERVICE]!;
  const state = async (): Promise<string> => (await breaker()).state;
  const drill = async (mode: 'off' | 'errors' | 'slow') => {
    for (const n of [1, 2, 3]) await system.drill(`${SERVICE}-${n}`, mode);
  };
  /** As Prometheus sees it: 0 closed, 0.5 half-open, 1 open. */
  const gauge = async (): Promise<number> => {
    const { text } = await system.call('/metrics/prometheus');
    return Number(new RegExp(`^gatehouse_breaker_open\\{service="${SERVICE}"\\} (\\S+)$`, 'm').exec(text)?.[1]);
  };

  before(async () => {
    // Open for 5 s is long enough to look at, and too long for a test.
    system = await startSystem(scope, {
      services: [SERVICE, 'project-manager'],
      edit: ({ services }) => {
        Object.assign(services[SERVICE]?.['circuitBreaker'] as object, { resetTimeout: 600 });
      },
    });
  });

  test('one failing instance is isolated: its own breaker opens, the others answer', async () => {
    await system.drill(`${SERVICE}-1`, 'errors');
    await eventually(async () => {
      await call();
      return (await detailed()).loadBalancers[SERVICE]?.instances[0]?.breaker.state === 'open';
    }, 'the breaker of the failing instance opens');
    const { circuitBreakers, loadBalancers } = await detailed();
    const states = loadBalancers[SERVICE]?.instances.map(({ breaker }) => breaker.state);
    assert.deepEqual([circuitBreakers[SERVICE]?.state, states], ['closed', ['open', 'closed', 'closed']]);
    const asked = new Set<unknown>();
    for (let i = 0; i < 6; i++) asked.add((await call()).headers['served-by']);
    assert.deepEqual([...asked].sort(), [`${SERVICE}-2`, `${SERVICE}-3`]);
    await drill('off');
    await eventually(async () => {
      await call();
      return (await detailed()).loadBalancers[SERVICE]?.instances[0]?.breaker.state === 'closed';
    }, 'it is taken back');
  });

  test('closed, open, half-open, closed: errors open it, time and good answers close it', async () => {
    assert.deepEqual([await state(), await gauge()], ['closed', 0]);
    await drill('errors');
    const passed = await call();
    assert.deepEqual([passed.status, passed.json()['error']], [500, 'INTERNAL_ERROR'], 'errors of a service pass');
    await eventually(async () => {
      await call();
      return (await state()) === 'open';
    }, 'the breaker opens');
    assert.equal(await gauge(), 1);

    const refused = await call();
    assert.equal(refused.status, 503);
    assert.equal(refused.json()['code'], 'SERVICE_UNAVAILABLE');
    assert.ok(Number(refused.headers['retry-after']) >= 1, 'it says when to come back');
    assert.equal(refused.headers['served-by'], undefined, 'no instance was asked');
    const health = (await system.call('/health')).json<{ services: Record<string, unknown> }>();
    assert.deepEqual(health.services[SERVICE], { status: 'unavailable', available: false });
    const metrics = (await system.call('/metrics')).json<{ serviceHealth: Record<string, { breaker: string }> }>();
    assert.equal(metrics.serviceHealth[SERVICE]?.breaker, 'open');
    // Isolation: the others work.
    assert.equal((await system.call('/api/v1/projects')).status, 200);

    // After resetTimeout a probe may pass. It still fails, so the breaker opens again.
    const { openings } = await breaker();
    await eventually(async () => (await breaker()).retryInMs === 0, 'resetTimeout is over');
    assert.equal(await state(), 'open', 'time alone closes nothing');
    await eventually(async () => {
      await call();
      return (await breaker()).openings > openings;
    }, 'a failed probe opens it again');
    assert.equal(await state(), 'open');

    await drill('off');
    const seen: [string, number][] = [];
    await eventually(async () => {
      await call();
      seen.push([await state(), await gauge()]);
      return seen.at(-1)?.[0] === 'closed';
    }, 'good probes close it');
    assert.ok(
      seen.some(([name, value]) => name === 'half-open' && value === 0.5),
      `half-open was not seen: ${JSON.stringify(seen)}`,
    );
    assert.deepEqual([(await call()).status, await gauge()], [200, 0]);
  });

  test('an answer that does not come within `timeout` is 504, and counts as an error', async () => {
    await drill('slow');
    const late = await system.call('/api/v1/workflows', { body: { name: 'Late', steps: ['one'] } });
    assert.deepEqual([late.status, late.json()['code']], [504, 'GATEWAY_TIMEOUT']);
    await drill('off');
  });
});
