/** What one node tells of services in trouble, and what it makes of what others tell. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeTimers } from '../../../test/support/fake-timers.ts';
import { createLogger } from '../../base/log.ts';
import type { ServiceSettings } from '../../data/contract/snapshot.ts';
import { Facts } from '../facts.ts';
import { HealthHints, type Trouble } from './hints.ts';

const SERVICE = {
  name: 'work',
  slot: 0,
  resilience: { ejection: { consecutiveFaults: 5 } },
  instances: [
    { id: 'a', slot: 1, url: 'http://a' },
    { id: 'b', slot: 2, url: 'http://b' },
  ],
} as unknown as ServiceSettings;

async function bench() {
  const timers = new FakeTimers();
  const facts = new Facts();
  const told: string[] = [];
  facts.carryBy({
    tell: async (_topic, key, value) => {
      told.push(`${key}: ${(value as { trouble: string }).trouble}`);
      return true;
    },
    replay: () => {},
    catchUp: async () => true,
    isWaiting: () => false,
    readMs: 0,
  });
  const troubles = new Map<number, Trouble>();
  const suspected: string[] = [];
  const hints = new HealthHints({
    facts,
    table: {
      troubleOf: (slot) => troubles.get(slot) ?? null,
      isBreakerOpen: () => troubles.has(0),
      suspect: (slot, faults) => void suspected.push(`${slot} has ${faults}`),
    },
    services: () => [SERVICE],
    probeNow: (instance) => void suspected.push(`look at ${instance}`),
    clock: timers.clock,
    timers,
    log: createLogger('silent'),
  });
  await timers.advance(1_000);
  return { timers, facts, told, troubles, suspected, hints };
}

test('each new trouble is told once, and one that comes and goes at most every five seconds', async () => {
  const { timers, told, troubles } = await bench();
  troubles.set(1, 'ejected');
  await timers.advance(1_000);
  assert.deepEqual(told, ['work http://a: ejected']);
  await timers.advance(60_000);
  assert.equal(told.length, 1, 'it goes on: nothing new');
  for (let i = 0; i < 10; i++) {
    troubles.delete(1);
    await timers.advance(300);
    troubles.set(1, 'down');
    await timers.advance(300);
  }
  assert.equal(told.length, 3);
  troubles.set(0, 'breaker open');
  await timers.advance(300);
  assert.equal(told.at(-1), 'work : breaker open');
});

test('what another node has told is not told again, and makes this one look', async () => {
  const { timers, facts, told, troubles, suspected } = await bench();
  const value = { service: 'work', url: 'http://b', trouble: 'down' };
  facts.deliver('hint', { key: 'work http://b', value, ageMs: 500, node: 'other' });
  assert.deepEqual(suspected, ['look at b', '2 has 4']);
  troubles.set(2, 'down');
  await timers.advance(60_000);
  assert.deepEqual(told, []);
  facts.deliver('hint', { key: 'work ', value: { ...value, url: '' }, ageMs: 0, node: 'other' });
  assert.deepEqual(suspected.slice(2), ['look at a', '1 has 4', 'look at b', '2 has 4'], 'a breaker means all');
});

test('hints that are old, of unknown services, or nonsense change nothing', async () => {
  const { facts, suspected } = await bench();
  const value = { service: 'work', url: 'http://b', trouble: 'down' };
  facts.deliver('hint', { key: 'k', value, ageMs: 31_000, node: 'other' });
  facts.deliver('hint', { key: 'k', value: { ...value, service: 'else' }, ageMs: 0, node: 'other' });
  facts.deliver('hint', { key: 'k', value: { ...value, url: 'http://c' }, ageMs: 0, node: 'other' });
  for (const nonsense of [null, 7, 'text', []])
    facts.deliver('hint', { key: 'k', value: nonsense, ageMs: 0, node: 'other' });
  assert.deepEqual(suspected, []);
});
