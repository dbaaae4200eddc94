/**
 * Steps of attempts and parts, from what an exchange says of them; test/integration/admin/try.test.ts has real ones.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FAULTS } from '../../base/errors.ts';
import type { ControlLink } from '../contract/policy.ts';
import { TRIED_TOPIC, TRIES_KNOWN_TOPIC, type TriedStep } from '../contract/tries.ts';
import type { TracedAttempt } from '../trace/exchange-trace.ts';
import { StepTimes, Tries } from './step-times.ts';

const STARTED_MS = 1_000;

const attempt = (startedMs: number, more: Partial<TracedAttempt> = {}): TracedAttempt => ({
  service: { settings: { name: 'notes' } },
  endpoint: { settings: { id: 'notes@a:1' } as never },
  startedMs,
  connectMs: 2,
  sendMs: 1,
  firstByteMs: 10,
  status: 200,
  grpcStatus: -1,
  reusedConnection: false,
  ...more,
});

const texts = (steps: readonly TriedStep[]): string[] =>
  steps.map(({ phase, name, startMs, ms, failed }) => `${phase} ${name} ${startMs}+${ms} ${failed}`.trim());

const ended = (times: StepTimes, nowMs: number): string[] => {
  times.responded(nowMs);
  return texts(times.end(''));
};

test('an attempt is picking, connecting, sending and waiting; what was waited for before it is in picking', () => {
  const times = new StepTimes(STARTED_MS, null);
  times.add('authenticate', 'auth-jwt', 1_000, 1_004);
  times.attemptEnd(attempt(1_024), null, false, 1_050);
  times.responds(1_035);
  times.add('responseHead', 'cors', 1_035, 1_036);
  assert.deepEqual(ended(times, 1_051), [
    'authenticate auth-jwt 0+4',
    'pick notes 4+20',
    'connect notes@a:1 24+2',
    'send notes@a:1 26+1',
    'upstreamHead notes@a:1 27+7',
    'responseHead  34+1',
    'responseHead cors 35+1',
    'responseBody  36+15',
  ]);
});

test('what fails says where and why, and has no steps behind it', () => {
  const of = (fault: (typeof FAULTS)[keyof typeof FAULTS] | null, isAbandoned = false, more = {}): string[] => {
    const times = new StepTimes(STARTED_MS, null);
    times.attemptEnd(attempt(1_000, { firstByteMs: 0, ...more }), fault, isAbandoned, 1_030);
    return ended(times, 1_030).slice(1);
  };
  assert.deepEqual(of(FAULTS.connectRefused), ['connect notes@a:1 0+30 connect_failed']);
  assert.deepEqual(of(FAULTS.firstByteTimeout), [
    'connect notes@a:1 0+2',
    'send notes@a:1 2+1',
    'upstreamHead notes@a:1 3+27 first_byte_timeout',
  ]);
  assert.equal(of(null, true).at(-1), 'upstreamHead notes@a:1 3+27 given up');
  assert.equal(
    of(null, false, { firstByteMs: 5, reusedConnection: true, connectMs: 0 })[0],
    'connect notes@a:1, a connection that was there 0+0',
  );
});

test('a part of a composition names its steps; one that asks nobody is one step', () => {
  const times = new StepTimes(STARTED_MS, null);
  const [asking, not] = [times.part(), times.part()];
  asking.attemptEnd(attempt(1_001), null, false, 1_020);
  asking.end('part user', 1_000, 1_021, '');
  not.end('part news', 1_000, 1_003, 'breaker_open');
  const steps = ended(times, 1_030);
  assert.ok(steps.includes('pick part user 0+1'), steps.join('; '));
  assert.ok(steps.includes('upstreamHead part user, notes@a:1 4+7'));
  assert.ok(steps.includes('responseBody part user, notes@a:1 11+9'));
  assert.ok(steps.includes('pick part news 0+3 breaker_open'));
});

test('only the requests that control names are timed, while it names them', () => {
  let publish: (data: unknown) => void = () => {};
  const told: unknown[] = [];
  const control: ControlLink = {
    subscribe: (_, listener) => {
      publish = listener;
      return () => {};
    },
    tell: (topic, data) => void told.push([topic, data]),
    ask: () => Promise.reject(new Error('nothing is asked')),
  };
  let tries: Tries | null = null;
  Tries.follow(control, (next) => {
    tries = next;
  });
  const known = (): Tries => tries!;
  publish({ order: 7, ids: ['mine'] });
  assert.deepEqual(told, [[TRIES_KNOWN_TOPIC, 7]]);
  const exchange = { requestId: 'mine', startedMs: STARTED_MS, trace: null };
  assert.ok(known().begin(exchange) instanceof StepTimes);
  assert.equal(known().begin({ ...exchange, requestId: 'another' }), null);
  known().tell('mine', []);
  assert.deepEqual(told[1], [TRIED_TOPIC, { requestId: 'mine', steps: [] }]);
  publish(null);
  assert.equal(tries, null);
});

test('there are at most 256 steps', () => {
  const times = new StepTimes(STARTED_MS, null);
  for (let i = 0; i < 300; i++) times.add('limit', 'x', STARTED_MS, STARTED_MS);
  assert.equal(ended(times, STARTED_MS).length, 256);
});
