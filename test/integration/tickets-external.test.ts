/**
 * Tickets beside an outside authorizer: what it says of a caller, the caller may not say, by whatever method it comes.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startTestGateway } from '../support/gateway.ts';
import { httpUpstream } from '../support/upstream.ts';

const KEY = 'key-of-bob-0123456789';

test('a ticket or a key brings no field that the authorizer says', async (t) => {
  const seen: unknown[] = [];
  const upstream = await httpUpstream(t, (request, response) => {
    const { 'x-auth-subject': subject, 'x-tenant': tenant, x_tenant: other } = request.headers;
    seen.push([subject, tenant, other]);
    response.writeHead(200, { 'content-type': 'text/event-stream' }).end('data: 1\n\n');
  });
  const authorizer = await httpUpstream(t, (request, response) => {
    const isKnown = request.headers.cookie === 'who=ada';
    response.writeHead(isKnown ? 200 : 401, { 'Remote-User': 'ada', 'X-Tenant': 'north' }).end();
  });
  const external = {
    url: `${authorizer.url}/check`,
    subject: 'Remote-User',
    sendHeaders: ['cookie'],
    copyHeaders: ['X-Tenant'],
  };
  const auth = { apiKey: { keys: [{ key: KEY, subject: 'bob' }] }, external, tickets: {} };
  const gateway = await startTestGateway(t, {
    services: { live: { instances: [{ url: upstream.url }] } },
    routes: [
      { match: { path: '/ticket', methods: ['POST'] }, ticket: {}, auth },
      { match: { path: '/live' }, service: 'live', auth },
    ],
  });
  const get = async (target: string, headers: Record<string, string>): Promise<number> => {
    const forged = { accept: 'text/event-stream', 'X-Tenant': 'south', X_Tenant: 'south', ...headers };
    const response = await fetch(`${gateway.url}${target}`, { headers: forged });
    await response.text();
    return response.status;
  };
  const cookie = 'who=ada';
  assert.equal(await get('/live', { cookie }), 200);
  assert.equal(await get('/live', { 'x-api-key': KEY }), 200);
  const made = await fetch(`${gateway.url}/ticket`, { method: 'POST', headers: { cookie } });
  const { ticket } = (await made.json()) as { ticket: string };
  assert.equal(await get(`/live?ticket=${ticket}`, {}), 200);
  assert.deepEqual(seen, [
    ['ada', 'north', undefined],
    ['bob', undefined, undefined],
    ['ada', undefined, undefined],
  ]);
});
