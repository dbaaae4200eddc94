/** Instances that operators add and take out while a gateway runs, through real sockets: by HTTP and by command. */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { createLogger } from '../../../src/base/log.ts';
import { commandLine } from '../../../src/cli/command-line.suite.ts';
import { startGateway } from '../../../src/main.ts';
import { assertCatalogued } from '../../support/catalogued.ts';
import { startTestGateway } from '../../support/gateway.ts';
import { until } from '../../support/until.ts';
import { httpUpstream } from '../../support/upstream.ts';

const LONG_MS = 60_000;
/** Not while the machine is kept busy: a probe that comes late is a failed one. */
const PROBED = { healthCheck: { path: '/probe', interval: '500ms', unhealthyThreshold: 100 } };
const token = (role: string): string => `${role}-token-that-is-long-enough`;
const ADMIN = {
  listen: '127.0.0.1:0',
  tokens: ['viewer', 'operator', 'admin'].map((role) => ({ name: role, role, token: token(role) })),
};

interface Running {
  readonly primary: { opsSources(): { readonly features: readonly { readonly sections?: object }[] } };
}

function originOf(gateway: Running): string {
  for (const { sections = {} } of gateway.primary.opsSources().features)
    if ('admin' in sections) return (sections.admin as { url: string }).url;
  return assert.fail('no admin listener');
}

/** Answers with its name; `probes` counts those of health checks. */
async function named(t: TestContext, name: string) {
  const counts = { probes: 0 };
  const { url } = await httpUpstream(t, (request, response) => {
    if (request.url === '/probe') counts.probes++;
    response.end(name);
  });
  return { url: url.replace(/\/$/, ''), counts };
}

