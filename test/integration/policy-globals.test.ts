/**
 * Policies that change what all code of a worker shares, at a moment when nobody expects it: the gateway names it and
 * goes on, in the same worker or in a new one, and no request waits for ever.
 */
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import type { TestGateway } from '../support/gateway.ts';
import { startTestGateway } from '../support/gateway.ts';
import type { Scope } from '../support/scope.ts';
import { until } from '../support/until.ts';
import { echoUpstream } from '../support/upstream.ts';

const SLOW_MS = 60_000;

/** Its policy does what the query names. */
async function gatewayWith(t: Scope, changes: Readonly<Record<string, string>>): Promise<TestGateway> {
  const folder = await mkdtemp(join(tmpdir(), 'gh-globals-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const file = join(folder, 'mine.ts');
  const cases = Object.entries(changes).map(([name, change]) => `${JSON.stringify(name)}: () => { ${change} },`);
  await writeFile(
    file,
    `import { definePolicy } from 'gatehouse/policy';
const CHANGES = { ${cases.join('\n')} };
export default definePolicy({ name: 'mine', create: () => ({
  requestHead(request) {
    const [when, what] = decodeURIComponent(request.query).split(':');
    if (when === 'now') CHANGES[what]();
    if (when === 'later') return new Promise((done) => setTimeout(done, 5)).then(() => CHANGES[what]());
  },
}) });`,
  );
  const handler = join(folder, 'page.ts');
  await writeFile(
    handler,
    `import { defineHandler } from 'gatehouse/policy';
export default defineHandler(async (request) => Response.json({ url: request.url }));`,
  );
  const { url } = await echoUpstream(t);
  return startTestGateway(t, {
    gateway: { policies: { loopTimeout: '200ms' } },
    services: { echo: { instances: [{ url }] } },
    routes: [
      { match: { path: '/guarded' }, service: 'echo', auth: 'public', use: file },
      { match: { path: '/page' }, handler, auth: 'public' },
      {
        match: { path: '/parts' },
        auth: 'public',
        aggregate: { parts: { one: { service: 'echo', path: '/1' }, two: { service: 'echo', path: '/2' } } },
      },
      { match: { path: '/plain' }, service: 'echo', auth: 'public' },
    ],
  });
}

/** Asks for what all parts of the worker are needed for. */
async function works(gateway: TestGateway): Promise<boolean> {
  for (const path of ['/plain', '/guarded', '/page', '/parts']) {
    const signal = AbortSignal.timeout(2_000);
    const status = await fetch(`${gateway.url}${path}`, { signal, headers: { Connection: 'close' } }).then(
      async (response) => (await response.arrayBuffer()) && response.status,
      () => 0,
    );
    if (status !== 200) return false;
  }
  return true;
}

/** By \`Object.defineProperty\`, which no look at once sees. */
const hidden = (owner: string, name: string, how: string): string =>
  `Object.defineProperty(${owner}, '${name}', { configurable: true, ${how} });`;

/** Seen before anything else runs. */
const PLAIN = {
  'Object.prototype.extra': 'Object.prototype.extra = 1',
  'Array.prototype.extra': 'Array.prototype.extra = 1',
  // All objects are promises that never settle.
  'Object.prototype.then': 'Object.prototype.then = () => {}',
  // All descriptors are getters.
  'Object.prototype.get': 'Object.prototype.get = () => 7',
} as const;

/** Seen a moment later, when the gateway's own code has run into it. */
const HIDDEN = {
  'a setter that never returns': hidden('Object.prototype', 'status', 'get() { for (;;); }, set() { for (;;); }'),
  'all objects promises': hidden('Object.prototype', 'then', 'value: () => {}'),
  'lists without end': 'Array.prototype[Symbol.iterator] = function* () { for (;;) yield 1; };',
  'iterators without end': 'Object.getPrototypeOf([][Symbol.iterator]()).next = () => ({ done: false, value: 1 });',
  'maps that hold nothing': 'Map.prototype.get = () => undefined;',
  'promises that never settle': 'Promise.prototype.then = function () { return this; };',
  'ticks that never come': 'process.nextTick = () => {};',
  'calls that do nothing': 'Function.prototype.call = () => {}; Function.prototype.apply = () => {};',
  'a loop in a timer': 'setTimeout(() => { for (;;); }, 1);',
} as const;

const FOR_GOOD = {
  'a member nobody can take away': `Object.defineProperty(Object.prototype, 'extra', { value: 1, enumerable: true });`,
  'frozen lists': 'Object.freeze(Array.prototype);',
} as const;

describe('a policy that changes what all code shares', () => {
  test('by assignment fails its own request, is named, and nobody else sees it', async (t) => {
    const gateway = await gatewayWith(t, PLAIN);
    for (const name of Object.keys(PLAIN)) {
      for (const when of ['now', 'later']) {
        const response = await fetch(`${gateway.url}/guarded?${when}:${name}`);
        assert.equal(response.status, 500, name);
        assert.equal(((await response.json()) as { reason: string }).reason, 'policy_failed');
        const line = gateway.logged.findLast((each) => each.includes('it was put back')) ?? '';
        assert.ok(line.includes(`"changed":["${name}"]`) && line.includes('"policies":["mine"]'), line);
      }
    }
    assert.ok(await works(gateway), gateway.logged.join('\n'));
    assert.ok(!gateway.logged.some((each) => each.includes('its worker is ended')));
  });

  test('so that the gateway’s own code runs into it is named, and the gateway goes on', async (t) => {
    const gateway = await gatewayWith(t, HIDDEN);
    for (const [i, what] of Object.keys(HIDDEN).entries()) {
      const before = gateway.logged.length;
      const when = i % 2 === 0 ? 'now' : 'later';
      // What is caught in it may never be answered.
      const gone = new AbortController();
      const caught = fetch(`${gateway.url}/guarded?${when}:${what}`, { signal: gone.signal }).catch(() => {});
      const named = (): boolean =>
        gateway.logged
          .slice(before)
          .some((line) => /put back|worker is ended|is replaced/.test(line) && /"(mine|page)"/.test(line));
      await until(named, `it is named: ${what}`, SLOW_MS);
      gone.abort();
      await caught;
      await until(() => works(gateway), `all works again: ${what}`, SLOW_MS);
    }
  });

  test('for good costs its worker, which is replaced', async (t) => {
    const gateway = await gatewayWith(t, FOR_GOOD);
    for (const what of Object.keys(FOR_GOOD)) {
      const before = gateway.logged.length;
      await fetch(`${gateway.url}/guarded?now:${what}`).catch(() => {});
      const isEnded = (line: string): boolean =>
        line.includes('for good; its worker is ended') && line.includes('"mine"');
      await until(() => gateway.logged.slice(before).some(isEnded), `the worker is ended: ${what}`, SLOW_MS);
      await until(() => works(gateway), `all works again: ${what}`, SLOW_MS);
    }
  });

  test('whose create never returns is refused by a reload, and the former one stays, also in workers to come', async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'gh-create-'));
    t.after(() => rm(folder, { recursive: true, force: true }));
    const file = join(folder, 'mine.ts');
    await writeFile(join(folder, 'part.ts'), `export const header: string = 'first';`);
    const text = (create: string): string =>
      `import { definePolicy } from 'gatehouse/policy';
import { header } from './part.ts';
export default definePolicy({
  name: 'mine',
  create() { ${create} return { responseHead(exchange) { exchange.setResponseHeader('x-mine', header); } }; },
});`;
    await writeFile(file, text(''));
    const gateway = await startTestGateway(t, {
      gateway: { policies: { loopTimeout: '200ms' } },
      routes: [
        { match: { path: '/guarded' }, auth: 'public', respond: { body: 'guarded' }, use: file },
        { match: { path: '/plain' }, auth: 'public', respond: { body: 'plain' } },
      ],
    });
    const guarded = async (): Promise<string | null> => {
      const response = await fetch(`${gateway.url}/guarded`, { signal: AbortSignal.timeout(2_000) }).catch(() => null);
      return response?.status === 200 ? response.headers.get('x-mine') : `${response?.status}`;
    };
    assert.equal(await guarded(), 'first');

    await writeFile(join(folder, 'part.ts'), `export const header: string = 'second';`);
    await writeFile(file, text('for (;;);'));
    assert.equal((await gateway.reload()).ok, false);
    assert.equal(await guarded(), 'first');
    const { workers } = gateway.primary;
    for (const _ of [1, 2, 3, 4]) {
      const threads = workers.status().map(({ threadId }) => threadId);
      await workers.terminate(0);
      const isReplaced = (): boolean =>
        workers.status().every(({ listening, threadId }) => listening && !threads.includes(threadId));
      await until(isReplaced, 'another worker', SLOW_MS);
      assert.equal(await guarded(), 'first', 'the files have changed, the live configuration has not');
      assert.equal((await fetch(`${gateway.url}/plain`)).status, 200, 'the rest goes on');
    }

    await writeFile(file, text(''));
    assert.equal((await gateway.reload()).ok, true);
    assert.equal(await guarded(), 'second');
  });
});
