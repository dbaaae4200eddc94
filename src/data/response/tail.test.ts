import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createMetricsBuffer, MetricsBank } from '../../base/metrics.ts';
import type { TailFilter } from '../contract/tail.ts';
import { Tail } from './tail.ts';

const ANY: TailFilter = { route: null, leastStatus: 0, mostStatus: 999, text: null };

function setUp(filters: readonly TailFilter[], perSecond = 200) {
  const buffer = createMetricsBuffer({ workers: 1, routes: 2, instances: 2 });
  let nowMs = 0;
  const sent = { lines: [] as string[], dropped: 0 };
  const tail = new Tail(
    { filters, perSecond },
    ({ lines, dropped }) => {
      sent.lines.push(...Buffer.from(lines).toString().split('\n').filter(Boolean));
      sent.dropped += dropped;
    },
    new MetricsBank(buffer, 0),
    () => nowMs,
  );
  const see = (route: string, status: number, atMs = 0, more = ''): void => {
    nowMs = atMs;
    if (!tail.begin(route, status, 0)) return;
    tail.log.text(`"route":"${route}","status":${status}${more}}`);
    tail.end();
  };
  const seen = (): unknown[] => {
    tail.close();
    return sent.lines.map((line) => {
      const { route, status } = JSON.parse(line);
      return [route, status];
    });
  };
  return { tail, sent, see, seen };
}

test('what no watcher wants is not written', () => {
  const { tail } = setUp([
    { ...ANY, route: 'a' },
    { ...ANY, leastStatus: 500, mostStatus: 599 },
  ]);
  assert.equal(tail.begin('b', 200, 0), false);
});

test('a record is sent once, though two watchers want it', () => {
  const { see, seen } = setUp([{ ...ANY, route: 'a' }, ANY]);
  see('a', 200);
  see('b', 404);
  assert.deepEqual(seen(), [
    ['a', 200],
    ['b', 404],
  ]);
});

test('a text counts only with the rest of its own filter', () => {
  const { see, seen } = setUp([
    { ...ANY, route: 'a', text: 'needle' },
    { ...ANY, leastStatus: 500, text: 'thread' },
  ]);
  see('a', 200, 0, ',"path":"/needle"');
  see('a', 200, 0, ',"path":"/thread"');
  see('b', 500, 0, ',"path":"/needle"');
  see('b', 500, 0, ',"path":"/thread"');
  assert.deepEqual(seen(), [
    ['a', 200],
    ['b', 500],
  ]);
});

test('the bound holds for each second, and each record beyond it is counted', () => {
  const { see, seen, sent } = setUp([ANY], 5);
  for (let i = 0; i < 12; i++) see('a', 200, 1_000 + i);
  for (let i = 0; i < 3; i++) see('b', 200, 2_000);
  const lines = seen();
  assert.deepEqual([lines.length, sent.dropped], [8, 7]);
});

test('what no watcher wants by its text does not use up the bound', () => {
  const { see, seen, sent } = setUp([{ ...ANY, text: 'rare' }], 1);
  for (let i = 0; i < 100; i++) see('a', 200);
  see('a', 200, 0, ',"path":"/rare"');
  assert.deepEqual([seen().length, sent.dropped], [1, 0]);
});
