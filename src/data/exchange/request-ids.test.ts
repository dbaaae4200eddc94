import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ID_WORDS, RequestIds } from './request-ids.ts';

test('ids are version 4 UUIDs in form and all different, over the end of the counter too', () => {
  const ids = new RequestIds(Buffer.alloc(16, 0xff));
  const seen = new Set<string>();
  for (let i = 0; i < 20_000; i++) {
    const id = next(ids);
    assert.match(id, /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    seen.add(id);
  }
  assert.equal(seen.size, 20_000);
});

test('two workers do not share a prefix', () => {
  assert.notEqual(next(new RequestIds()).slice(0, 23), next(new RequestIds()).slice(0, 23));
});

function next(ids: RequestIds): string {
  const words = new Int32Array(ID_WORDS);
  return Buffer.from(words.buffer).latin1Slice(0, ids.write(words));
}
