import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { QuotaSettings } from '../contract/limits.ts';
import type { OptionContext } from '../contract/options.ts';
import { quotaOptions } from './quota.options.ts';

function compile(
  written: unknown,
  document: Record<string, unknown> = { quotas: { stories: {}, words: {} }, routes: [{}] },
) {
  const problems: string[] = [];
  const context: OptionContext = {
    path: ['routes', 0, 'quota'],
    env: {},
    document,
    resolve: (file) => file,
    readText: () => undefined,
    secret: (id) => id,
    problem: (message, detail) => problems.push([message, detail?.got, detail?.expected].filter(Boolean).join(', ')),
    warning: () => {},
  };
  const parsed = quotaOptions.schema.safeParse(written);
  if (!parsed.success) return { settings: [], problems: ['not valid'] };
  const [policy] = quotaOptions.compile?.(parsed.data, context, { id: 'r', services: [] }) ?? [];
  return { settings: policy?.options as readonly QuotaSettings[], problems };
}

test('a name alone, an object, and a list of both', () => {
  assert.deepEqual(compile('stories').settings, [
    {
      quota: 'stories',
      cost: 1,
      costHeader: null,
      counts: 'success',
      timeoutMs: 2_000,
      whenAway: 'closed',
      headers: true,
    },
  ]);
  const list = compile([
    'stories',
    { name: 'words', cost: 500, costHeader: 'X-Words', counts: 'answered', whenAway: 'open' },
  ]);
  assert.deepEqual(list.problems, []);
  assert.deepEqual(list.settings[1], {
    quota: 'words',
    cost: 500,
    costHeader: 'x-words',
    counts: 'answered',
    timeoutMs: 2_000,
    whenAway: 'open',
    headers: true,
  });
});

test('a quota that is not defined, and one on a public route, are refused', () => {
  assert.deepEqual(compile('songs').problems, ['there is no such quota, songs, one of stories, words']);
  assert.deepEqual(compile('songs', {}).problems, ['there is no such quota, songs, a quota defined under `quotas`']);
  const open = { quotas: { stories: {} }, routes: [{ auth: 'public' }] };
  assert.match(compile('stories', open).problems.join(), /^a public route has no caller to count/);
  assert.deepEqual(compile({ name: 'Stories!' }).problems, ['not valid']);
});
