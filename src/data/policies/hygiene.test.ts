import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startTestGateway } from '../../../test/support/gateway.ts';
import { httpUpstream } from '../../../test/support/upstream.ts';
import { Fault } from '../../base/errors.ts';
import { hygieneOptions } from './hygiene.options.ts';
import { hygiene } from './hygiene.ts';
import { createPolicy, RecordingExchange } from './testing.ts';

const NOTHING = {
  contentTypes: null,
  maxQueryLength: 0,
  maxQueryParameters: 0,
  refuseDuplicates: false,
  hiddenFields: [],
};

test('a query has a longest length, a most of parameters, and no name twice however it is written', () => {
  const status = (settings: object, query: string): string => {
    const outcome = createPolicy(hygiene, { ...NOTHING, ...settings }).requestHead?.(new RecordingExchange({ query }));
    return outcome instanceof Fault ? `${outcome.kind.status} ${outcome.fields?.[0]?.field ?? ''}`.trim() : 'on';
  };
  assert.equal(status({ maxQueryLength: 3 }, 'a=1'), 'on');
  assert.equal(status({ maxQueryLength: 3 }, 'a=12'), '414');
  assert.equal(status({ maxQueryParameters: 2 }, 'a&&b&'), 'on');
  assert.equal(status({ maxQueryParameters: 2 }, 'a&b&c'), '400 query');
  assert.equal(status({ refuseDuplicates: true }, 'a=1&b=1'), 'on');
  assert.equal(status({ refuseDuplicates: true }, 'a=1&%61=2'), '400 query.a');
  assert.equal(status({ refuseDuplicates: true }, 'a+b&a%20b'), '400 query.a b');
  assert.equal(status({ refuseDuplicates: true }, '%&%'), '400 query.%');
  assert.equal(status({}, 'a&a'), 'on');
});

test('through a gateway: 415 with what is taken, a body-less request passes, and the software is hidden', async (t) => {
  const upstream = await httpUpstream(t, (request, response) => {
    request.resume();
    response.writeHead(200, { Server: 'old/1.0', 'X-Powered-By': 'magic', 'X-Other': 'stays' }).end('ok');
  });
  const { url } = await startTestGateway(t, {
    gateway: { hygiene: { contentTypes: ['application/json', 'image/*'], hideServer: true } },
    services: { s: { instances: [{ url: upstream.url }] } },
    routes: [
      { match: { path: '/a' }, service: 's', auth: 'public' },
      { match: { path: '/any' }, service: 's', auth: 'public', hygiene: 'off' },
    ],
  });
  const post = (path: string, type: string) =>
    fetch(url + path, { method: 'POST', body: 'x', headers: { 'Content-Type': type } });
  assert.equal((await post('/a', 'application/json; charset=utf-8')).status, 200);
  assert.equal((await post('/a', 'image/png')).status, 200);
  const refused = await post('/a', 'text/xml');
  assert.equal(refused.status, 415);
  assert.equal(refused.headers.get('accept'), 'application/json, image/*');
  assert.equal((await post('/any', 'text/xml')).status, 200);
  const response = await fetch(`${url}/a`);
  assert.deepEqual(
    ['server', 'x-powered-by', 'x-other'].map((name) => response.headers.get(name)),
    [null, null, 'stays'],
  );
});

test('what is written is checked', () => {
  assert.equal(hygieneOptions.schema.safeParse({ contentTypes: ['json'] }).success, false);
  assert.equal(hygieneOptions.schema.safeParse({ maxQueryLength: -1 }).success, false);
});
