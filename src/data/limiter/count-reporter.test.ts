import assert from 'node:assert/strict';
import { test } from 'node:test';
import { COUNTS_TOPIC } from '../contract/limits.ts';
import { HandheldControl } from '../policies/testing.ts';
import { CountReporter } from './count-reporter.ts';

test('only what grew is told, as differences', () => {
  const control = new HandheldControl();
  const reporter = new CountReporter(control);
  const counts: Record<string, number> = { allowed: 3, refused: 0 };
  reporter.add(() => counts);
  reporter.add(() => ({ events: 1 }));
  reporter.tell();
  reporter.tell();
  counts['allowed'] = 10;
  reporter.tell();
  assert.deepEqual(
    control.told.map(({ topic, data }) => [topic, data]),
    [
      [COUNTS_TOPIC, { allowed: 3, events: 1 }],
      [COUNTS_TOPIC, { allowed: 7 }],
    ],
  );
});
