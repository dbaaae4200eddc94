/**
 * What a page of the console shows, over one stream: what it reads comes when it changes, by the rules of a request.
 */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { startTestGateway } from '../../support/gateway.ts';
import { until } from '../../support/until.ts';

const ADMIN = 'admin-token-that-is-long-enough';
const VIEWER = 'viewer-token-that-is-long-enough';
const LONG_MS = 60_000;
const AGAIN_MS = 10_000;

interface Read {
  readonly path: string;
  readonly status: number;
  // biome-ignore lint/suspicious/noExplicitAny: bodies of many shapes
  readonly body: any;
}

async function scene(t: TestContext) {
  const gateway = await startTestGateway(t, {
    admin: {
      listen: '127.0.0.1:0',
      tokens: [
        { name: 'a', role: 'admin', token: ADMIN },
        { name: 'v', role: 'viewer', token: VIEWER },
      ],
    },
    services: { notes: { instances: ['http://127.0.0.1:9', 'http://127.0.0.2:9'] } },
    routes: [{ name: 'notes', match: { path: '/notes' }, service: 'notes', auth: 'public' }],
  });
  const found = gateway.primary.opsSources().features.find(({ sections }) => sections?.['admin'] !== undefined);
  return (found!.sections!['admin'] as { url: string }).url;
}

const bearer = (token: string) => ({ authorization: `Bearer ${token}` });

/** Follows until the test ends. */
async function follow(t: TestContext, url: string, headers: Record<string, string>) {
  const ending = new AbortController();
  t.after(() => ending.abort());
  const response = await fetch(url, { headers, signal: ending.signal });
  const seen = { status: response.status, text: '', reads: [] as Read[], events: [] as string[], isOver: false };
  void (async () => {
    let rest = '';
    for await (const part of response.body!.pipeThrough(new TextDecoderStream())) {
      seen.text += part;
      const events = (rest + part).split('\n\n');
      rest = events.pop() ?? '';
      for (const event of events) {
        const [, name = '', data = ''] = /^event: (.*)\ndata: (.*)$/m.exec(event) ?? [];
        if (name !== '') seen.events.push(name);
        if (name === 'read') seen.reads.push(JSON.parse(data) as Read);
      }
    }
    seen.isOver = true;
  })().catch(() => {});
  return seen;
}

const pageOf = (origin: string, paths: readonly string[], more = ''): string =>
  `${origin}/api/page/stream?${new URLSearchParams(paths.map((path) => ['read', path]))}${more}`;

test('each reading comes once, and again when it changed', async (t) => {
  const origin = await scene(t);
  const sinceMs = performance.now();
  const seen = await follow(t, pageOf(origin, ['/me', '/overrides', '/features/nothing/x']), bearer(ADMIN));
  const of = (path: string) => seen.reads.filter((each) => each.path === path);
  await until(() => seen.reads.length >= 3, 'the first readings', LONG_MS);
  assert.deepEqual(of('/me'), [{ path: '/me', status: 200, body: { name: 'token:a', role: 'admin' } }]);
  assert.deepEqual(of('/overrides')[0]?.body, { overrides: [] });
  assert.equal(of('/features/nothing/x')[0]?.status, 404);
  const services = (await (await fetch(`${origin}/api/services?q=notes`, { headers: bearer(ADMIN) })).json()) as {
    readonly services: readonly { readonly instances: readonly { readonly id: string }[] }[];
  };
  const { id } = services.services[0]!.instances[0]!;
  const drained = await fetch(`${origin}/api/instances/${encodeURIComponent(id)}/drain`, {
    method: 'PUT',
    headers: { ...bearer(ADMIN), 'content-type': 'application/json' },
    body: JSON.stringify({ reason: 'a test' }),
  });
  assert.equal(drained.status, 200);
  await until(() => of('/overrides').length === 2, 'the change', LONG_MS);
  assert.equal(of('/overrides')[1]?.body.overrides[0].target, id);
  // What did not change comes again after ten seconds, not with each round since.
  const tens = Math.floor((performance.now() - sinceMs) / AGAIN_MS);
  assert.ok(of('/me').length <= 1 + tens, `${of('/me').length} times in ${tens} times ten seconds`);
});

