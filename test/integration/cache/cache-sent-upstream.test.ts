/**
 * Whom a stored response is for follows from the request that the service got, not from the one that the client sent:
 * the gateway says who the caller is, sets fields, changes queries. The service answers that, and is taken at its word.
 */
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { startTestGateway, type TestGateway } from '../../support/gateway.ts';
import { RawCaller } from '../../support/raw.ts';
import type { Scope } from '../../support/scope.ts';
import { httpUpstream, readAll } from '../../support/upstream.ts';

const KEYS = { ada: 'key-of-ada-0123456789', bob: 'key-of-bob-0123456789' };
const ENV = { API_KEY_1: `${KEYS.ada}:ada:read:standard`, API_KEY_2: `${KEYS.bob}:bob:read:premium` };

/** A service that answers with what it was asked; `X-Says` of the request is `Cache-Control`, `X-Vary` is `Vary`. */
async function gatewayWith(t: Scope, route: object, more: object = {}): Promise<TestGateway> {
  const upstream = await httpUpstream(t, (request, response) => {
    void readAll(request).then((body) => {
      const { headers, url } = request;
      response.setHeader('Cache-Control', String(headers['x-says'] ?? 'max-age=60'));
      if (headers['x-vary'] !== undefined) response.setHeader('Vary', headers['x-vary']);
      const { 'x-auth-subject': subject, 'x-tenant': tenant, 'x-forwarded-proto': proto } = headers;
      const host = headers['x-forwarded-host'];
      response.end(JSON.stringify({ subject, tenant, proto, host, url, body: body.toString() }));
    });
  });
  return startTestGateway(
    t,
    {
      services: { things: { instances: [{ url: upstream.url }] } },
      routes: [{ match: { path: '/*' }, service: 'things', cache: {}, auth: { apiKey: {} }, ...route }],
      ...more,
    },
    ENV,
  );
}

interface Got {
  readonly subject?: string;
  readonly tenant?: string;
  readonly proto?: string;
  readonly host?: string;
  readonly url: string;
  readonly body: string;
  readonly how: string;
}

async function get(
  { url }: TestGateway,
  path: string,
  who: keyof typeof KEYS | null,
  fields: Readonly<Record<string, string>> = {},
): Promise<Got> {
  const headers = { ...(who === null ? {} : { 'X-API-Key': KEYS[who] }), 'Cache-Control': 'nothing', ...fields };
  const response = await fetch(url + path, { headers });
  const body = await response.text();
  assert.equal(response.status, 200, body);
  return { ...JSON.parse(body), how: response.headers.get('cache-status') };
}

test('a caller with an API key gets nothing that was made for another, as with Authorization', async (t) => {
  const gateway = await gatewayWith(t, {});
  assert.equal((await get(gateway, '/me', 'ada')).subject, 'ada');
  const bob = await get(gateway, '/me', 'bob');
  assert.equal(bob.subject, 'bob', bob.how);
  assert.match(bob.how, /detail=authorization/);
  const shared = { 'X-Says': 'public, max-age=60' };
  await get(gateway, '/for-all', 'ada', shared);
  assert.match((await get(gateway, '/for-all', 'bob', shared)).how, /hit/);
});

test('Vary by who the caller is tells callers apart, whatever they say of themselves', async (t) => {
  const gateway = await gatewayWith(t, {});
  const says = { 'X-Says': 'public, max-age=60', 'X-Vary': 'X-Auth-Subject' };
  for (const turn of ['first', 'second']) {
    for (const who of ['ada', 'bob'] as const) {
      const got = await get(gateway, '/me', who, {
        ...says,
        ...(turn === 'second' ? { 'X-Auth-Subject': 'ada' } : {}),
      });
      assert.equal(got.subject, who, got.how);
      if (turn === 'first') assert.match(got.how, /stored/);
      assert.match((await get(gateway, '/me', who, says)).how, /hit/);
    }
  }
});

test('a key of a field that the gateway sets tells by what it has set', async (t) => {
  const gateway = await gatewayWith(t, { cache: { key: { headers: ['X-Auth-Plan'] } } });
  const says = { 'X-Says': 'public, max-age=60' };
  assert.equal((await get(gateway, '/a', 'ada', says)).subject, 'ada');
  assert.equal((await get(gateway, '/a', 'bob', says)).subject, 'bob');
  assert.match((await get(gateway, '/a', 'bob', says)).how, /hit/);
});

