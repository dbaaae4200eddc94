/** What the agent does with a heartbeat, with a store that is the test's. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeTimers } from '../../../test/support/fake-timers.ts';
import { createLogger } from '../../base/log.ts';
import { Agent, type AgentParts } from './agent.ts';

test('the newest fact is passed on with the moment before its heartbeat, however long that took', async () => {
  const timers = new FakeTimers();
  const seen: unknown[] = [];
  const node = { id: 'n', name: 'one', state: 'ready', checkedVersion: 0, wantedVersion: 0 };
  const members = {
    joinGateway: async () => node,
    heartbeat: async () => {
      timers.clock.advance(700);
      return { node, rollout: null, newestFact: 12 };
    },
    leave: async () => {},
  };
  const parts = {
    host: { health: () => 'healthy', load: () => ({}), traffic: () => ({}) },
    members,
    rollouts: {},
    kept: {},
    node,
    heartbeatMs: 1_000,
    clock: timers.clock,
    timers,
    log: createLogger({ level: 'error' }),
    random: () => 0.5,
    crowd: { pacedMs: () => 500 },
    appliedVersion: 0,
    onNewestFact: (...fact: unknown[]) => void seen.push(fact),
  } as unknown as AgentParts;
  const agent = new Agent(parts);
  const startMs = timers.clock.monotonicMs();
  agent.start();
  await agent.close();
  assert.deepEqual(seen, [[12, startMs]]);
});
