/** Who is believed about where a request comes from: trusted proxies, the PROXY protocol, Unix sockets. */
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { startTestGateway, type TestGateway } from '../support/gateway.ts';
import { RawCaller } from '../support/raw.ts';
import { suiteScope } from '../support/scope.ts';
import { echoUpstream } from '../support/upstream.ts';

const scope = suiteScope();
/** By their settings: tests that want the same share a gateway. */
const gateways = new Map<string, Promise<TestGateway>>();

async function echoing(gateway: Record<string, unknown>): Promise<TestGateway> {
  const upstream = await echoUpstream(scope);
  return await startTestGateway(scope, {
    gateway,
    services: { s: { instances: [{ url: upstream.url }] } },
    routes: [{ match: { path: '/*' }, service: 's', auth: 'public' }],
  });
}

/** The fields that a service gets of the request `text`. */
async function fieldsSeen(gateway: Record<string, unknown>, text: string) {
  const key = JSON.stringify(gateway);
  const running = gateways.get(key) ?? echoing(gateway);
  gateways.set(key, running);
  const caller = new RawCaller((await running).port);
  const answer = await caller.send(text).answer();
  caller.close();
  const { headers } = JSON.parse(answer.body.toString()) as { headers: string[] };
  return (name: string): string | undefined => {
    const at = headers.findIndex((field, i) => i % 2 === 0 && field.toLowerCase() === name);
    return at < 0 ? undefined : headers[at + 1];
  };
}

describe('a trusted proxy', () => {
  test('is believed about caller, scheme and host, and its list goes on', async () => {
    const field = await fieldsSeen(
      { trustProxy: ['127.0.0.0/8'] },
      'GET / HTTP/1.1\r\nHost: inner\r\nX-Forwarded-For: 203.0.113.7, 127.0.0.9\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: shop.example\r\nForwarded: for=203.0.113.7\r\nVia: 1.1 edge\r\n\r\n',
    );
    assert.equal(field('x-forwarded-for'), '203.0.113.7, 127.0.0.9, 127.0.0.1');
    assert.equal(field('x-forwarded-proto'), 'https');
    assert.equal(field('x-forwarded-host'), 'shop.example');
    assert.match(field('forwarded')!, /^for=203\.0\.113\.7, for=127\.0\.0\.9, for=127\.0\.0\.1;/);
    assert.equal(field('via'), '1.1 edge, 1.1 gatehouse');
  });
});