test('traffic comes with it, first what the page has missed', async (t) => {
  const origin = await scene(t);
  const first = await follow(t, pageOf(origin, []), bearer(VIEWER));
  await until(() => first.events.includes('point'), 'a point', LONG_MS);
  assert.ok(!first.events.includes('points'), 'none were asked for');
  const later = await follow(t, pageOf(origin, [], '&after=0'), bearer(VIEWER));
  await until(() => later.events.length >= 2, 'points', LONG_MS);
  assert.equal(later.events[0], 'points');
  const { points } = JSON.parse(/^event: points\ndata: (.*)$/m.exec(later.text)![1]!) as { points: { at: number }[] };
  assert.ok(points.length >= 1);
  const none = await follow(t, pageOf(origin, [], `&after=${points.at(-1)!.at + 3_600}`), bearer(VIEWER));
  await until(() => none.events.includes('point'), 'a point', LONG_MS);
  assert.match(none.text, /^retry: 1000\n\nevent: points\ndata: \{"points":\[\]\}\n\n/);
});

test('a reading needs the role that its path needs, and is of JSON of this API', async (t) => {
  const origin = await scene(t);
  const seen = await follow(t, pageOf(origin, ['/config/text', '/features/x/y', '/status?brief=true']), bearer(VIEWER));
  await until(() => seen.reads.length === 3, 'the readings', LONG_MS);
  assert.equal(seen.reads[0]?.status, 403);
  assert.equal(seen.reads[2]?.body.status, 'healthy');
  const text = await follow(t, pageOf(origin, ['/config/text']), bearer(ADMIN));
  await until(() => text.reads.length === 1, 'the reading', LONG_MS);
  assert.deepEqual([text.reads[0]?.status, text.reads[0]?.body], [406, { message: 'it responds with no JSON' }]);

  const nine = Array.from({ length: 9 }, (_, i) => `/status?i=${i}`);
  const climbing = ['/../console/', '/%2e%2e/console/', '/x/../../../secret', '/..'];
  for (const paths of [...climbing.map((path) => [path]), ['//elsewhere/x'], ['status'], ['/a b'], nine]) {
    const response = await fetch(pageOf(origin, paths), { headers: bearer(ADMIN) });
    assert.equal(response.status, 400, paths.join());
    assert.match(await response.text(), /read/);
  }
  for (const path of ['/page/stream', '/traffic/stream', '/requests/stream?text=x', '/events/stream/']) {
    const response = await fetch(pageOf(origin, [path]), { headers: bearer(ADMIN) });
    assert.equal(response.status, 400, path);
  }
  assert.equal((await fetch(pageOf(origin, ['/me']))).status, 401);
  assert.equal((await fetch(pageOf(origin, ['/me'], '&every=1'), { headers: bearer(ADMIN) })).status, 400);
});

test('the stream ends with the session of whoever opened it', async (t) => {
  const origin = await scene(t);
  const made = await fetch(`${origin}/api/links`, {
    method: 'POST',
    headers: { ...bearer(ADMIN), 'content-type': 'application/json' },
    body: '{}',
  });
  const [, link] = /#link=(.*)$/.exec(((await made.json()) as { url: string }).url)!;
  const headers = { 'content-type': 'application/json', 'x-gatehouse-console': '1' };
  const entered = await fetch(`${origin}/console/api/session`, {
    method: 'POST',
    headers,
    body: JSON.stringify({ link }),
  });
  assert.equal(entered.status, 200, await entered.clone().text());
  const cookie = entered.headers.get('set-cookie')!.split(';', 1)[0]!;
  const url = pageOf(origin, ['/me']).replace('/api/', '/console/api/');
  const seen = await follow(t, url, { cookie });
  const bare = await follow(t, pageOf(origin, []).replace('/api/', '/console/api/'), { cookie });
  assert.deepEqual([seen.status, bare.status], [200, 200]);
  await until(() => seen.reads.length === 1, 'the reading', LONG_MS);
  assert.equal(seen.reads[0]?.body.role, 'admin');
  await fetch(`${origin}/console/api/session`, { method: 'DELETE', headers: { ...headers, cookie } });
  await until(() => seen.isOver, 'the end', LONG_MS);
  assert.equal(seen.reads.at(-1)?.status, 401);
  await until(() => bare.isOver, 'the end of a stream that reads nothing', LONG_MS);
});
