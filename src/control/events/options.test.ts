import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compile } from '../config/compile.ts';
import { loadConfig } from '../config/load.ts';
import { formatProblem } from '../config/problems.ts';

async function warnings(document: object): Promise<string[]> {
  const loaded = await loadConfig({ document, cwd: '/' });
  assert.ok(loaded.ok, loaded.ok ? '' : loaded.problems.map(formatProblem).join('\n'));
  const { ok, problems } = compile(loaded.config);
  assert.ok(ok, problems.map(formatProblem).join('\n'));
  return problems.map(formatProblem).filter((each) => each.includes('events.hub'));
}

test('a hub whose messages several gateways share is warned of where tickets and presence are in a file', async () => {
  const engines = { broker: { url: 'nats://127.0.0.1:4222' } };
  const topics = [{ topic: 'rooms.*' }];
  const shared = { hub: { topics, engine: 'broker' }, engines };
  assert.match(
    (await warnings({ events: shared })).join(),
    /^warning: events\.hub: tickets and presence are those of this gateway alone: .* \(expected PostgreSQL/,
  );
  const cluster = { name: 'prod', node: 'one' };
  assert.equal((await warnings({ events: { hub: { topics } }, cluster })).length, 1);
  assert.deepEqual(await warnings({ events: { hub: { topics } } }), [], 'one gateway');
  const store = 'postgres://gatehouse@127.0.0.1/gatehouse';
  assert.deepEqual(await warnings({ events: { ...shared, store } }), [], 'a store that they share');
  assert.deepEqual(await warnings({ events: shared, stores: { sql: store } }), []);
});
