import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { emptySlotTable, SlotKeeper } from './slots.ts';

function assigned(keeper: SlotKeeper, ids: readonly string[]) {
  const result = keeper.assign(ids);
  assert.ok(result);
  return result;
}

test('slots begin at 1, because 0 is "the rest" in metrics', () => {
  const { slots, fresh } = assigned(new SlotKeeper(10), ['a', 'b']);
  assert.deepEqual(
    [...slots],
    [
      ['a', 1],
      ['b', 2],
    ],
  );
  assert.deepEqual(fresh, [1, 2]);
});

test('a thing keeps its slot whatever comes and goes around it', () => {
  const first = assigned(new SlotKeeper(10), ['a', 'b', 'c']);
  const second = assigned(first.keeper, ['x', 'c', 'a']);
  assert.equal(second.slots.get('a'), 1);
  assert.equal(second.slots.get('c'), 3);
  assert.deepEqual(second.fresh, [second.slots.get('x')]);
});

test('the slot of a thing that went away rests for one generation', () => {
  const first = assigned(new SlotKeeper(10), ['a', 'b']);
  const second = assigned(first.keeper, ['b', 'c']);
  assert.equal(second.slots.get('c'), 3, 'the slot of a is not given away while workers may still use it');
  const third = assigned(second.keeper, ['b', 'c', 'd']);
  assert.equal(third.slots.get('d'), 1);
});

test('a thing that comes back has a fresh slot', () => {
  const first = assigned(new SlotKeeper(10), ['a']);
  const second = assigned(first.keeper, []);
  const third = assigned(second.keeper, ['a']);
  assert.deepEqual(third.fresh, [1]);
});

test('a full table gives a resting slot rather than none', () => {
  const first = assigned(new SlotKeeper(3), ['a', 'b']);
  const second = assigned(first.keeper, ['b', 'c']);
  assert.equal(second.slots.get('c'), 1);
});

test('more things than slots is refused', () => {
  assert.equal(new SlotKeeper(3).assign(['a', 'b', 'c']), undefined);
});

test('an assignment that is not used changes nothing', () => {
  const first = assigned(new SlotKeeper(10), ['a']);
  assigned(first.keeper, ['b', 'c']);
  assert.deepEqual(
    [...assigned(first.keeper, ['a', 'd']).slots],
    [
      ['a', 1],
      ['d', 2],
    ],
  );
});

test('over any history no two things share a slot and none changes its slot', () => {
  const generations = fc.array(fc.uniqueArray(fc.integer({ min: 0, max: 12 }).map(String), { maxLength: 9 }), {
    maxLength: 30,
  });
  fc.assert(
    fc.property(generations, (history) => {
      let keeper = new SlotKeeper(10);
      let before: ReadonlyMap<string, number> = new Map();
      for (const ids of history) {
        const { keeper: next, slots, fresh } = assigned(keeper, ids);
        assert.equal(new Set(slots.values()).size, ids.length);
        for (const [id, slot] of slots) {
          assert.ok(slot >= 1 && slot < 10);
          if (before.has(id)) assert.equal(slot, before.get(id));
          else assert.ok(fresh.includes(slot));
        }
        keeper = next;
        before = slots;
      }
    }),
  );
});

test('the tables have room for what shared memory has room for', () => {
  const table = emptySlotTable();
  assert.deepEqual([table.services.capacity, table.instances.capacity, table.routes.capacity], [1_023, 8_191, 16_383]);
});
