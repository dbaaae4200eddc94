import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ID_WORDS, RequestIds } from './request-ids.ts';

test('ids are version 4 UUIDs in form and all different, over the end of the pool too', () => {
  const ids = new RequestIds(Buffer.alloc(16, 0xff));
  const seen = new Set<string>();
  for (let i = 0; i < 20_000; i++) {
    const id = next(ids);
    assert.match(id, /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    seen.add(id);
  }
  assert.equal(seen.size, 20_000);
});

test('every digit that is not the worker’s comes from the pool, in its order', () => {
  let byte = 0;
  const ids = new RequestIds(Buffer.alloc(16), (pool) => {
    for (let i = 0; i < pool.length; i++) pool[i] = byte++ & 0xff;
  });
  assert.equal(next(ids), '00010203-0000-4000-8000-040506070809');
  assert.equal(next(ids), '0a0b0c0d-0000-4000-8000-0e0f10111213');
});

test('two ids tell nothing of how many there were between them', () => {
  const ids = new RequestIds();
  const tail = (): number => Number.parseInt(next(ids).slice(24), 16);
  // Of a counter all steps are alike; of these no two are, and as many go down as up.
  const steps = Array.from({ length: 2_000 }, () => tail()).map((value, i, all) => value - (all[i - 1] ?? 0));
  assert.equal(new Set(steps).size, steps.length);
  const down = steps.filter((step) => step < 0).length;
  assert.ok(down > 700 && down < 1_300, `${down} of 2,000 go down`);
});

test('two workers do not share a prefix', () => {
  assert.notEqual(next(new RequestIds()).slice(0, 23), next(new RequestIds()).slice(0, 23));
});

function next(ids: RequestIds): string {
  const words = new Int32Array(ID_WORDS);
  return Buffer.from(words.buffer).latin1Slice(0, ids.write(words));
}
