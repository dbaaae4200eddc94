/**
 * Rule: nobody goes where they could not go themselves by asking the gateway: instances that register lie in no place
 * that only the gateway reaches and are not the gateway, and a redirect leads to no host that a link chose.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { startTestGateway } from '../support/gateway.ts';
import { RawCaller } from '../support/raw.ts';

const TOKEN = 'registration-token-0123456789abcdef';

describe('the registry', () => {
  test('takes neither metadata services nor the gateway itself, in any spelling', async (t) => {
    const gateway = await startTestGateway(t, {
      registry: { token: TOKEN },
      services: { orders: { discovery: { registry: true } } },
      routes: [{ match: { path: '/*' }, service: 'orders', auth: 'public' }],
    });
    const { port } = new URL(gateway.url);
    const register = async (url: string): Promise<number> => {
      const response = await fetch(`${gateway.url}/api/v1/registry/services/orders/instances`, {
        method: 'POST',
        headers: { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json' },
        body: JSON.stringify({ url }),
      });
      await response.body?.cancel();
      return response.status;
    };
    for (const host of [
      '169.254.169.254',
      '[::ffff:a9fe:a9fe]',
      '[64:ff9b::169.254.169.254]',
      '[2002:a9fe:a9fe::]',
      '[::169.254.169.254]',
      '2852039166',
      'metadata.google.internal',
      'METADATA.GOOGLE.INTERNAL.',
      `127.0.0.1:${port}`,
      `localhost:${port}`,
      `[::ffff:127.0.0.1]:${port}`,
    ])
      assert.ok([400, 422].includes(await register(`http://${host}`)), host);
    assert.equal(await register('http://127.0.0.1:9'), 201);
  });
});

describe('redirects', () => {
  test('without a host to redirect to are refused, and a path is never read as one', async (t) => {
    const gateway = await startTestGateway(t, {
      gateway: { auth: 'public' },
      routes: [
        { match: { path: '/to/*' }, redirect: 'https://{host}{path}' },
        { match: { path: '/name/*' }, redirect: { location: 'https://{hostname}:8443{path}', status: 302 } },
        { match: { path: '/path/*' }, redirect: '{path}' },
      ],
    });
    const port = Number(new URL(gateway.url).port);
    for (const head of [
      'GET /to/evil.example HTTP/1.1\r\nHost:\r\n',
      'GET /to/evil.example HTTP/1.0\r\n',
      'GET /name/x HTTP/1.1\r\nHost: \r\n',
    ]) {
      const { status, headers } = await new RawCaller(port).send(`${head}Connection: close\r\n\r\n`).answer();
      assert.deepEqual([status, headers['location']], [400, undefined], head);
    }
    const location = async (target: string) =>
      (
        await new RawCaller(port)
          .send(`GET ${target} HTTP/1.1\r\nHost: www.example\r\nConnection: close\r\n\r\n`)
          .answer()
      ).headers['location'];
    assert.equal(await location('/to/x'), 'https://www.example/to/x');
    assert.equal(await location('/path/x'), '/path/x');
  });
});
