/** docs/guide/monitoring.md names metrics that a gateway has, and every metric about routes and upstreams. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { startTestGateway } from '../support/gateway.ts';
import { httpUpstream } from '../support/upstream.ts';

test('the metrics in the guide are those of a gateway', async (t) => {
  const upstream = await httpUpstream(t, (_request, response) => response.end('ok'));
  const gateway = await startTestGateway(t, {
    services: { s: { instances: [upstream.url], healthCheck: { path: '/' }, circuitBreaker: {} } },
    routes: [{ match: { path: '/*' }, service: 's', auth: 'public' }],
  });
  assert.equal((await fetch(`${gateway.url}/x`, { method: 'POST', body: 'three' })).status, 200);
  const text = await (await fetch(`${gateway.url}/metrics`)).text();
  const given = new Set([...text.matchAll(/^# TYPE (gatehouse_\w+) /gm)].map(([, name]) => name!));
  const count = (name: string): number => Number(new RegExp(`^gatehouse_${name} (\\d+)$`, 'm').exec(text)?.[1]);
  assert.equal(count('bytes_received_total'), 5);
  assert.equal(count('bytes_sent_total'), 2);
  assert.ok(count('upstream_connections_opened_total') >= 1);
  const page = readFileSync(new URL('../../docs/guide/monitoring.md', import.meta.url), 'utf8');
  const named = new Set([...page.matchAll(/\bgatehouse_\w+/g)].map(([name]) => name));
  assert.ok(named.size > 20);
  assert.deepEqual(
    [...named].filter((name) => !given.has(name)),
    [],
    'named, and not there',
  );
  const families = [...text.matchAll(/^(gatehouse_\w+)\{(?:route|service)=/gm)].map(([, name]) =>
    name!.replace(/_(bucket|sum|count)$/, ''),
  );
  assert.deepEqual(
    [...new Set(families)].filter((name) => !named.has(name)),
    [],
    'there, and not named',
  );
});
