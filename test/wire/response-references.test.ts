/** What responses say of their service's own URLs, seen by the client; and what services hear of a stripped prefix. */
import assert from 'node:assert/strict';
import type { OutgoingHttpHeaders } from 'node:http';
import { describe, test } from 'node:test';
import { startTestGateway, type TestGateway } from '../support/gateway.ts';
import { type Answer, RawCaller } from '../support/raw.ts';
import type { Scope } from '../support/scope.ts';
import { echoUpstream, httpUpstream } from '../support/upstream.ts';

/** A service that answers with these fields and the Location that is asked for; `{own}` is its own authority. */
async function answering(test: Scope, status: number, fields: OutgoingHttpHeaders) {
  const upstream = await httpUpstream(test, (request, response) => {
    const spelt = (value: unknown): string => String(value).replaceAll('{own}', new URL(upstream.url).host);
    const says = request.headers['x-says'];
    const made = Object.entries(says === undefined ? fields : { ...fields, Location: says }).map(([name, value]) => [
      name,
      Array.isArray(value) ? value.map(spelt) : spelt(value),
    ]);
    response.writeHead(status, Object.fromEntries(made) as OutgoingHttpHeaders).end('ok');
  });
  return upstream;
}

interface Scene {
  readonly service?: Record<string, unknown>;
  readonly route?: Record<string, unknown>;
  /** Behind the instance's address. */
  readonly base?: string;
  readonly path?: string;
}

const SHOP: Scene = { route: { match: { path: '/shop/*' }, rewrite: { stripPrefix: '/shop' } }, path: '/shop/a' };

async function inFront(test: Scope, url: string, { service, route, base = '' }: Scene): Promise<TestGateway> {
  return startTestGateway(test, {
    services: { s: { instances: [{ url: url + base }], ...service } },
    routes: [{ match: { path: '/*' }, service: 's', auth: 'public', ...route }],
  });
}

async function ask(gateway: TestGateway, path: string, fields = '', host = 'api.example.com'): Promise<Answer> {
  const caller = new RawCaller(gateway.port);
  const answer = await caller.send(`GET ${path} HTTP/1.1\r\nHost: ${host}\r\n${fields}\r\n`).answer();
  caller.close();
  return answer;
}

async function heard(test: Scope, scene: Scene, fields: OutgoingHttpHeaders, status = 302): Promise<Answer> {
  const upstream = await answering(test, status, fields);
  return ask(await inFront(test, upstream.url, scene), scene.path ?? '/a');
}

