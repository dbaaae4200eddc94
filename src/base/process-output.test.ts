import assert from 'node:assert/strict';
import type { Writable } from 'node:stream';
import { test } from 'node:test';
import { ProcessOutput } from './process-output.ts';

test('the line that says how many writes are lost is none of them, and when it is lost the next one says the same', () => {
  const taken: string[] = [];
  let isGone = true;
  const reader = {
    writableLength: 0,
    on: () => reader,
    write(text: string, done: (error?: Error) => void) {
      if (!isGone) taken.push(text);
      done(isGone ? new Error('EPIPE') : undefined);
    },
  };
  const output = new ProcessOutput(() => reader as unknown as Writable, true);
  for (const text of ['one\n', 'two\n', 'three\n']) output.write(text);
  assert.equal(output.dropped, 3);
  isGone = false;
  output.write('four\n');
  output.write('five\n');
  const [notice = '', ...rest] = taken;
  assert.deepEqual(rest, ['four\n', 'five\n']);
  const { level, writes } = JSON.parse(notice) as Record<string, unknown>;
  assert.deepEqual([level, writes, output.dropped], ['warn', 3, 3]);
});
