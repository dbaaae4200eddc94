/** The life of a configuration without the process around it: what is built, how often, and what is kept of it. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { createLogger } from '../base/log.ts';
import { build } from './config/build.ts';
import { buildAside } from './config/build-aside.ts';
import type { Build } from './config/build-order.ts';
import type { DocumentSource } from './config/document-source.ts';
import { documentSource } from './config/document-source.ts';
import type { History } from './config/history.ts';
import { type ConfigurationHost, LiveConfiguration } from './live-configuration.ts';

const log = createLogger({ level: 'error' });
const CHANGE = { author: 'test', reason: 'a test' };
const DOCUMENT = {
  services: { a: { instances: ['http://127.0.0.1:4001', 'http://127.0.0.1:4002'] } },
  routes: [
    { match: { path: '/a' }, service: 'a', auth: 'public', rateLimit: { limits: ['5/1s'] } },
    { match: { path: '/b' }, service: 'a', auth: 'public' },
  ],
};

async function loaded(t: TestContext, build: Build): Promise<{ live: LiveConfiguration; source: DocumentSource }> {
  const source = documentSource({ document: DOCUMENT }, log);
  const history = {
    open: async () => {},
    record: async () => ({ revision: 1 }),
    list: () => [],
    read: async () => null,
  };
  const host: ConfigurationHost = {
    log,
    source,
    build,
    history: () => history as unknown as History,
    overlay: (snapshot) => ({ ...snapshot, gateway: { ...snapshot.gateway, logLevel: 'warn' } }),
    byHand: () => ({ services: [], added: {}, removed: new Set() }),
    resolvePorts: async (snapshot) => ({ ...snapshot, listeners: snapshot.listeners.map((each) => ({ ...each })) }),
    prepare: async () => {},
    publish: async () => [],
    publishInstances: async () => [],
    applied: () => {},
    restartKeys: () => [],
  };
  const live = await LiveConfiguration.load(host);
  await live.resolve();
  t.after(() => live.close());
  return { live, source };
}

/** Where something in it can be changed. */
function unfrozen(value: unknown, path = 'snapshot', seen = new Set<unknown>()): string[] {
  if (typeof value !== 'object' || value === null || seen.has(value)) return [];
  seen.add(value);
  const inner = Object.entries(value).flatMap(([key, each]) => unfrozen(each, `${path}.${key}`, seen));
  return Object.isFrozen(value) ? inner : [path, ...inner];
}

test('the live snapshot is frozen after a start, after a reload and with other instances', async (t) => {
  const { live, source } = await loaded(t, buildAside);
  assert.deepEqual([...unfrozen(live.snapshot), ...unfrozen(live.compiled.snapshot)], [], 'start');
  const before = live.snapshot.routes[0];
  await source.write(
    JSON.stringify({ ...DOCUMENT, routes: DOCUMENT.routes.with(1, { ...DOCUMENT.routes[1]!, match: { path: '/c' } }) }),
  );
  assert.equal((await live.reload(CHANGE)).ok, true);
  assert.equal(live.snapshot.routes[0], before, 'what says the same stays');
  assert.deepEqual([...unfrozen(live.snapshot), ...unfrozen(live.compiled.snapshot)], [], 'reload');
  const found = { url: 'http://127.0.0.1:4003', weight: 1, zone: null, metadata: {} };
  assert.equal((await live.setDiscovered({ a: [found] })).ok, true);
  assert.deepEqual([...unfrozen(live.snapshot), ...unfrozen(live.compiled.snapshot)], [], 'instances');
  assert.equal((await live.republish()).ok, true);
  assert.deepEqual([...unfrozen(live.snapshot), ...unfrozen(live.compiled.snapshot)], [], 'republished');
});

test('trials run one after another, those of the source share one, and a reload waits for none of them', async (t) => {
  const goOn: (() => void)[] = [];
  let isHeld = false;
  let atOnce = 0;
  let most = 0;
  let built = 0;
  const counting: Build = async (order) => {
    built++;
    most = Math.max(most, ++atOnce);
    if (isHeld) await new Promise<void>((resolve) => goOn.push(resolve));
    const result = await build(order);
    atOnce--;
    return result;
  };
  const { live, source } = await loaded(t, counting);
  isHeld = true;
  built = 0;
  const first = live.tryOut();
  while (goOn.length === 0) await Promise.resolve();
  await source.write(JSON.stringify({ ...DOCUMENT, routes: [] }));
  const later = Array.from({ length: 30 }, () => live.tryOut());
  const texts = [1, 2].map(() => live.tryOut(JSON.stringify(DOCUMENT)));
  isHeld = false;
  assert.equal((await live.reload(CHANGE)).ok, true);
  assert.deepEqual([built, most, live.snapshot.routes.some(({ id }) => id.includes('/b'))], [2, 2, false]);
  isHeld = false;
  most = 0;
  goOn[0]!();
  assert.equal((await first).ok, true);
  const results = await Promise.all(later);
  assert.equal(new Set(results).size, 1);
  assert.deepEqual(
    results[0]?.difference?.routes,
    (await live.tryOut()).difference?.routes,
    'what the source held by then',
  );
  assert.ok((await Promise.all(texts)).every(({ ok }) => ok));
  assert.deepEqual([built, most], [6, 1]);
});