describe('Location', () => {
  const rows: { name: string; scene: Scene; says: string; heard: string }[] = [
    { name: 'a stripped prefix is put back', scene: SHOP, says: '/login?x=1#y', heard: '/shop/login?x=1#y' },
    { name: 'but not twice', scene: SHOP, says: '/shop/login', heard: '/shop/login' },
    { name: 'the root of the service', scene: SHOP, says: '/', heard: '/shop/' },
    { name: 'relative ones stay', scene: SHOP, says: '../login', heard: '../login' },
    {
      name: 'the client’s own host stays, its path is put right',
      scene: SHOP,
      says: 'http://{host}/login',
      heard: 'http://{host}/shop/login',
    },
    { name: 'the instance’s address becomes a path', scene: {}, says: 'http://{own}/login', heard: '/login' },
    { name: 'also without a scheme', scene: {}, says: '//{own}/login', heard: '/login' },
    { name: 'also without a path', scene: {}, says: 'http://{own}', heard: '/' },
    {
      name: 'other hosts stay',
      scene: SHOP,
      says: 'https://other.example/login',
      heard: 'https://other.example/login',
    },
    {
      name: 'the Host that the service was given becomes a path',
      scene: { service: { host: { fixed: 'Inner.example' } } },
      says: 'https://inner.example:443/login',
      heard: '/login',
    },
    {
      name: 'the same of a route',
      scene: { route: { rewrite: { host: 'inner.example' } } },
      says: 'http://inner.example/login',
      heard: '/login',
    },
    { name: 'a prefix of the instance goes', scene: { base: '/v1' }, says: '/v1/login', heard: '/login' },
    { name: 'what is beside it stays', scene: { base: '/v1' }, says: '/v10/login', heard: '/v10/login' },
    {
      name: 'a prefix that was put before goes, the stripped one comes back',
      scene: { ...SHOP, route: { ...SHOP.route, rewrite: { stripPrefix: '/shop', addPrefix: '/shop2' } } },
      says: '/shop2/login',
      heard: '/shop/login',
    },
    {
      name: 'templates say nothing of other paths',
      scene: { route: { match: { path: '/u/:id' }, rewrite: { path: '/users/:id' } }, path: '/u/1' },
      says: '/users/2',
      heard: '/users/2',
    },
    {
      name: 'unless they are told',
      scene: {
        route: {
          match: { path: '/u/:id' },
          rewrite: { path: '/users/:id', response: { paths: { '/users': '/u' }, hosts: ['Users.internal'] } },
        },
        path: '/u/1',
      },
      says: 'http://users.internal/users/2',
      heard: '/u/2',
    },
    {
      name: 'off: as it came',
      scene: { ...SHOP, route: { ...SHOP.route, rewrite: { stripPrefix: '/shop', response: 'off' } } },
      says: '/login',
      heard: '/login',
    },
    // A path that begins like this is a host to browsers: a redirect to anywhere for who can choose the path.
    {
      name: 'no path becomes a host',
      scene: {},
      says: 'http://{own}//evil.example',
      heard: 'http://{own}//evil.example',
    },
    {
      name: 'nor by a backslash',
      scene: {},
      says: 'http://{own}/\\evil.example',
      heard: 'http://{own}/\\evil.example',
    },
    // Browsers take tabs off before they look (URL Standard §4.4).
    {
      name: 'nor by a tab',
      scene: {},
      says: 'http://{own}/\t/evil.example',
      heard: 'http://{own}/\t/evil.example',
    },
    {
      name: 'nor by a tab behind what is taken off',
      scene: { base: '/base' },
      says: '/base/\t/evil.example',
      heard: '/base/\t/evil.example',
    },
  ];
  test('each in its place', async (t) => {
    const upstream = await answering(t, 302, {});
    const gateway = await startTestGateway(t, {
      services: Object.fromEntries(
        rows.map(({ scene: { service, base = '' } }, i) => [
          `s${i}`,
          { instances: [{ url: upstream.url + base }], ...service },
        ]),
      ),
      routes: rows.map(({ scene: { route } }, i) => {
        const { match, ...others } = { match: { path: '/*' }, ...route } as { match: { path: string } };
        const hosts = [`r${i}.example.com`];
        return { match: { ...match, hosts }, service: `s${i}`, auth: 'public', ...others };
      }),
    });
    const own = new URL(upstream.url).host;
    for (const [i, { name, scene, says, heard: wanted }] of rows.entries()) {
      const spelt = (text: string) => text.replaceAll('{own}', own).replaceAll('{host}', `r${i}.example.com:8443`);
      const answer = await ask(gateway, scene.path ?? '/a', `X-Says: ${spelt(says)}\r\n`, `r${i}.example.com:8443`);
      assert.equal(answer.headers['location'], spelt(wanted), name);
    }
  });

  test('of a response with a body of its own (200) it is not looked at; that of a 201 is', async (t) => {
    assert.equal((await heard(t, SHOP, { Location: '/x' }, 200)).headers['location'], '/x');
    assert.equal((await heard(t, SHOP, { Location: '/x' }, 201)).headers['location'], '/shop/x');
  });

  test('a stored response is put right as the first one was', async (t) => {
    const upstream = await answering(t, 301, { Location: 'http://{own}/new', 'Cache-Control': 'max-age=600' });
    const scene = { ...SHOP, route: { ...SHOP.route, cache: {} } };
    const gateway = await inFront(t, upstream.url, scene);
    for (const from of ['miss', 'hit']) {
      const { headers } = await ask(gateway, '/shop/old');
      assert.deepEqual([headers['location'], /hit/.test(headers['cache-status']!)], ['/shop/new', from === 'hit']);
    }
  });

  test('a policy has the last word', async (t) => {
    const scene = { ...SHOP, route: { ...SHOP.route, headers: { response: { set: { Location: '/mine' } } } } };
    assert.equal((await heard(t, scene, { Location: '/x' })).headers['location'], '/mine');
  });
});

test('Content-Location and Refresh are put right like Location', async (t) => {
  const fields = { 'Content-Location': '/items/1', Refresh: '5; url="http://{own}/next"' };
  const { headers } = await heard(t, SHOP, fields, 200);
  assert.deepEqual([headers['content-location'], headers['refresh']], ['/shop/items/1', '5; url="/shop/next"']);
  const rows = [
    ['0;/next', '0;/shop/next'],
    ["0.5 , URL = '/next'", "0.5 , URL = '/shop/next'"],
    ['5; url="/next', '5; url="/next'],
    ['5', '5'],
  ] as const;
  for (const [says, wanted] of rows)
    assert.equal((await heard(t, SHOP, { Refresh: says }, 200)).headers['refresh'], wanted);
});

