/**
 * The live tail through real sockets: each watcher gets what it asked for, bounded, and nothing that the access log
 * leaves out.
 */
import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { type TestContext, test } from 'node:test';
import type { TailBatch, TailRecord } from '../../../src/control/admin/tail.ts';
import { startTestGateway, type TestGateway } from '../../support/gateway.ts';
import { until } from '../../support/until.ts';

const TOKEN = 'viewer-token-that-is-long-enough';
const LONG_MS = 60_000;

async function scene(t: TestContext, workers = 1) {
  const gateway = await startTestGateway(t, {
    gateway: { workers },
    admin: { listen: '127.0.0.1:0', tokens: [{ name: 'test', role: 'viewer', token: TOKEN }] },
    routes: [
      { name: 'fine', match: { path: '/fine/*' }, respond: { body: 'ok' }, auth: 'public' },
      { name: 'bad', match: { path: '/bad/*' }, respond: { status: 503, body: 'no' }, auth: 'public' },
    ],
  });
  const found = gateway.primary.opsSources().features.find(({ sections }) => sections?.['admin'] !== undefined);
  const origin = (found!.sections!['admin'] as { url: string }).url;
  return { gateway, origin };
}

/** Watches until the test ends. What came is in `requests`; `dropped` counts what did not. */
async function watch(t: TestContext, origin: string, query: string) {
  const ending = new AbortController();
  const response = await fetch(`${origin}/api/requests/stream?${query}`, {
    headers: { authorization: `Bearer ${TOKEN}` },
    signal: ending.signal,
  });
  assert.equal(response.status, 200, query);
  const seen = { requests: [] as TailRecord[], dropped: 0, end: () => ending.abort() };
  t.after(() => ending.abort());
  void (async () => {
    let rest = '';
    for await (const part of response.body!.pipeThrough(new TextDecoderStream())) {
      const events = (rest + part).split('\n\n');
      rest = events.pop() ?? '';
      for (const event of events) {
        const data = /^event: requests\ndata: (.*)$/m.exec(event)?.[1];
        if (data === undefined) continue;
        const batch = JSON.parse(data) as TailBatch;
        seen.requests.push(...batch.requests);
        seen.dropped += batch.dropped;
      }
    }
  })().catch(() => {});
  return seen;
}

