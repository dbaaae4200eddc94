import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FieldBlock } from '../contract/field-block.ts';
import { FieldRecorder } from '../parser/field-recorder.ts';
import { FieldChanges } from './field-changes.ts';

function added(changes: FieldChanges): string[] {
  const out = new FieldRecorder();
  changes.writeAdded(out);
  const { names, values } = out.block();
  return names.map((name, i) => `${name}: ${values[i]}`);
}

const block = FieldBlock.of([
  ['X-A', '1'],
  ['X-B', '2'],
]);

test('a block takes the place of what was added of its names, alone or in another block', () => {
  const changes = new FieldChanges();
  changes.add('x-a', 'old');
  changes.addBlock(
    FieldBlock.of([
      ['X-B', 'old'],
      ['X-C', 'stays'],
    ]),
  );
  changes.add('X-D', 'stays');
  changes.setBlock(block, false);
  assert.deepEqual(added(changes), ['X-C: stays', 'X-D: stays', 'X-A: 1', 'X-B: 2']);
  assert.equal(changes.removed, null, 'nothing of the other side has to be looked for');
});

test('what may be on the other side too is taken out there', () => {
  const changes = new FieldChanges();
  changes.setBlock(block, true);
  assert.deepEqual(changes.removed, ['x-a', 'x-b']);
});

test('a single field takes the place of one of a block, whose others stay', () => {
  const changes = new FieldChanges();
  changes.setBlock(block, false);
  changes.set('x-b', 'new');
  assert.deepEqual(added(changes), ['X-A: 1', 'x-b: new']);
  changes.remove('X-A');
  assert.deepEqual(added(changes), ['x-b: new']);
});
