import assert from 'node:assert/strict';
import { test } from 'node:test';
import { until } from '../../../test/support/until.ts';
import { GoneKeys } from './gone-keys.ts';

test('keys of a moment are one message, each once; a thousand do not wait', async () => {
  const told: unknown[] = [];
  const gone = new GoneKeys({ tell: (_topic, data) => void told.push(data) });
  for (const key of ['a', 'b', 'a']) gone.add(key);
  assert.deepEqual(told, []);
  await until(() => told.length === 1, 'they are told');
  assert.deepEqual(told, [['a', 'b']]);
  for (let i = 0; i < 1_000; i++) gone.add(String(i));
  assert.equal(told.length, 2);
  gone.add('last');
  gone.close();
  gone.close();
  assert.deepEqual(told.slice(2), [['last']]);
});
