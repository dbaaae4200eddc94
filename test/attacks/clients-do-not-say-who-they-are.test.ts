/**
 * Rule: no field by which services learn who is calling, from where or for which path reaches them as the client wrote
 * it, in whatever spelling a service could read as that name.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { IDENTITY_HEADERS } from '../../src/data/auth/identity-headers.ts';
import { PROXY_ONLY_NAMES } from '../../src/data/parser/field-names.ts';
import { startTestGateway } from '../support/gateway.ts';
import { RawCaller } from '../support/raw.ts';
import { echoUpstream } from '../support/upstream.ts';

const NAMES = [...IDENTITY_HEADERS, ...PROXY_ONLY_NAMES];
const SIGNS = "-_.!#$%&'*+^`|~";

test('no spelling of them reaches a service, with and without authentication', async (t) => {
  const upstream = await echoUpstream(t);
  const gateway = await startTestGateway(
    t,
    {
      services: { echo: { instances: [{ url: upstream.url }] } },
      routes: [
        { match: { path: '/open' }, service: 'echo', auth: 'public' },
        { match: { path: '/closed' }, service: 'echo', auth: { apiKey: {} } },
      ],
    },
    { API_KEY_1: 'a-key-of-some-length:ann:read' },
  );
  const caller = new RawCaller(gateway.port);
  t.after(() => caller.close());
  for (const path of ['/open', '/closed']) {
    for (const sign of SIGNS) {
      const spelt = NAMES.map((name) => name.replaceAll('-', sign).toUpperCase());
      const fields = spelt.map((name) => `${name}: forged\r\n`).join('');
      const key = path === '/closed' ? 'X-API-Key: a-key-of-some-length\r\n' : '';
      const answer = await caller.send(`GET ${path} HTTP/1.1\r\nHost: a.example\r\n${key}${fields}\r\n`).answer('GET');
      assert.equal(answer.status, 200, `${path} with ${sign}`);
      const { headers } = JSON.parse(answer.body.toString()) as { headers: string[] };
      assert.ok(!headers.includes('forged'), `${path} with ${sign}: ${headers.join(' ')}`);
    }
  }
});

test('an ordinary field with such signs is nobody’s business', async (t) => {
  const upstream = await echoUpstream(t);
  const gateway = await startTestGateway(t, {
    services: { echo: { instances: [{ url: upstream.url }] } },
    routes: [{ match: { path: '/open' }, service: 'echo', auth: 'public' }],
  });
  const caller = new RawCaller(gateway.port);
  t.after(() => caller.close());
  const answer = await caller.send('GET /open HTTP/1.1\r\nHost: a\r\nX-My.Field_Name: kept\r\n\r\n').answer('GET');
  const { headers } = JSON.parse(answer.body.toString()) as { headers: string[] };
  assert.equal(headers[headers.indexOf('X-My.Field_Name') + 1], 'kept');
});