describe('cookies', () => {
  async function cookies(test: Scope, scene: Scene, says: string[]): Promise<string[]> {
    const upstream = await answering(test, 200, { 'Set-Cookie': says });
    const gateway = await inFront(test, upstream.url, scene);
    const response = await fetch(`${gateway.url}${scene.path ?? '/a'}`);
    return response.headers.getSetCookie();
  }

  test('Path has the stripped prefix in front, unless it is all paths', async (t) => {
    const says = ['a=1; Path=/cart; HttpOnly', 'b=2; Path=/', 'c="x;path"; path=/shop/x', 'd=4'];
    assert.deepEqual(await cookies(t, SHOP, says), [
      'a=1; Path=/shop/cart; HttpOnly',
      'b=2; Path=/',
      'c="x;path"; path=/shop/x',
      'd=4',
    ]);
  });

  test('all paths become those of the prefix where the configuration says so', async (t) => {
    const rewrite = { stripPrefix: '/shop', response: { paths: { '/': '/shop' } } };
    const scene = { ...SHOP, route: { ...SHOP.route, rewrite } };
    assert.deepEqual(await cookies(t, scene, ['b=2; Path=/']), ['b=2; Path=/shop/']);
  });

  test('Domain of a host that the client does not know goes', async (t) => {
    const scene = { service: { host: { fixed: 'users.internal' } } };
    const says = ['a=1; Domain=.Users.Internal; Secure', 'b=2; Domain=internal', 'c=3; Domain=example.com'];
    assert.deepEqual(await cookies(t, scene, says), ['a=1; Secure', 'b=2', 'c=3; Domain=example.com']);
  });

  test('the gateway’s own cookie stays beside them', async (t) => {
    const scene = { ...SHOP, service: { sticky: { key: 'x'.repeat(32), cookie: 'side' } } };
    const seen = await cookies(t, scene, ['a=1; Path=/cart']);
    assert.equal(seen.length, 2);
    assert.ok(seen.includes('a=1; Path=/shop/cart') && seen.some((cookie) => cookie.startsWith('side=')), seen.join());
  });
});

describe('a service behind stripPrefix', () => {
  test('hears of the prefix, whatever its caller says; behind those of trusted proxies; as policies say', async (t) => {
    const upstream = await echoUpstream(t);
    const routes = [
      {},
      { headers: { request: { remove: ['X-Forwarded-Prefix'] } } },
      { headers: { request: { set: { 'X-Forwarded-Prefix': '/mine' } } } },
    ].map((more, i) => ({
      match: { path: '/shop/*', hosts: [`r${i}.example`] },
      service: 's',
      auth: 'public',
      rewrite: { stripPrefix: '/shop' },
      ...more,
    }));
    const services = { s: { instances: [{ url: upstream.url }] } };
    const plain = await startTestGateway(t, { services, routes });
    const trusting = await startTestGateway(t, { gateway: { trustProxy: ['127.0.0.0/8'] }, services, routes });
    const lies = 'X-Forwarded-Prefix: /evil\r\nX_Forwarded_Prefix: /evil\r\n';
    const rows = [
      [plain, 'r0', '', ['/shop']],
      [plain, 'r0', lies, ['/shop']],
      [plain, 'r1', lies, []],
      [plain, 'r2', lies, ['/mine']],
      [trusting, 'r0', 'X-Forwarded-Prefix: /eu/, /v1\r\n', ['/eu/v1/shop']],
      [trusting, 'r0', 'X-Forwarded-Prefix: http://x\r\n', ['/shop']],
    ] as const;
    for (const [gateway, host, fields, wanted] of rows) {
      const answer = await ask(gateway, '/shop/a', fields, `${host}.example`);
      const { headers } = JSON.parse(answer.body.toString()) as { headers: string[] };
      const seen = headers.filter((_, i) => i % 2 === 1 && /^x.forwarded.prefix$/i.test(headers[i - 1]!));
      assert.deepEqual(seen, wanted, `${host}: ${fields}`);
    }
  });

  test('gets the path of its instance alone when nothing is left', async (t) => {
    const upstream = await httpUpstream(t, (request, response) => response.end(request.url));
    const gateway = await inFront(t, upstream.url, { ...SHOP, base: '/foo' });
    for (const [path, wanted] of [
      ['/shop', '/foo'],
      ['/shop?x=1', '/foo?x=1'],
      ['/shop/', '/foo/'],
      ['/shop/a', '/foo/a'],
    ] as const)
      assert.equal((await ask(gateway, path)).body.toString(), wanted);
    const plain = await inFront(t, upstream.url, SHOP);
    assert.equal((await ask(plain, '/shop')).body.toString(), '/');
  });
});