describe('what proxies say of the client', () => {
  const trusting = { trustProxy: ['127.0.0.0/8', '10.0.0.0/8'] };
  const ask = (fields: string): string => `GET / HTTP/1.1\r\nHost: inner\r\n${fields}\r\n`;

  test('fields with nothing in them say nothing, and do no harm', async () => {
    for (const empty of ['', '"', ',', ' , ', '""'])
      for (const others of [
        '',
        'X-Forwarded-Proto: https\r\n',
        'X-Forwarded-For: 203.0.113.7\r\n',
        'X-Forwarded-For: \r\n',
      ]) {
        const fields = `Forwarded: ${empty}\r\n${others}`;
        const field = await fieldsSeen(trusting, ask(fields));
        const isNamed = others.includes('203.0.113.7');
        assert.equal(field('x-forwarded-for'), isNamed ? '203.0.113.7, 127.0.0.1' : '127.0.0.1', fields);
        assert.equal(field('x-forwarded-proto'), others.includes('https') ? 'https' : 'http', fields);
        assert.equal(field('x-forwarded-host'), 'inner', fields);
        assert.match(field('forwarded') ?? '', isNamed ? /^for=203\.0\.113\.7, for=127/ : /^for=127\.0\.0\.1;/, fields);
      }
  });

  test('schemes are read in any case, in lists and of WebSockets', async () => {
    const rows: { fields: string; scheme: string }[] = [
      { fields: 'X-Forwarded-Proto: HTTPS\r\n', scheme: 'https' },
      { fields: 'X-Forwarded-Proto: wss\r\n', scheme: 'https' },
      { fields: 'X-Forwarded-Proto: ws\r\n', scheme: 'http' },
      { fields: 'X-Forwarded-Proto: gopher\r\n', scheme: 'http' },
      { fields: 'X-Forwarded-For: 203.0.113.7, 10.0.0.1\r\nX-Forwarded-Proto: https, http\r\n', scheme: 'https' },
      // The client put the first one in front: the nearest proxy saw http.
      { fields: 'X-Forwarded-For: 203.0.113.7\r\nX-Forwarded-Proto: https, http\r\n', scheme: 'http' },
      { fields: 'Forwarded: for=203.0.113.7;Proto=https\r\n', scheme: 'https' },
    ];
    for (const { fields, scheme } of rows) {
      const field = await fieldsSeen(trusting, ask(fields));
      assert.equal(field('x-forwarded-proto'), scheme, fields);
    }
  });

  test('a port and the families of proxies pass from a trusted proxy only', async () => {
    const names = [
      'X-Forwarded-Prefix',
      'X-Forwarded-Ssl',
      'X-Forwarded-User',
      'X-Original-URL',
      'Remote-User',
      'Proxy',
    ];
    const fields = `X-Forwarded-Port: 8443\r\n${names.map((name) => `${name}: x\r\n`).join('')}`;
    const trusted = await fieldsSeen(trusting, ask(fields));
    assert.equal(trusted('x-forwarded-port'), '8443');
    for (const name of names) assert.equal(trusted(name.toLowerCase()), 'x', name);
    const other = await fieldsSeen({}, ask(`${fields}X.Forwarded.For: 1.2.3.4\r\nX_Forwarded_Prefix: x\r\n`));
    for (const name of [...names, 'X-Forwarded-Port', 'X.Forwarded.For', 'X_Forwarded_Prefix'])
      assert.equal(other(name.toLowerCase()), undefined, name);
  });

  test('X-Real-IP and X-Forwarded-Port are written when asked for', async () => {
    const forwarded = { realIp: true, port: true };
    const lies = 'X-Real-IP: 1.2.3.4\r\nX-Forwarded-Port: 1\r\nX-Forwarded-Host: a:2\r\n';
    const plain = await fieldsSeen({ forwarded }, ask(lies));
    assert.deepEqual([plain('x-real-ip'), plain('x-forwarded-port')], ['127.0.0.1', '80']);
    const fields = 'X-Forwarded-For: 203.0.113.7, 10.0.0.1\r\n';
    const rows = [
      { said: 'X-Forwarded-Host: shop.example:8443\r\n', port: '8443' },
      { said: 'X-Forwarded-Host: shop.example\r\nX-Forwarded-Proto: https, https\r\n', port: '443' },
      { said: 'X-Forwarded-Port: 9443\r\n', port: '9443' },
    ];
    for (const { said, port } of rows) {
      const behind = await fieldsSeen({ ...trusting, forwarded }, ask(fields + said));
      assert.deepEqual([behind('x-real-ip'), behind('x-forwarded-port')], ['203.0.113.7', port]);
    }
    const silent = await fieldsSeen({}, ask(lies));
    assert.deepEqual([silent('x-real-ip'), silent('x-forwarded-port')], [undefined, undefined]);
  });

  test('the client is read from Forwarded (RFC 7239) as from X-Forwarded-For', async (t) => {
    const gateway = await startTestGateway(t, {
      gateway: trusting,
      routes: [
        {
          match: { path: '/*' },
          respond: { status: 200 },
          ipFilter: { allow: ['203.0.113.7', '2001:db8::1'] },
          auth: 'public',
        },
      ],
    });
    const rows: { fields: string; status: number }[] = [
      { fields: 'Forwarded: for=203.0.113.7\r\n', status: 200 },
      { fields: 'Forwarded: For="203.0.113.7:4711";by=x, for=10.1.1.1\r\n', status: 200 },
      { fields: 'Forwarded: for="[2001:db8::1]:80";proto=https\r\n', status: 200 },
      { fields: 'Forwarded: for=203.0.113.7, for=198.51.100.1\r\n', status: 403 },
      { fields: 'Forwarded: for="203.0.113.7, for=x", for=198.51.100.1\r\n', status: 403 },
      { fields: 'Forwarded: for=unknown\r\n', status: 403 },
    ];
    for (const { fields, status } of rows) {
      const caller = new RawCaller(gateway.port);
      assert.equal((await caller.send(ask(fields)).answer()).status, status, fields);
      caller.close();
    }
  });

  test('the service gets the same client in X-Forwarded-For and Forwarded, whichever the proxy sent', async () => {
    const own = 'for=127.0.0.1;host="inner";proto=http';
    const rows: { fields: string; list: string; forwarded: string; host?: string }[] = [
      {
        fields: 'Forwarded: for="[2001:db8::1]:44";proto=https;host=h.example\r\n',
        list: '2001:db8::1, 127.0.0.1',
        forwarded: `for="[2001:db8::1]:44";proto=https;host=h.example, ${own}`,
        host: 'h.example',
      },
      {
        fields: 'Forwarded: for=203.0.113.7;host="a:8443", for=10.0.0.9;host=b\r\n',
        list: '203.0.113.7, 10.0.0.9, 127.0.0.1',
        forwarded: `for=203.0.113.7;host="a:8443", for=10.0.0.9;host=b, ${own}`,
        host: 'a:8443',
      },
      { fields: 'Forwarded: for=_hidden\r\n', list: 'unknown, 127.0.0.1', forwarded: `for=_hidden, ${own}` },
      {
        fields: 'Forwarded: for=203.0.113.7;host="a b"\r\n',
        list: '203.0.113.7, 127.0.0.1',
        forwarded: `for=203.0.113.7;host="a b", ${own}`,
      },
      {
        fields: 'X-Forwarded-For: 203.0.113.7, 2001:db8::2, wrong\r\n',
        list: '203.0.113.7, 2001:db8::2, wrong, 127.0.0.1',
        forwarded: `for=203.0.113.7, for="[2001:db8::2]", for=unknown, ${own}`,
      },
      {
        fields: 'X-Forwarded-For: 203.0.113.7\r\nForwarded: for="203.0.113.7:99";by=_x\r\n',
        list: '203.0.113.7, 127.0.0.1',
        forwarded: `for="203.0.113.7:99";by=_x, ${own}`,
      },
      // The client made it up, and the proxy knows only the other field.
      {
        fields: 'X-Forwarded-For: 203.0.113.7\r\nForwarded: for=198.51.100.1\r\n',
        list: '203.0.113.7, 127.0.0.1',
        forwarded: `for=203.0.113.7, ${own}`,
      },
    ];
    for (const { fields, list, forwarded, host = 'inner' } of rows) {
      const field = await fieldsSeen(trusting, ask(fields));
      const seen = [field('x-forwarded-for'), field('forwarded'), field('x-forwarded-host')];
      assert.deepEqual(seen, [list, forwarded, host], fields);
    }
    const stranger = await fieldsSeen({}, ask('Forwarded: for=203.0.113.7;host=h.example\r\n'));
    assert.deepEqual([stranger('x-forwarded-for'), stranger('forwarded')], ['127.0.0.1', own]);
  });

  test('a request that goes in a circle ends with 508 (RFC 9110 §7.6.3)', async (t) => {
    const gateway = await startTestGateway(t, {
      routes: [{ match: { path: '/*' }, respond: { status: 200 }, auth: 'public' }],
    });
    const caller = new RawCaller(gateway.port);
    const passes = (times: number): string => ask(`Via: 1.1 other, ${'1.1 gatehouse, '.repeat(times)}1.1 edge\r\n`);
    assert.equal((await caller.send(passes(7)).answer()).status, 200);
    assert.equal((await caller.send(passes(8)).answer()).status, 508);
    caller.close();
  });
});

