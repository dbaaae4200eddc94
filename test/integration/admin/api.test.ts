/** The admin API over its three ways in, through real sockets: who may do what, and that what it says happens. */
import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { SignJWT } from 'jose';
import { createLogger } from '../../../src/base/log.ts';
import { startGateway } from '../../../src/main.ts';
import { startTestGateway } from '../../support/gateway.ts';
import { until } from '../../support/until.ts';
import { httpUpstream } from '../../support/upstream.ts';

const TOKENS = {
  viewer: 'viewer-token-that-is-long-enough',
  operator: 'operator-token-that-is-long-enough',
  admin: 'admin-token-that-is-long-enough',
};
const ADMIN = {
  listen: '127.0.0.1:0',
  tokens: Object.entries(TOKENS).map(([role, token]) => ({ name: role, role, token })),
};

interface Answer {
  readonly status: number;
  readonly headers: Headers;
  // biome-ignore lint/suspicious/noExplicitAny: bodies of many shapes, checked by the assertions
  readonly body: any;
}

function client(origin: string, role: keyof typeof TOKENS | null, more: Record<string, string> = {}) {
  return async (method: string, path: string, body?: unknown): Promise<Answer> => {
    const response = await fetch(`${origin}/api${path}`, {
      method,
      headers: {
        ...(role === null ? {} : { authorization: `Bearer ${TOKENS[role]}` }),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...more,
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    const isJson = response.headers.get('content-type')?.includes('json') === true;
    return { status: response.status, headers: response.headers, body: isJson ? JSON.parse(text) : text };
  };
}

async function scene(t: TestContext) {
  const first = await httpUpstream(t, (_, response) => void response.end('first'));
  const second = await httpUpstream(t, (_, response) => void response.end('second'));
  const gateway = await startTestGateway(t, {
    admin: ADMIN,
    services: {
      s: {
        instances: [{ url: first.url }, { url: second.url }],
        circuitBreaker: { errorThresholdPercentage: 50, resetTimeout: '1s' },
      },
    },
    routes: [{ name: 'all', match: { path: '/a/*' }, service: 's', auth: 'public' }],
  });
  const { admin } = (gateway.primary.opsSources().features.find(({ sections }) => sections?.['admin'])?.sections ??
    {}) as { admin: { url: string } };
  const ask = async (): Promise<string> => (await fetch(`${gateway.url}/a/x`)).text();
  return { gateway, origin: admin.url, ask, first, second };
}

test('nobody without a token, and each role as far as it goes', async (t) => {
  const { origin } = await scene(t);
  const stranger = client(origin, null);
  const refused = await stranger('GET', '/status');
  assert.deepEqual([refused.status, refused.body.code], [401, 'AUTHENTICATION_REQUIRED']);
  assert.equal(
    (await client(origin, null, { authorization: 'Bearer wrong-token-wrong-token' })('GET', '/me')).status,
    401,
  );
  assert.deepEqual((await client(origin, 'viewer')('GET', '/me')).body, { name: 'token:viewer', role: 'viewer' });
  const [{ id }] = (await client(origin, 'viewer')('GET', '/services')).body.services[0].instances;
  const drain = `/instances/${encodeURIComponent(id)}/drain`;
  assert.equal((await client(origin, 'viewer')('PUT', drain, { reason: 'x' })).status, 403);
  assert.equal((await client(origin, 'operator')('PUT', drain, { reason: 'x' })).status, 200);
  assert.equal((await client(origin, 'operator')('GET', '/config/text')).status, 403);
  assert.equal((await client(origin, 'admin')('GET', '/config/text')).status, 200);
});

test('what is not there is a problem document, once the caller is known', async (t) => {
  const { origin } = await scene(t);
  const missing = await client(origin, 'viewer')('GET', '/nonexistent');
  assert.deepEqual([missing.status, missing.body.code], [404, 'RESOURCE_NOT_FOUND']);
  assert.match(missing.headers.get('content-type') ?? '', /^application\/problem\+json/);
  assert.equal((await client(origin, null)('GET', '/nonexistent')).status, 401);
});

test('each instance says what it was asked, how much of that failed, and how long it took', async (t) => {
  const { origin, ask } = await scene(t);
  for (let i = 0; i < 10; i++) await ask();
  const { body } = await client(origin, 'viewer')('GET', '/services?q=s');
  const traffic = body.services[0].instances.map((each: { traffic: object }) => each.traffic);
  assert.deepEqual(
    traffic.map(({ requests, errors }: { requests: number; errors: number }) => [requests, errors]),
    [
      [5, 0],
      [5, 0],
    ],
  );
  assert.ok(traffic.every(({ seconds }: { seconds: number }) => seconds > 0));
  assert.ok(Math.abs(body.at - Date.now()) < 60_000);
});

test('a console on all addresses is at one that a browser can open', async (t) => {
  const gateway = await startTestGateway(t, { admin: { ...ADMIN, listen: '0.0.0.0:0' } });
  const { admin } = (gateway.primary.opsSources().features.find(({ sections }) => sections?.['admin'])?.sections ??
    {}) as { admin: { url: string } };
  assert.match(admin.url, /^http:\/\/127\.0\.0\.1:\d+$/);
});

test('whoever may only look cannot have a text of theirs checked, which could name secrets and files', async (t) => {
  process.env['ADMIN_API_SECRET'] = 'nobody-may-read-this';
  t.after(() => delete process.env['ADMIN_API_SECRET']);
  const { origin } = await scene(t);
  const text = 'routes: [{ match: { path: "/x/${ADMIN_API_SECRET}" }, auth: public, respond: { status: 204 } }]';
  for (const role of ['viewer', 'operator'] as const) {
    const { status, body } = await client(origin, role)('POST', '/config/check', { text });
    assert.deepEqual([status, body.code], [403, 'INSUFFICIENT_PERMISSIONS'], role);
    assert.doesNotMatch(JSON.stringify(body), /nobody-may-read/);
    assert.equal((await client(origin, role)('POST', '/config/check', {})).status, 200, 'the source as it is');
  }
  assert.equal((await client(origin, 'admin')('POST', '/config/check', { text })).status, 200);
});

test('a drained instance gets nothing, is listed with owner and reason, survives a reload, and comes back', async (t) => {
  const { gateway, origin, ask, first } = await scene(t);
  const operator = client(origin, 'operator');
  const service = (await operator('GET', '/services')).body.services[0];
  const instance = service.instances.find((each: { url: string }) => each.url.startsWith(first.url));
  const drain = `/instances/${encodeURIComponent(instance.id)}/drain`;
  const set = await operator('PUT', drain, { reason: 'deployment 42', forMs: 3_600_000 });
  assert.deepEqual([set.body.owner, set.body.reason], ['token:operator', 'deployment 42']);
  for (let i = 0; i < 20; i++) assert.equal(await ask(), 'second');
  assert.equal((await gateway.reload()).ok, true);
  for (let i = 0; i < 20; i++) assert.equal(await ask(), 'second');
  const status = (await operator('GET', '/status')).body;
  assert.equal(status.services[0].instances.find((each: { id: string }) => each.id === instance.id).draining, true);
  assert.match(JSON.stringify(status.troubles), /drained by token:operator until .*: deployment 42/);
  assert.deepEqual((await operator('DELETE', drain)).body, { ended: true });
  const seen = new Set<string>();
  for (let i = 0; i < 40; i++) seen.add(await ask());
  assert.deepEqual([...seen].sort(), ['first', 'second']);
  assert.equal((await operator('PUT', '/instances/nobody/drain', { reason: 'x' })).status, 404);
});

test('an override ends by itself', async (t) => {
  const { gateway, origin, ask, first } = await scene(t);
  const operator = client(origin, 'operator');
  const instance = (await operator('GET', '/services')).body.services[0].instances.find((each: { url: string }) =>
    each.url.startsWith(first.url),
  );
  const path = `/instances/${encodeURIComponent(instance.id)}/weight`;
  assert.equal((await operator('PUT', path, { reason: 'x', weight: 0, forMs: 1_000 })).status, 200);
  assert.equal(await ask(), 'second');
  await until(() => gateway.primary.overrides.list().length === 0, 'the end', 30_000);
  await until(
    () => gateway.primary.opsSources().services[0]!.instances.every(({ weight }) => weight === 1),
    'the configured weight',
  );
});

test('a breaker held open refuses, and a reset closes it at once', async (t) => {
  const { gateway, origin } = await scene(t);
  const operator = client(origin, 'operator');
  const status = async (): Promise<number> => (await fetch(`${gateway.url}/a/x`)).status;
  assert.equal(await status(), 200);
  assert.equal((await operator('PUT', '/breakers/s/open', { reason: 'database move', forMs: 600_000 })).status, 200);
  assert.equal(await status(), 503);
  const { breaker } = (await operator('GET', '/services')).body.services[0];
  assert.equal(breaker.state, 'open');
  assert.ok(breaker.retryInMs > 500_000, String(breaker.retryInMs));
  assert.deepEqual((await operator('POST', '/breakers/s/reset')).body, { reset: true });
  assert.equal(await status(), 200);
  assert.equal((await operator('PUT', '/breakers/x/open', { reason: 'x', forMs: 1_000 })).status, 404);
});

test('bad input is named with field and expectation', async (t) => {
  const { origin } = await scene(t);
  const { status, body } = await client(origin, 'operator')('PUT', '/log-level', {
    level: 'loud',
    reason: '',
    forMs: 5,
  });
  assert.deepEqual([status, body.code], [400, 'VALIDATION_ERROR']);
  assert.deepEqual(body.errors.map(({ field }: { field: string }) => field).sort(), ['forMs', 'level', 'reason']);
  assert.equal((await client(origin, 'viewer')('POST', '/routes/explain', { method: 'G T', url: '/a' })).status, 400);
});

test('explain says which route takes a request and why not the others', async (t) => {
  const { origin } = await scene(t);
  const ask = client(origin, 'viewer');
  const taken = (await ask('POST', '/routes/explain', { method: 'GET', url: '/a/b' })).body;
  assert.equal(taken.route.id, 'all');
  const none = (await ask('POST', '/routes/explain', { method: 'GET', url: '/nowhere' })).body;
  assert.deepEqual([none.route, none.refusal.status], [null, 404]);
});

test('two operators who change the file at once: the second hears 412, nothing is lost; the history has both names', async (t) => {
  const folder = (await startTestGateway(t, {})).folder;
  const path = join(folder, 'gatehouse.yaml');
  const text = (body: string) =>
    `gateway: { host: 127.0.0.1, port: 0, workers: 1, dataDir: ./own }\nadmin: { listen: 127.0.0.1:0, writable: true, tokens: [{ name: a, role: admin, token: ${TOKENS.admin} }] }\nroutes: [{ match: { path: /a }, auth: public, respond: { body: ${body} } }]\n`;
  await writeFile(path, text('one'));
  const gateway = await startGateway({
    configFile: 'gatehouse.yaml',
    cwd: folder,
    env: {},
    log: createLogger('silent'),
  });
  t.after(() => gateway.stop({ timeoutMs: 500 }));
  const sections = gateway.primary.opsSources().features.find((each) => each.sections?.['admin'])?.sections as {
    admin: { url: string };
  };
  const origin = sections.admin.url;
  const admin = client(origin, 'admin');
  const { etag } = (await admin('GET', '/config')).body;
  const put = (etagGiven: string, body: string) =>
    client(origin, 'admin', { 'if-match': `"${etagGiven}"` })('PUT', '/config', {
      text: text(body),
      reason: `to ${body}`,
    });
  const results = await Promise.all([put(etag, 'two'), put(etag, 'three')]);
  assert.deepEqual(results.map(({ status }) => status).sort(), [200, 412]);
  const won = results[0]!.status === 200 ? 'two' : 'three';
  assert.equal(await readFile(path, 'utf8'), text(won));
  const url = `http://127.0.0.1:${gateway.addresses[0]!.port}/a`;
  assert.equal(await (await fetch(url)).text(), won);
  const { revisions } = (await admin('GET', '/config/history')).body;
  assert.deepEqual([revisions[0].author, revisions[0].reason], ['token:a', `to ${won}`]);
  assert.equal((await client(origin, 'admin')('PUT', '/config', { text: '' })).status, 428);
  const now = (await admin('GET', '/config')).body.etag;
  const bad = await client(origin, 'admin', { 'if-match': now })('PUT', '/config', { text: 'routs: []' });
  assert.equal(bad.status, 422);
  assert.match(bad.body.problems[0], /unknown key "routs"/);
  assert.equal(await readFile(path, 'utf8'), text(won));
  const back = await admin('POST', '/config/rollback', { revision: 1, write: true });
  assert.equal(back.status, 200);
  assert.deepEqual([await (await fetch(url)).text(), await readFile(path, 'utf8')], ['one', text('one')]);
});

test('a file that is not writable is read only, and says which key would change that', async (t) => {
  const { origin } = await scene(t);
  const { status, body } = await client(origin, 'admin', { 'if-match': '"0"' })('PUT', '/config', { text: '' });
  assert.deepEqual([status, body.reason], [409, 'read_only']);
  assert.match(body.message, /admin.writable is false/);
});

test('secrets of the configuration are masked for those who look', async (t) => {
  const { origin } = await scene(t);
  const { body } = await client(origin, 'viewer')('GET', '/config');
  assert.equal(JSON.stringify(body).includes(TOKENS.admin), false);
  assert.equal(body.document.admin.tokens[0].token, '***');
});

test('a one-time link signs in once; the cookie alone changes nothing; the session ends', async (t) => {
  const { origin, gateway } = await scene(t);
  const link = (await client(origin, 'admin')('POST', '/links', { role: 'operator' })).body.url as string;
  const secret = new URL(link).hash.slice('#link='.length);
  const signIn = (headers: Record<string, string>) =>
    fetch(`${origin}/api/session`, { method: 'POST', headers, body: JSON.stringify({ link: secret }) });
  assert.equal((await signIn({})).status, 403, 'a foreign page cannot send the header');
  const own = { 'x-gatehouse-console': '1' };
  const response = await signIn(own);
  const cookie = response.headers.get('set-cookie') ?? '';
  assert.match(cookie, /HttpOnly; SameSite=Strict/);
  assert.equal((await signIn(own)).status, 401, 'a second time');
  const session = cookie.split(';')[0]!;
  const browser = client(origin, null, { cookie: session });
  assert.deepEqual((await browser('GET', '/me')).body, { name: 'token:admin', role: 'operator' });
  const { id } = gateway.primary.opsSources().services[0]!.instances[0]!;
  const drain = `/instances/${encodeURIComponent(id)}/drain`;
  assert.equal((await browser('PUT', drain, { reason: 'forged' })).status, 403);
  assert.equal((await client(origin, null, { cookie: session, ...own })('PUT', drain, { reason: 'real' })).status, 200);
  await fetch(`${origin}/api/session`, { method: 'DELETE', headers: { cookie: session } });
  assert.equal((await browser('GET', '/me')).status, 401);
});

test('the control socket is administrator', async (t) => {
  const { gateway } = await scene(t);
  const body = await new Promise<string>((resolve, reject) => {
    const call = request({ socketPath: join(gateway.folder, 'gatehouse.sock'), path: '/admin/api/me' }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (part: string) => {
        text += part;
      });
      response.on('end', () => resolve(text));
    });
    call.on('error', reject).end();
  });
  assert.match(body, /^\{"name":"local:[^"]+","role":"admin"\}$/);
});

test('behind the gateway’s own auth, by the roles of the account', async (t) => {
  const secret = 'a-secret-of-the-test-that-is-long-enough-for-hs256';
  const gateway = await startTestGateway(t, { admin: { listen: 'off', path: '/ops' } }, { JWT_SECRET: secret });
  const mint = (roles: string[]): Promise<string> =>
    new SignJWT({ roles })
      .setProtectedHeader({ alg: 'HS256' })
      .setSubject('ann')
      .setIssuedAt()
      .setExpirationTime('5m')
      .sign(new TextEncoder().encode(secret));
  const as = async (roles: string[] | null, more: Record<string, string> = {}) =>
    client(`${gateway.url}/ops`, null, {
      ...(roles === null ? {} : { authorization: `Bearer ${await mint(roles)}` }),
      ...more,
    });
  assert.equal((await (await as(null))('GET', '/me')).status, 401);
  const forged = { 'x-auth-subject': 'eve', 'x-auth-roles': 'admin' };
  assert.equal((await (await as(null, forged))('GET', '/me')).status, 401);
  assert.equal((await (await as(['customer'], forged))('GET', '/me')).status, 403);
  const me = await (await as(['customer', 'operator']))('GET', '/me');
  assert.deepEqual(me.body, { name: 'ann', role: 'operator' });
});

test('events and traffic come as they happen', async (t) => {
  const { gateway, origin, ask } = await scene(t);
  const abort = new AbortController();
  const headers = { authorization: `Bearer ${TOKENS.viewer}` };
  const stream = await fetch(`${origin}/api/events/stream`, { headers, signal: abort.signal });
  let came = '';
  const reading = (async () => {
    for await (const part of stream.body!) came += Buffer.from(part).toString();
  })().catch(() => {});
  await until(() => came.includes('retry: '), 'the stream');
  await gateway.reload('for the stream');
  await until(() => came.includes('for the stream'), 'the event');
  assert.match(came, /^id: \d+\nevent: log\ndata: \{.*the configuration was reloaded/m);
  abort.abort();
  await reading;
  await ask();
  const traffic = client(origin, 'viewer');
  let points: { requestsPerSecond: number }[] = [];
  const deadline = performance.now() + 30_000;
  while (!points.some(({ requestsPerSecond }) => requestsPerSecond > 0) && performance.now() < deadline) {
    await new Promise((resolve) => setTimeout(resolve, 100));
    points = (await traffic('GET', '/traffic')).body.points;
  }
  assert.ok(points.some(({ requestsPerSecond }) => requestsPerSecond > 0));
});

test('the listener has health and metrics, and the API its document and a profile', async (t) => {
  const { origin } = await scene(t);
  assert.equal((await fetch(`${origin}/health/live`)).status, 200);
  assert.match(await (await fetch(`${origin}/metrics`)).text(), /^gatehouse_workers_listening 1$/m);
  const { body } = await client(origin, 'viewer')('GET', '/openapi.json');
  assert.equal(body.openapi, '3.1.0');
  assert.deepEqual(Object.keys(body.paths['/instances/{id}/drain']).sort(), ['delete', 'put']);
  const admin = client(origin, 'admin');
  const profile = await admin('POST', '/profiles/cpu', { worker: 0, ms: 100 });
  assert.ok(profile.body.nodes.length > 0);
  assert.ok((await admin('POST', '/profiles/cpu', { ms: 100 })).body.nodes.length > 0);
  for (const body of [{ worker: 0, ms: 100 }, { ms: 100 }])
    assert.equal(typeof (await admin('POST', '/profiles/heap', body)).body.head.selfSize, 'number');
  for (const kind of ['cpu', 'heap'])
    assert.equal((await admin('POST', `/profiles/${kind}`, { worker: 9, ms: 100 })).status, 404);
  assert.equal((await client(origin, 'operator')('POST', '/profiles/heap', { ms: 100 })).status, 403);
});

test('a listener that cannot be had stops the start with its key', async (t) => {
  const { origin } = await scene(t);
  const taken = new URL(origin).host;
  await assert.rejects(
    startTestGateway(t, { admin: { listen: taken } }),
    /admin.listen: .* another process is listening/,
  );
});
