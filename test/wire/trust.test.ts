/** Who is believed about where a request comes from: trusted proxies, the PROXY protocol, Unix sockets. */
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { startTestGateway } from '../support/gateway.ts';
import { RawCaller } from '../support/raw.ts';
import type { Scope } from '../support/scope.ts';
import { echoUpstream } from '../support/upstream.ts';

async function fieldsSeen(test: Scope, gateway: Record<string, unknown>, text: string) {
  const upstream = await echoUpstream(test);
  const running = await startTestGateway(test, {
    gateway,
    services: { s: { instances: [{ url: upstream.url }] } },
    routes: [{ match: { path: '/*' }, service: 's', auth: 'public' }],
  });
  const caller = new RawCaller(running.port);
  const answer = await caller.send(text).answer();
  caller.close();
  const { headers } = JSON.parse(answer.body.toString()) as { headers: string[] };
  return (name: string): string | undefined =>
    headers[headers.findIndex((field, i) => i % 2 === 0 && field.toLowerCase() === name) + 1];
}

describe('a trusted proxy', () => {
  test('is believed about caller, scheme and host, and its list goes on', async (t) => {
    const field = await fieldsSeen(
      t,
      { trustProxy: ['127.0.0.0/8'] },
      'GET / HTTP/1.1\r\nHost: inner\r\nX-Forwarded-For: 203.0.113.7, 127.0.0.9\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: shop.example\r\nForwarded: for=203.0.113.7\r\nVia: 1.1 edge\r\n\r\n',
    );
    assert.equal(field('x-forwarded-for'), '203.0.113.7, 127.0.0.9, 127.0.0.1');
    assert.equal(field('x-forwarded-proto'), 'https');
    assert.equal(field('x-forwarded-host'), 'shop.example');
    assert.match(field('forwarded')!, /^for=203\.0\.113\.7, for=127\.0\.0\.1;/);
    assert.equal(field('via'), '1.1 edge, 1.1 gatehouse');
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