describe('the PROXY protocol', () => {
  const v2 = Buffer.concat([
    Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1'),
    Buffer.from([0x21, 0x11, 0, 12, 203, 0, 113, 8, 198, 51, 100, 1, 0x15, 0xb3, 0x01, 0xbb]),
  ]);
  for (const { name, header } of [
    { name: 'version 1', header: 'PROXY TCP4 203.0.113.8 198.51.100.1 5555 443\r\n' },
    { name: 'version 2', header: v2.toString('latin1') },
  ]) {
    test(`${name} names the caller`, async (t) => {
      const upstream = await echoUpstream(t);
      const gateway = await startTestGateway(t, {
        gateway: {
          listeners: [{ name: 'main', host: '127.0.0.1', port: 0, proxyProtocol: true }],
          port: undefined,
          host: undefined,
          trustProxy: ['127.0.0.1'],
        },
        services: { s: { instances: [{ url: upstream.url }] } },
        routes: [{ match: { path: '/*' }, service: 's', auth: 'public' }],
      });
      const text = `${header}GET / HTTP/1.1\r\nHost: a\r\n\r\n`;
      const caller = new RawCaller(gateway.port);
      await caller.sendSplit(text, [1, 7, header.length - 1, header.length + 3]);
      assert.match((await caller.answer()).body.toString(), /"X-Forwarded-For","203\.0\.113\.8"/);
      caller.close();
    });
  }

  for (const { name, header, trustProxy } of [
    { name: 'from a stranger', header: 'PROXY TCP4 203.0.113.8 198.51.100.1 5555 443\r\n', trustProxy: ['10.0.0.0/8'] },
    { name: 'that is missing', header: '', trustProxy: ['127.0.0.1'] },
    {
      name: 'with a bad address',
      header: 'PROXY TCP4 999.0.113.8 198.51.100.1 5555 443\r\n',
      trustProxy: ['127.0.0.1'],
    },
    { name: 'of endless length', header: `PROXY TCP4 ${'1'.repeat(300)}`, trustProxy: ['127.0.0.1'] },
  ]) {
    test(`a header ${name} closes the connection`, async (t) => {
      const gateway = await startTestGateway(t, {
        gateway: {
          listeners: [{ name: 'main', host: '127.0.0.1', port: 0, proxyProtocol: true }],
          port: undefined,
          host: undefined,
          trustProxy,
        },
        routes: [{ match: { path: '/*' }, respond: { status: 200, body: 'x' }, auth: 'public' }],
      });
      const caller = new RawCaller(gateway.port);
      caller.send(`${header}GET / HTTP/1.1\r\nHost: a\r\n\r\n`);
      assert.equal((await caller.end()).length, 0);
    });
  }
});

test('an instance can be a Unix socket', async (t) => {
  const gatewayFolder = await import('node:fs/promises').then((fs) => fs.mkdtemp('/tmp/gh-sock-'));
  t.after(() => import('node:fs/promises').then((fs) => fs.rm(gatewayFolder, { recursive: true, force: true })));
  const path = join(gatewayFolder, 'up.sock');
  const server = createServer((_request, response) => response.end('over a socket'));
  await new Promise<void>((resolve) => server.listen(path, resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const gateway = await startTestGateway(t, {
    services: { s: { instances: [{ url: `unix:${path}` }] } },
    routes: [{ match: { path: '/*' }, service: 's', auth: 'public' }],
  });
  assert.equal(await (await fetch(`${gateway.url}/`)).text(), 'over a socket');
});
