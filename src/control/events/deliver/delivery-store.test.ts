/** What a consumer keeps survives a stream that begins anew, whose positions come again. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Scope } from '../../../../test/support/scope.ts';
import { migrate } from '../../store/migrate.ts';
import { openStore } from '../../store/store.ts';
import { event } from '../engines/engine.suite.ts';
import { type EventTables, MIGRATIONS } from '../tables.ts';
import { compareRows, DeliveryStore, type RowChange } from './delivery-store.ts';

async function deliveries(t: Scope) {
  const folder = mkdtempSync(join(tmpdir(), 'gatehouse-deliveries-'));
  const store = await openStore<EventTables>(`sqlite:${folder}/events.db`);
  await migrate(store, 'events', MIGRATIONS);
  t.after(async () => {
    await store.close();
    rmSync(folder, { recursive: true, force: true });
  });
  let nowMs = 1_000_000;
  const made = new DeliveryStore(store, () => nowMs++);
  const put = async (position: string, id: string, state: 'dead' | 'retry' = 'dead'): Promise<void> => {
    const stored = { ...event(id), position };
    const change: RowChange = { kind: 'put', event: stored, state, attempts: 3, nextMs: 0, problem: 'no' };
    await made.write('audit', 'tag', position, new Map([[position, change]]));
  };
  return { made, put };
}

test('a dead letter of a former stream is there beside the one that has its position now', async (t) => {
  const { made, put } = await deliveries(t);
  await put('1', 'former');
  await put('1', 'present');
  await put('1', 'present', 'retry');
  const dead = await made.dead({ consumer: 'audit' }, 10, 0);
  assert.deepEqual(
    dead.map(({ id }) => id),
    ['former'],
  );
  assert.equal((await made.deadEvent('audit', dead[0]!.position))?.id, 'former');
  assert.equal((await made.events('audit', ['1'])).get('1')?.id, 'present');
  assert.equal(await made.replay({ consumer: 'audit', positions: [dead[0]!.position] }), 1);
  assert.deepEqual(
    (await made.retries('audit')).map(({ position }) => position),
    [dead[0]!.position, '1'],
  );
});

test('what is set aside is older than all, keeps its order, and is not what the stream brings again', async (t) => {
  const { made, put } = await deliveries(t);
  for (const position of ['9', '10']) await put(position, `former ${position}`, 'retry');
  await made.setAside('audit');
  await made.setAside('audit');
  await put('2', 'present', 'retry');
  const kept = (await made.retries('audit')).map(({ position }) => position);
  const found = await made.events('audit', kept);
  assert.deepEqual(
    kept.map((position) => found.get(position)?.id),
    ['former 9', 'former 10', 'present'],
  );
  assert.deepEqual(
    (await made.known('audit', 10)).map(({ position, id }) => [position, id]),
    [['2', 'present']],
  );
  assert.ok(compareRows('~5~10', '~6~2') < 0 && compareRows('3-1', '~5~10') > 0);
});
