import assert from 'node:assert/strict';
import { test } from 'node:test';
import { route } from '../../../test/support/route-settings.ts';
import type { Snapshot } from './snapshot.ts';
import { joinSnapshot, type Received, splitSnapshot } from './snapshot-parts.ts';

const snapshotOf = (version: number, routes: Snapshot['routes'], services: readonly string[] = []): Snapshot => ({
  version,
  gateway: { name: 'here' } as never,
  listeners: [],
  services: services.map((name) => ({ name, instances: [] }) as never),
  routes,
});
const routesOf = (count: number): Snapshot['routes'] => Array.from({ length: count }, (_, i) => route(`/r${i}`));

/** As if it had gone to the worker: nothing but copies arrives. */
function sent(snapshot: Snapshot, secrets: Record<string, string>, before: [Received, Received] | null) {
  const parts = splitSnapshot(snapshot, secrets, before?.[0] ?? null);
  const { head, parts: copies } = structuredClone(parts);
  assert.equal(head.parts, copies.length);
  const arrived = joinSnapshot(head, copies, before?.[1] ?? null);
  assert.deepEqual(arrived.snapshot, snapshot);
  assert.deepEqual(arrived.secrets, secrets);
  return { parts, both: [{ snapshot, secrets }, arrived] as [Received, Received] };
}

test('the first snapshot goes as a whole, in parts', () => {
  const { parts } = sent(snapshotOf(1, routesOf(1_000), ['a', 'b']), { key: 'x' }, null);
  assert.ok(parts.parts.length >= 20);
  assert.ok(parts.parts.every(({ routes }) => routes.length <= 50));
});

test('the next one brings what is new, and leaves the worker its own objects for the rest', () => {
  const routes = routesOf(1_000);
  const first = sent(snapshotOf(1, routes, ['a', 'b']), { key: 'x' }, null).both;
  const [, , gone, ...others] = routes;
  const fresh = route('/fresh');
  const next = snapshotOf(2, [...others.slice(500), fresh, ...others.slice(0, 500), routes[0]!], ['b', 'c']);
  const { parts, both } = sent(
    { ...next, services: [first[0].snapshot.services[1]!, next.services[1]!] },
    { key: 'x' },
    first,
  );
  assert.equal(parts.parts.flatMap(({ routes: those }) => those).length, 1);
  assert.equal(parts.parts.flatMap(({ services }) => services).length, 1);
  assert.equal(parts.head.secrets, null);
  const had = new Set<unknown>([...first[1].snapshot.routes, ...first[1].snapshot.services]);
  const kept = [...both[1].snapshot.routes, ...both[1].snapshot.services].filter((each) => had.has(each));
  assert.equal(kept.length, others.length + 1 + 1);
  assert.equal(both[1].secrets, first[1].secrets);
  assert.ok(!both[1].snapshot.routes.some(({ id }) => id === gone!.id));
});

test('secrets that changed go again, and so do none', () => {
  const first = sent(snapshotOf(1, []), { a: '1', b: '2' }, null).both;
  assert.deepEqual(sent(snapshotOf(2, []), { a: '1', b: '3' }, first).parts.head.secrets, { a: '1', b: '3' });
  assert.deepEqual(sent(snapshotOf(2, []), { a: '1' }, first).parts.head.secrets, { a: '1' });
  assert.deepEqual(sent(snapshotOf(2, []), {}, first).parts.head.secrets, {});
});

test('routes that share the definitions of a document share them behind the way too', () => {
  const definitions = { Pet: { type: 'object' } };
  const validated = routesOf(300).map((each, index) => ({
    ...each,
    policies: index % 2 === 0 ? [] : [{ name: 'validate', options: { definitions } }],
  }));
  const { both } = sent(snapshotOf(1, validated), {}, null);
  const found = both[1].snapshot.routes.flatMap(({ policies }) =>
    policies.map(({ options }) => (options as { definitions: object }).definitions),
  );
  assert.equal(found.length, 150);
  assert.equal(new Set(found).size, 1);
});
