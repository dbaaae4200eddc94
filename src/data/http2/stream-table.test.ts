import assert from 'node:assert/strict';
import { test } from 'node:test';
import { StreamTable } from './stream-table.ts';

interface Numbered {
  readonly id: number;
}

test('it holds what a Map would, whatever comes and goes', () => {
  const table = new StreamTable<Numbered>();
  const expected = new Map<number, Numbered>();
  let state = 20_261_130;
  const random = (below: number): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
  let next = 1;
  for (let step = 0; step < 20_000; step++) {
    const ids = [...expected.keys()];
    if (ids.length > 0 && random(100) < (step % 400 < 200 ? 40 : 60)) {
      const stream = expected.get(ids[random(ids.length)]!)!;
      table.remove(stream);
      expected.delete(stream.id);
    } else {
      // Numbers may be left out (RFC 9113 §5.1.1), so that many have the same place.
      next += 2 * (1 + (random(4) === 0 ? 32 * random(8) : 0));
      const stream = { id: next };
      table.add(stream);
      expected.set(next, stream);
    }
    assert.equal(table.size, expected.size);
    if (step % 97 !== 0) continue;
    assert.deepEqual(table.all(), [...expected.values()]);
    for (const [id, stream] of expected) assert.equal(table.get(id), stream);
    assert.equal(table.get(next + 2), null);
  }
});

test('numbers up to the last one have a place', () => {
  const table = new StreamTable<Numbered>();
  const streams = [1, 0x3fff_ffff, 0x7fff_ffff].map((id) => ({ id }));
  for (const stream of streams) table.add(stream);
  for (const stream of streams) assert.equal(table.get(stream.id), stream);
});

test('what is not there is not removed, and an empty table knows nobody', () => {
  const table = new StreamTable<Numbered>();
  table.remove({ id: 1 });
  assert.equal(table.get(1), null);
  const stream = { id: 3 };
  table.add(stream);
  table.remove({ id: 19 });
  assert.equal(table.size, 1);
  table.remove(stream);
  table.remove(stream);
  assert.deepEqual([table.size, table.all()], [0, []]);
});