const TENANT = `import { definePolicy } from 'gatehouse/policy';
export default definePolicy({
  name: 'tenant',
  create: () => ({
    requestHead(exchange) {
      const tenant = exchange.header('x-who');
      exchange.setUpstreamHeader('X-Tenant', tenant ?? 'none');
      if (exchange.query === 'moved') exchange.setUpstreamTarget('/of/' + tenant, null);
    },
  }),
});`;

test('Vary by a field that a policy sets tells by what it has set; so does a path that it sets', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'gh-sent-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  await writeFile(join(folder, 'tenant.ts'), TENANT);
  const use = [{ policy: join(folder, 'tenant.ts') }];
  const gateway = await gatewayWith(t, { auth: 'public', use });
  for (const turn of [/stored/, /hit/]) {
    for (const who of ['a', 'b']) {
      const varied = await get(gateway, '/field', null, { 'X-Who': who, 'X-Vary': 'X-Tenant', 'X-Tenant': 'mine' });
      assert.equal(varied.tenant, who, varied.how);
      assert.match(varied.how, turn);
      const moved = await get(gateway, '/path?moved', null, { 'X-Who': who });
      assert.equal(moved.url, `/of/${who}`, moved.how);
      assert.match(moved.how, turn);
    }
  }
});

test('a policy that moves some requests of a URL alone keeps them apart from the others, at once too', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'gh-sent-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const file = join(folder, 'some.ts');
  await writeFile(
    file,
    `import { definePolicy } from 'gatehouse/policy';
export default definePolicy({
  name: 'some',
  create: () => ({
    requestHead(exchange) {
      const who = exchange.header('x-who');
      if (who !== null) exchange.setUpstreamTarget('/of/' + who, null);
    },
  }),
});`,
  );
  const gateway = await gatewayWith(t, { auth: 'public', use: [{ policy: file }] });
  for (let turn = 0; turn < 9; turn++) {
    const all = [null, 'a', null, 'b', 'a', null, 'b'].map(async (who) => {
      const got = await get(gateway, `/x/${Math.floor(turn / 3)}`, null, who === null ? {} : { 'X-Who': who });
      assert.equal(got.url, who === null ? `/x/${Math.floor(turn / 3)}` : `/of/${who}`, got.how);
      return got.how;
    });
    const ways = await Promise.all(all);
    if (turn % 3 === 2) assert.ok(ways.filter((how) => /hit/.test(how)).length > 3, ways.join());
  }
});

test('what a trusted proxy says of scheme and host tells responses apart', async (t) => {
  const gateway = await gatewayWith(t, { auth: 'public' }, { gateway: { trustProxy: ['127.0.0.1/32'] } });
  for (const turn of [/stored/, /hit/]) {
    for (const proto of ['http', 'https']) {
      const got = await get(gateway, '/p', null, { 'X-Forwarded-Proto': proto, 'X-Forwarded-For': '192.0.2.1' });
      assert.equal(got.proto, proto, got.how);
      assert.match(got.how, turn);
    }
    for (const host of ['a.example', 'b.example']) {
      const got = await get(gateway, '/h', null, { 'X-Forwarded-Host': host, 'X-Forwarded-For': '192.0.2.1' });
      assert.equal(got.host, host, got.how);
      assert.match(got.how, turn);
    }
  }
});

test('a query that is made for the caller is part of what a response is stored under', async (t) => {
  const gateway = await gatewayWith(t, { transform: { request: { query: { set: { tenant: '{auth.sub}' } } } } });
  const says = { 'X-Says': 'public, max-age=60' };
  for (const turn of [/stored/, /hit/]) {
    for (const who of ['ada', 'bob'] as const) {
      const got = await get(gateway, '/items?page=1', who, says);
      assert.equal(got.url, `/items?page=1&tenant=${who}`, got.how);
      assert.match(got.how, turn);
    }
  }
});

test('what a GET with a body gets is neither stored nor taken out of the store', async (t) => {
  const gateway = await gatewayWith(t, { auth: 'public' });
  const ask = async (body: string): Promise<{ body: string; how: string }> => {
    const caller = new RawCaller(gateway.port);
    t.after(() => caller.socket.destroy());
    const length = body === '' ? '' : `Content-Length: ${body.length}\r\n`;
    caller.send(`GET /search HTTP/1.1\r\nHost: a\r\n${length}\r\n${body}`);
    const answer = await caller.answer();
    return { body: JSON.parse(answer.body.toString()).body, how: answer.headers['cache-status']! };
  };
  const evil = await ask('evil');
  assert.equal(evil.body, 'evil');
  assert.equal((await ask('')).body, '');
  const other = await ask('other');
  assert.equal(other.body, 'other', other.how);
  assert.match(evil.how, /detail=body/);
  assert.match((await ask('')).how, /hit/);
});
