import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeClock } from './clock.ts';
import { Deadline, TimerWheel } from './timers.ts';

function setUp() {
  const clock = new FakeClock();
  const wheel = new TimerWheel(100, clock);
  const fired: number[] = [];
  const owner = { onDeadline: (kind: number) => void fired.push(kind) };
  const turnTo = (ms: number): void => {
    clock.advance(ms - clock.monotonicMs());
    wheel.turn();
  };
  return { wheel, fired, owner, turnTo };
}

test('fires once, at its time or up to a tick later, never earlier', () => {
  const { wheel, fired, owner, turnTo } = setUp();
  wheel.set(new Deadline(owner, 1), 250);
  turnTo(249);
  assert.deepEqual(fired, []);
  turnTo(300);
  assert.deepEqual(fired, [1]);
  turnTo(100_000);
  assert.deepEqual(fired, [1]);
});

test('a deadline moved later fires at the later time, one moved earlier at the earlier', () => {
  const { wheel, fired, owner, turnTo } = setUp();
  const later = new Deadline(owner, 1);
  const earlier = new Deadline(owner, 2);
  wheel.set(later, 200);
  wheel.set(later, 5_000);
  wheel.set(earlier, 5_000);
  wheel.set(earlier, 200);
  turnTo(300);
  assert.deepEqual(fired, [2]);
  turnTo(5_100);
  assert.deepEqual(fired, [2, 1]);
});

test('a cleared deadline does not fire and can be set again', () => {
  const { wheel, fired, owner, turnTo } = setUp();
  const deadline = new Deadline(owner, 1);
  wheel.set(deadline, 200);
  wheel.clear(deadline);
  assert.equal(deadline.isSet, false);
  turnTo(1_000);
  assert.deepEqual(fired, []);
  wheel.set(deadline, 200);
  turnTo(1_300);
  assert.deepEqual(fired, [1]);
});

test('a deadline beyond one round of the wheel waits for its own round', () => {
  const { wheel, fired, owner, turnTo } = setUp();
  wheel.set(new Deadline(owner, 1), 3_600_000);
  turnTo(60_000);
  turnTo(3_500_000);
  assert.deepEqual(fired, []);
  turnTo(3_600_100);
  assert.deepEqual(fired, [1]);
});

test('after a long stall everything due fires once', () => {
  const { wheel, fired, owner, turnTo } = setUp();
  for (let i = 0; i < 1_000; i++) wheel.set(new Deadline(owner, i), i * 50);
  turnTo(10_000_000);
  assert.equal(fired.length, 1_000);
  assert.equal(new Set(fired).size, 1_000);
});

test('a callback may clear, set and move any other deadline of the same slot', () => {
  const { wheel, fired, turnTo } = setUp();
  const all: Deadline[] = [];
  const owner = {
    onDeadline(kind: number) {
      fired.push(kind);
      if (kind === 0) {
        wheel.clear(all[1]!);
        wheel.set(all[2]!, 1_000);
        wheel.set(all[0]!, 2_000);
      }
    },
  };
  // Lists are last in, first out: the one that interferes is linked last, so that it fires first.
  for (const kind of [3, 2, 1, 0]) all[kind] = new Deadline(owner, kind);
  for (const kind of [3, 2, 1, 0]) wheel.set(all[kind]!, 200);
  turnTo(300);
  assert.deepEqual(fired, [0, 3]);
  turnTo(1_400);
  assert.deepEqual(fired, [0, 3, 2]);
  turnTo(2_400);
  assert.deepEqual(fired, [0, 3, 2, 0]);
});

test('ten thousand deadlines set and moved at random fire at their times', () => {
  const { wheel, turnTo } = setUp();
  const due = new Map<number, number>();
  let now = 0;
  const owner = {
    onDeadline(kind: number) {
      const expected = due.get(kind)!;
      assert.ok(now >= expected && now - expected <= 200, `due at ${expected}, fired at ${now}`);
      due.delete(kind);
    },
  };
  let seed = 42;
  const random = (most: number): number => {
    seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648;
    return seed % most;
  };
  const deadlines = Array.from({ length: 10_000 }, (_, kind) => new Deadline(owner, kind));
  for (let step = 0; step < 2_000; step++) {
    for (let i = 0; i < 20; i++) {
      const deadline = deadlines[random(10_000)]!;
      const ms = random(100_000);
      wheel.set(deadline, ms);
      due.set(deadline.kind, now + ms);
    }
    now += 100;
    turnTo(now);
  }
  now += 200_000;
  for (let at = now - 200_000; at <= now; at += 100) {
    const saved = now;
    now = at;
    turnTo(at);
    now = saved;
  }
  assert.equal(due.size, 0);
});
