import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { FakeClock } from '../../base/clock.ts';
import { createInstanceTable, InstanceTable } from '../contract/instance-table.ts';
import { RetryBudget } from './retry-budget.ts';

function make(ratio: number, minPerSecond: number) {
  const clock = new FakeClock();
  const table = new InstanceTable(createInstanceTable(), clock);
  const workers = [0, 1].map(() => new RetryBudget(table, 1, ratio, minPerSecond));
  const takeAll = (): number => {
    let taken = 0;
    while (workers[taken % 2]!.take(table.nowTick())) taken++;
    return taken;
  };
  const requests = (count: number): void => {
    for (let i = 0; i < count; i++) workers[i % 2]!.countRequest(table.nowTick());
  };
  return { clock, takeAll, requests, take: () => workers[0]!.take(table.nowTick()) };
}

describe('retry budget', () => {
  it('allows its share of the requests of all workers, and no more', () => {
    const { requests, takeAll } = make(0.2, 0);
    requests(100);
    assert.equal(takeAll(), 20);
    requests(50);
    assert.equal(takeAll(), 10);
  });

  it('lets a quiet service retry at the least rate', () => {
    const { takeAll, clock } = make(0.2, 3);
    assert.equal(takeAll(), 30);
    clock.advance(10_000);
    assert.equal(takeAll(), 30);
  });

  it('forgets requests and retries after ten seconds', () => {
    const { requests, takeAll, clock } = make(0.5, 0);
    requests(40);
    assert.equal(takeAll(), 20);
    clock.advance(9_000);
    assert.equal(takeAll(), 0);
    clock.advance(1_000);
    assert.equal(takeAll(), 0);
    requests(10);
    assert.equal(takeAll(), 5);
  });

  it('never refuses at a share of one', () => {
    const { take } = make(1, 0);
    for (let i = 0; i < 1_000; i++) assert.equal(take(), true);
  });

  it('refuses everything at a share of nothing', () => {
    const { take, requests } = make(0, 0);
    requests(1_000);
    assert.equal(take(), false);
  });
});