const one = (origin: string, role: string) => async (method: string, path: string, body?: unknown) => {
  const response = await fetch(`${origin}/api${path}`, {
    method,
    headers: { authorization: `Bearer ${token(role)}`, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  // biome-ignore lint/suspicious/noExplicitAny: bodies of many shapes, checked by the assertions
  return { status: response.status, body: (await response.json()) as any };
};

async function scene(t: TestContext, more: object = {}) {
  const [first, second, third] = [await named(t, 'first'), await named(t, 'second'), await named(t, 'third')];
  const gateway = await startTestGateway(t, {
    admin: ADMIN,
    services: {
      s: { instances: [first.url, second.url], ...more },
    },
    routes: [{ name: 'all', match: { path: '/a/*' }, service: 's', auth: 'public' }],
  });
  const seen = async (url = gateway.url): Promise<string> => {
    const found = new Set<string>();
    for (let i = 0; i < 12; i++) found.add(await (await fetch(`${url}/a/x`)).text());
    return [...found].sort().join(' ');
  };
  const origin = originOf(gateway);
  const id = (url: string): string => `s@${new URL(url).host}`;
  const path = (url: string): string => `/instances/${encodeURIComponent(id(url))}`;
  return { gateway, origin, seen, first, second, third, id, path };
}

test('an instance is added: it takes traffic, is probed, has owner and reason, survives reloads, and goes again', async (t) => {
  const { gateway, origin, seen, third, id, path } = await scene(t, PROBED);
  const admin = one(origin, 'admin');
  const wish = { url: `${third.url}/`, reason: 'a busy day', forMs: 3_600_000, weight: 2 };
  const added = await admin('PUT', '/services/s/instances', wish);
  assert.deepEqual(
    [added.status, added.body.kind, added.body.target, added.body.owner, added.body.reason],
    [200, 'added', id(third.url), 'token:admin', 'a busy day'],
  );
  assert.equal(await seen(), 'first second third');
  await until(() => third.counts.probes > 0, 'a probe', LONG_MS);
  const again = await admin('PUT', '/services/s/instances', { ...wish, reason: 'still busy' });
  assert.deepEqual([again.status, again.body.reason], [200, 'still busy']);
  const { overrides } = (await admin('GET', '/overrides')).body;
  assert.deepEqual(
    overrides.map(({ kind, reason }: { kind: string; reason: string }) => [kind, reason]),
    [['added', 'still busy']],
  );
  assert.equal((await gateway.reload()).ok, true);
  assert.equal(await seen(), 'first second third');
  const { instances } = (await admin('GET', '/services')).body.services[0];
  assert.equal(instances.find((each: { id: string }) => each.id === id(third.url)).weight, 2);
  const metrics = await (await fetch(`${origin}/metrics`)).text();
  assertCatalogued(metrics);
  assert.match(metrics, /^gatehouse_overrides\{kind="added"\} 1$/m);
  const { troubles } = (await admin('GET', '/status')).body;
  assert.match(JSON.stringify(troubles), /added by token:admin until .*: still busy/);
  assert.deepEqual((await admin('DELETE', `${path(third.url)}/added`)).body, { ended: true });
  assert.deepEqual((await admin('DELETE', `${path(third.url)}/added`)).body, { ended: false });
  assert.equal(await seen(), 'first second');
  assert.ok(gateway.logged.some((line) => line.includes('admin.added.set') && line.includes('token:admin')));
});

test('an instance is taken out: no requests, no probes, over reloads, until it is put back; never the last one', async (t) => {
  const { gateway, origin, seen, first, second, path, id } = await scene(t, PROBED);
  const operator = one(origin, 'operator');
  await until(() => first.counts.probes > 0, 'a probe', LONG_MS);
  const out = await operator('PUT', `${path(first.url)}/removed`, { reason: 'its disk is ill' });
  assert.deepEqual([out.status, out.body.until, out.body.instance.url], [200, null, first.url]);
  assert.equal(await seen(), 'second');
  const probes = first.counts.probes;
  const others = second.counts.probes;
  await until(() => second.counts.probes > others + 1, 'probes of the other', LONG_MS);
  assert.ok(first.counts.probes <= probes + 1, 'a probe under way when it went may still come');
  assert.equal((await gateway.reload()).ok, true);
  assert.equal(await seen(), 'second');
  const again = await operator('PUT', `${path(first.url)}/removed`, { reason: 'the disk is on its way' });
  assert.deepEqual([again.status, again.body.reason], [200, 'the disk is on its way']);
  const last = await operator('PUT', `${path(second.url)}/removed`, { reason: 'x' });
  assert.deepEqual([last.status, last.body.code], [409, 'CONFLICT']);
  assert.match(last.body.message, /the last instance of s/);
  const back = await one(origin, 'admin')('PUT', '/services/s/instances', { url: first.url, reason: 'x' });
  assert.match(back.body.message, /was taken out by hand: put it back/);
  assert.deepEqual((await operator('DELETE', `${path(first.url)}/removed`)).body, { ended: true });
  assert.equal(await seen(), 'first second');
  const both = await Promise.all(
    [first, second].map(({ url }) => operator('PUT', `${path(url)}/removed`, { reason: 'at once' })),
  );
  assert.deepEqual(both.map(({ status }) => status).sort(), [200, 409]);
  assert.ok(gateway.primary.overrides.find('removed', id(first.url)) !== undefined);
});

test('what was added and taken out ends by itself', async (t) => {
  const { gateway, origin, seen, first, third, path } = await scene(t);
  const admin = one(origin, 'admin');
  const forMs = 1_500;
  await admin('PUT', '/services/s/instances', { url: third.url, reason: 'a test', forMs });
  await admin('PUT', `${path(first.url)}/removed`, { reason: 'a test', forMs });
  await until(() => gateway.primary.overrides.list().length === 0, 'the end', LONG_MS);
  await until(() => gateway.primary.snapshot.services[0]!.instances.length === 2, 'the new snapshot', LONG_MS);
  const giveUpMs = performance.now() + LONG_MS;
  while ((await seen()) !== 'first second') assert.ok(performance.now() < giveUpMs, 'the configuration holds again');
});

test('what is no service, no address, there already or not for this role is refused by name', async (t) => {
  const { origin, first, third, path } = await scene(t);
  const admin = one(origin, 'admin');
  const put = (url: string, service = 's') => admin('PUT', `/services/${service}/instances`, { url, reason: 'a test' });
  assert.equal((await put(third.url, 'nobody')).status, 404);
  assert.equal((await put(third.url, 'builtin:admin')).status, 404);
  assert.equal((await put(third.url, 'constructor')).status, 404);
  for (const url of ['ftp://127.0.0.1', 'http://u:p@127.0.0.1', 'http://127.0.0.1/?x', 'nothing']) {
    const wrong = await put(url);
    assert.deepEqual([wrong.status, wrong.body.errors[0].field], [400, 'url'], url);
  }
  const there = await put(`${first.url}/`);
  assert.deepEqual([there.status, there.body.code], [409, 'CONFLICT']);
  const wish = { url: third.url, reason: 'x' };
  assert.equal((await one(origin, 'operator')('PUT', '/services/s/instances', wish)).status, 403);
  assert.equal((await one(origin, 'viewer')('PUT', `${path(first.url)}/removed`, { reason: 'x' })).status, 403);
  assert.equal((await admin('PUT', '/instances/nobody/removed', { reason: 'x' })).status, 404);
  const unfit = await one((await scene(t, { protocol: 'h2c' })).origin, 'admin')('PUT', '/services/s/instances', {
    url: 'https://127.0.0.1:9',
    reason: 'x',
  });
  assert.deepEqual([unfit.status, unfit.body.errors[0].field], [400, 'url']);
});

test('no request is lost while instances come and go', async (t) => {
  const { gateway, origin, first, third, path } = await scene(t);
  const admin = one(origin, 'admin');
  let ends = false;
  const statuses = new Map<number, number>();
  const asking = Array.from({ length: 4 }, async () => {
    while (!ends) {
      const response = await fetch(`${gateway.url}/a/x`);
      await response.text();
      statuses.set(response.status, (statuses.get(response.status) ?? 0) + 1);
    }
  });
  for (let i = 0; i < 4; i++) {
    const before = statuses.get(200) ?? 0;
    assert.equal((await admin('PUT', '/services/s/instances', { url: third.url, reason: 'x' })).status, 200);
    assert.equal((await admin('PUT', `${path(first.url)}/removed`, { reason: 'x' })).status, 200);
    await until(() => (statuses.get(200) ?? 0) > before + 8, 'requests', LONG_MS);
    assert.equal((await admin('DELETE', `${path(third.url)}/added`)).status, 200);
    assert.equal((await admin('DELETE', `${path(first.url)}/removed`)).status, 200);
  }
  ends = true;
  await Promise.all(asking);
  assert.deepEqual([...statuses.keys()], [200]);
});

test('by command, also from afar; the next process has what was set by hand', async (t) => {
  const [first, second, third] = [await named(t, 'first'), await named(t, 'second'), await named(t, 'third')];
  const line = commandLine();
  t.after(() => line.remove());
  const path = join(line.folder, 'gatehouse.yaml');
  const document = {
    gateway: { host: '127.0.0.1', port: 0, workers: 1, dataDir: './own', accessLog: 'off', watch: false },
    admin: ADMIN,
    services: { s: { instances: [first.url, second.url] } },
    routes: [{ match: { path: '/a/*' }, service: 's', auth: 'public' }],
  };
  await writeFile(path, JSON.stringify(document));
  const log = createLogger('silent');
  const start = () => startGateway({ configFile: path, cwd: line.folder, env: {}, log });
  const gateway = await start();
  t.after(() => gateway.stop({ timeoutMs: 500 }));
  const id = (url: string): string => `s@${new URL(url).host}`;
  const added = await line.run('instance', 'add', 's', third.url, '--reason', 'busy', '--for', '2h', '--weight', '3');
  assert.deepEqual([added.code, added.err], [0, '']);
  assert.ok(added.out.startsWith(`${id(third.url)}: added by hand until `), added.out);
  line.env = { GATEHOUSE_SERVER: originOf(gateway), GATEHOUSE_TOKEN: token('operator') };
  const refused = await line.run('instance', 'add', 's', 'http://127.0.0.1:9', '--reason', 'x');
  assert.deepEqual([refused.code, refused.err], [5, 'this needs the role admin\n']);
  const out = await line.run('instance', 'remove', first.url, '--reason', 'ill');
  assert.deepEqual([out.code, out.out], [0, `${id(first.url)}: taken out by hand, until it is ended\n`]);
  const list = (await line.run('instance', 'list')).out;
  assert.match(list, /weight 3 .*added by hand/);
  assert.ok(new RegExp(`${id(first.url)} +taken out .*by token:operator`).test(list), list);
  await gateway.stop({ timeoutMs: 500 });

  const next = await start();
  t.after(() => next.stop({ timeoutMs: 500 }));
  line.env = {};
  assert.equal((await line.run('instance', 'list')).out.includes('added by hand'), true);
  const answers = new Set<string>();
  const url = `http://127.0.0.1:${next.addresses[0]!.port}/a/x`;
  for (let i = 0; i < 12; i++) answers.add(await (await fetch(url)).text());
  assert.deepEqual([...answers].sort(), ['second', 'third']);
  assert.equal((await line.run('instance', 'restore', first.url)).out, 'the configuration holds again\n');
  assert.equal((await line.run('instance', 'remove', third.url, '--reason', 'over')).code, 0);
  assert.deepEqual(next.primary.overrides.list(), []);
  for (const args of [
    ['add', 's'],
    ['remove', 'x', 'y'],
    ['grow', 's'],
    ['drain', 'x', '--weight', '3'],
  ])
    assert.equal((await line.run('instance', ...args)).code, 2, args.join(' '));
});
