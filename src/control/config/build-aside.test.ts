import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { build } from './build.ts';
import { beginBuild, buildAside } from './build-aside.ts';
import { type BuildResult, firstOrder, type LoadOrder, orderOf } from './build-order.ts';
import { formatProblem } from './problems.ts';
import { slotTableState } from './slots.ts';

const TEXT = `gateway: { name: edge, dataDir: ./data }
services:
  a: { instances: [http://127.0.0.1:\${PORT}], protocol: h2c }
  b: { instances: [https://localhost:1], tls: { verify: false } }
plans: { free: { limits: [60/1m] } }
routes:
  - { match: { path: /a }, service: a, auth: public, rateLimit: { limits: [5/1s] } }
  - { match: { path: /b }, service: b, auth: public }
`;

async function fileWith(t: TestContext, name: string, text: string): Promise<LoadOrder> {
  const cwd = await mkdtemp(join(tmpdir(), 'gh-aside-'));
  t.after(() => rm(cwd, { recursive: true, force: true }));
  await writeFile(join(cwd, name), text);
  return orderOf({ file: name, cwd, env: { PORT: '4001', UNSET: undefined } }, null);
}

/** What may be compared: keepers of slots by what they know. */
function plain(result: BuildResult) {
  if (!result.ok) return result;
  const { slots, ...compiled } = result.compiled;
  return structuredClone({ config: result.config, compiled, slots: slotTableState(slots) });
}

/** Loads it both ways, and again as the main thread would. */
async function sameBothWays(load: LoadOrder): Promise<BuildResult> {
  const aside = await buildAside(firstOrder(load));
  const here = await build(firstOrder(load));
  // Variables that are not set stay behind.
  for (const result of [here, aside])
    if (result.ok) Object.assign(result.config.again.options, { env: { PORT: '4001' } });
  assert.deepEqual(plain(aside), plain(here));
  return aside;
}

for (const [name, text] of [
  ['gatehouse.yaml', TEXT],
  [
    'gatehouse.ts',
    `export default () => ({ services: { a: { instances: ['http://127.0.0.1:' + process.env.PORT] } },
routes: [{ match: { path: '/a' }, service: 'a', auth: 'public' }] });`,
  ],
] as const) {
  test(`another thread gives what this one would, and gives it again without the file (${name})`, async (t) => {
    const order = await fileWith(t, name, text);
    const first = await sameBothWays(order);
    assert.ok(first.ok, first.ok ? '' : first.problems.map(formatProblem).join('\n'));
    assert.equal(first.compiled.snapshot.services[0]?.instances[0]?.port, 4001);
    await writeFile(join(order.options.cwd!, name), 'nonsense:');
    const again = await sameBothWays(first.config.again);
    assert.ok(again.ok);
    assert.deepEqual(again.compiled.snapshot, first.compiled.snapshot);
    assert.equal(again.config.text, first.config.text);
  });
}

test('a document of the cluster lies over the node’s own', async (t) => {
  const order = await fileWith(t, 'gatehouse.yaml', TEXT);
  const overlay = { name: 'version 7', text: 'gateway: { name: theirs, logLevel: warn }' };
  const result = await sameBothWays({ ...order, overlay });
  assert.ok(result.ok);
  const { name, logLevel } = result.compiled.snapshot.gateway;
  assert.deepEqual([name, logLevel], ['edge', 'warn']);
});

test('what lies over a document is built again over the document as it was', async (t) => {
  const order = await fileWith(t, 'gatehouse.yaml', TEXT);
  const overlay = { name: 'version 7', text: 'gateway: { name: theirs, logLevel: warn }' };
  const first = await sameBothWays({ ...order, overlay });
  assert.ok(first.ok);
  for (const text of ['gateway: { name: renamed }', 'nonsense:']) {
    await writeFile(join(order.options.cwd!, 'gatehouse.yaml'), text);
    const again = await sameBothWays(first.config.again);
    assert.ok(again.ok);
    assert.deepEqual(again.compiled.snapshot, first.compiled.snapshot);
    assert.equal(again.config.text, overlay.text);
  }
});

test('what is wrong is said with its place', async (t) => {
  const order = await fileWith(
    t,
    'gatehouse.yaml',
    `${TEXT}  - { match: { path: /c }, service: c, auth: public }\nrouts: []\n`,
  );
  const result = await sameBothWays(order);
  assert.ok(!result.ok);
  const lines = result.problems.map(formatProblem);
  assert.ok(
    lines.some((line) => line.startsWith('gatehouse.yaml:9:') && line.includes('routes[2].service')),
    lines.join('\n'),
  );
  assert.ok(
    lines.some((line) => line.startsWith('gatehouse.yaml:10:1: unknown key "routs"')),
    lines.join('\n'),
  );
});

test('what no thread can be given is a problem, not an exception', async () => {
  const load = orderOf({ document: { routes: [() => {}] } }, null);
  const result = await buildAside(firstOrder(load));
  assert.ok(!result.ok);
  assert.match(formatProblem(result.problems[0]!), /the configuration cannot be read: .*could not be cloned/);
});

test('a build that was begun is taken by the start that it is for, once', async (t) => {
  const { options } = await fileWith(t, 'gatehouse.yaml', TEXT);
  beginBuild(options);
  const other = await buildAside(firstOrder(await fileWith(t, 'gatehouse.yaml', 'routes: []')));
  assert.ok(other.ok);
  assert.equal(Object.keys(other.config.services).length, 0);
  const [first, second] = await Promise.all([1, 2].map(() => buildAside(firstOrder(orderOf(options, null)))));
  assert.ok(first?.ok && second?.ok);
  assert.deepEqual(first.compiled.snapshot, second.compiled.snapshot);
});
