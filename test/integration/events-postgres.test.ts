/** Consumers and the hub on PostgreSQL: what they keep is there too, and read back as it was. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { WebSocket } from 'ws';
import { startTestGateway } from '../support/gateway.ts';
import { startPostgres } from '../support/postgres.ts';
import { until } from '../support/until.ts';
import { httpUpstream, readAll } from '../support/upstream.ts';

test('deliveries, dead letters, tickets and presence on PostgreSQL', { timeout: 120_000 }, async (t) => {
  const postgres = await startPostgres();
  t.after(() => postgres.stop());
  let status = 503;
  const got: string[] = [];
  const service = await httpUpstream(t, (request, response) => {
    void readAll(request).then((body) => {
      got.push(body.toString());
      response.writeHead(status).end();
    });
  });
  const key = 'sesame-0123456789abcdef0123456789';
  const gateway = await startTestGateway(
    t,
    {
      services: { audit: { instances: [service.url] } },
      events: {
        store: await postgres.database('events'),
        streams: { commits: {} },
        consumers: {
          audit: { stream: 'commits', service: 'audit', backoff: '100ms', maxBackoff: '100ms', attempts: 3 },
        },
        hub: { topics: [{ topic: 'rooms.*', publish: 'users', presence: true }] },
      },
      routes: [
        { match: { path: '/commits' }, publish: { stream: 'commits' }, auth: 'public' },
        { match: { path: '/ws/*' }, builtin: 'realtime', auth: { optional: true } },
      ],
    },
    { API_KEY_1: `${key}:ada:write:basic` },
  );
  const operate = async (path: string, body?: object) => {
    const { fetch } = gateway.primary.operations().get('events')!;
    const init = body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) };
    return (await (await fetch(new Request(`http://a${path}`, init))).json()) as Record<string, unknown>;
  };
  const response = await fetch(`${gateway.url}/commits`, {
    method: 'POST',
    body: '{"n":1}',
    headers: { 'content-type': 'application/json' },
  });
  assert.equal(response.status, 202);
  await until(() => got.length === 3, 'three attempts', 60_000);
  let dead: { position: string; attempts: number }[] = [];
  const isDead = async (): Promise<boolean> => {
    dead = (await operate('/dead/audit'))['dead'] as never;
    return dead.length > 0;
  };
  await until(isDead, 'a dead letter', 60_000);
  assert.equal(dead[0]!.attempts, 3);
  status = 204;
  assert.deepEqual(await operate('/dead/replay', { consumer: 'audit', positions: [dead[0]!.position] }), {
    replayed: 1,
  });
  await until(() => got.length === 4, 'the replayed one', 60_000);

  const issued = await fetch(`${gateway.url}/ws/ticket`, { method: 'POST', headers: { 'x-api-key': key } });
  const { ticket } = (await issued.json()) as { ticket: string };
  const messages: Record<string, unknown>[] = [];
  const ws = new WebSocket(`ws://127.0.0.1:${gateway.port}/ws?ticket=${ticket}`, 'gatehouse.v1');
  t.after(() => ws.terminate());
  ws.on('message', (data) => void messages.push(JSON.parse(data.toString())));
  await new Promise((resolve) => ws.once('open', resolve));
  ws.send('{"type":"subscribe","topic":"rooms.1"}');
  await until(() => messages.some(({ type }) => type === 'message'), 'ada joined', 60_000);
  ws.send('{"type":"presence","topic":"rooms.1"}');
  await until(() => messages.some(({ type }) => type === 'presence'), 'presence', 60_000);
  assert.deepEqual(messages.find(({ type }) => type === 'presence')!['users'], ['ada']);
});