/** The order reaches the workers by message: asks until a request of this path was seen. */
async function awaken(gateway: TestGateway, path: string, seen: { readonly requests: readonly TailRecord[] }) {
  const giveUpMs = performance.now() + LONG_MS;
  while (seen.requests.length === 0) {
    assert.ok(performance.now() < giveUpMs, 'no request was seen');
    await (await fetch(gateway.url + path)).text();
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

test('each watcher gets the requests of its filter, from every worker, as the access log has them', async (t) => {
  const { gateway, origin } = await scene(t, 2);
  const [all, errors, fine, text] = await Promise.all([
    watch(t, origin, ''),
    watch(t, origin, 'status=5xx'),
    watch(t, origin, 'route=fine&status=200'),
    watch(t, origin, `text=${encodeURIComponent('"><script>')}`),
  ]);
  await Promise.all([awaken(gateway, '/fine/wake', fine), awaken(gateway, '/bad/wake', errors)]);
  const secret = 'Bearer what-nobody-may-see';
  await fetch(`${gateway.url}/fine/last?token=what-nobody-may-see`, {
    headers: { authorization: secret, 'user-agent': 'x"><script>y', cookie: 'what-nobody-may-see=1' },
  });
  await fetch(`${gateway.url}/bad/last`);
  await fetch(`${gateway.url}/nowhere`);
  const has = (records: readonly TailRecord[], path: string): boolean => records.some((each) => each['path'] === path);
  await until(() => has(all.requests, '/nowhere') && has(all.requests, '/fine/last'), 'all', LONG_MS);
  await until(() => has(errors.requests, '/bad/last') && has(fine.requests, '/fine/last'), 'the filtered', LONG_MS);
  await until(() => text.requests.length > 0, 'the text', LONG_MS);
  assert.ok(errors.requests.every(({ status, route }) => status === 503 && route === 'bad'));
  assert.ok(fine.requests.every(({ status, route }) => status === 200 && route === 'fine'));
  assert.deepEqual(
    text.requests.map((each) => [each['path'], each['user_agent']]),
    [['/fine/last', 'x"><script>y']],
  );
  assert.doesNotMatch(JSON.stringify(all.requests), /what-nobody-may-see/);
  assert.equal(all.requests.find((each) => each['path'] === '/nowhere')?.status, 404);
});

test('a text is looked for in the worker, so that a rare one is not lost among many', async (t) => {
  const { gateway, origin } = await scene(t);
  const rare = await watch(t, origin, 'text=/fine/rare');
  await awaken(gateway, '/fine/rare', rare);
  for (let i = 0; i < 300; i++) await (await fetch(`${gateway.url}/fine/often`)).text();
  const before = rare.requests.length;
  await (await fetch(`${gateway.url}/fine/rare`)).text();
  await until(() => rare.requests.length > before, 'the rare one', LONG_MS);
  assert.equal(rare.dropped, 0);
});

test('what is refused before it is a request is seen, too', async (t) => {
  const { gateway, origin } = await scene(t);
  const all = await watch(t, origin, '');
  await awaken(gateway, '/fine/wake', all);
  const socket = connect(gateway.port, '127.0.0.1', () => socket.end('GET / HTTP/1.1\r\nBad Field: 1\r\n\r\n'));
  socket.resume();
  await until(() => all.requests.some(({ status }) => status === 400), 'the refusal', LONG_MS);
});

test('a flood is bounded, and what was left out is counted, to the last request', async (t) => {
  const { gateway, origin } = await scene(t);
  const startMs = performance.now();
  const all = await watch(t, origin, '');
  await awaken(gateway, '/fine/wake', all);
  const seenBefore = all.requests.length + all.dropped;
  const flood = 3_000;
  await Promise.all(
    Array.from({ length: 20 }, async () => {
      for (let i = 0; i < flood / 20; i++) await (await fetch(`${gateway.url}/fine/flood`)).text();
    }),
  );
  await until(() => all.requests.length + all.dropped - seenBefore >= flood, 'the flood', LONG_MS);
  // A window of the worker's may have begun before, another one ends later.
  const seconds = Math.ceil((performance.now() - startMs) / 1_000) + 2;
  assert.ok(all.requests.length <= 200 * seconds, `${all.requests.length} in ${seconds} s`);
});

test('a worker that is replaced goes on showing its requests', async (t) => {
  const { gateway, origin } = await scene(t);
  const all = await watch(t, origin, 'text=/fine/after');
  const [former] = gateway.primary.opsSources().workers;
  await gateway.primary.workers.terminate(0);
  await until(
    () => {
      const [now] = gateway.primary.opsSources().workers;
      return now?.listening === true && now.threadId !== former?.threadId;
    },
    'a new worker',
    LONG_MS,
  );
  await awaken(gateway, '/fine/after', all);
});

test('workers do nothing for the tail once nobody watches', async (t) => {
  const { gateway, origin } = await scene(t);
  const told: unknown[] = [];
  gateway.primary.workers.bus.onTell('admin:tail-lines', (data) => void told.push(data));
  const all = await watch(t, origin, '');
  await awaken(gateway, '/fine/wake', all);
  all.end();
  // What the worker sent before it heard: quiet is when two rounds of its flush brought nothing.
  let quiet = 0;
  const giveUpMs = performance.now() + LONG_MS;
  while (quiet < 2) {
    assert.ok(performance.now() < giveUpMs, 'it goes on');
    const before = told.length;
    await (await fetch(`${gateway.url}/fine/x`)).text();
    await new Promise((resolve) => setTimeout(resolve, 500));
    quiet = told.length === before ? quiet + 1 : 0;
  }
});

test('a wrong filter is refused with what is expected', async (t) => {
  const { origin } = await scene(t);
  for (const query of ['status=6xx', 'status=abc', `text=${'x'.repeat(201)}`]) {
    const response = await fetch(`${origin}/api/requests/stream?${query}`, {
      headers: { authorization: `Bearer ${TOKEN}` },
    });
    const body = (await response.json()) as { errors: { field: string }[] };
    assert.deepEqual([response.status, body.errors[0]?.field], [400, query.split('=')[0]]);
  }
  assert.equal((await fetch(`${origin}/api/requests/stream`)).status, 401);
});
