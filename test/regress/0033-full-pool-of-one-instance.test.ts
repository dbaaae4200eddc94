/**
 * Symptom: with one of two instances hanging and its connection pool full, half of the requests got 503 `overloaded`
 * although the other instance was idle; and that 503 had no `Retry-After`. Cause: "no free connection" was not among
 * the faults after which another instance is tried. Fix: nothing has been sent then, so it always is, once per
 * instance, within the budget; what is refused in the end says when to come back.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startTestGateway } from '../support/gateway.ts';
import { RawCaller } from '../support/raw.ts';
import { until } from '../support/until.ts';
import { httpUpstream, rawUpstream } from '../support/upstream.ts';

const POOL = { maxConnections: 1, maxQueued: 0 };
const routes = [{ match: { path: '/*' }, service: 's', auth: 'public' }];

test('the other instance takes what the full one cannot, also a POST', async (t) => {
  let hanging = 0;
  const hung = await rawUpstream(t, (socket) => void socket.on('data', () => hanging++));
  const well = await httpUpstream(
    t,
    (request, response) => void request.resume().on('end', () => response.end('well')),
  );
  const gateway = await startTestGateway(t, {
    services: {
      s: { instances: [{ url: hung.url }, { url: well.url }], pool: POOL, loadBalancing: { algorithm: 'round-robin' } },
    },
    routes,
  });
  const callers: RawCaller[] = [];
  const ask = (text: string) => {
    const caller = new RawCaller(gateway.port).send(text);
    callers.push(caller);
    return caller;
  };
  while (hanging === 0) {
    const caller = ask('GET /a HTTP/1.1\r\nHost: a\r\n\r\n');
    await until(() => hanging > 0 || caller.received.length > 0, 'an answer, or one that hangs');
  }
  for (let i = 0; i < 6; i++) {
    const method = i % 2 === 0 ? 'GET' : 'POST';
    const answer = await ask(`${method} /b HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi`).answer();
    assert.deepEqual([answer.status, answer.body.toString()], [200, 'well']);
  }
  assert.equal(hanging, 1);
  for (const caller of callers) caller.close();
});

test('with every pool full it is 503 with Retry-After', async (t) => {
  let hanging = 0;
  const hung = await rawUpstream(t, (socket) => void socket.on('data', () => hanging++));
  const gateway = await startTestGateway(t, {
    services: { s: { instances: [{ url: hung.url }], pool: POOL } },
    routes,
  });
  const first = new RawCaller(gateway.port).send('GET /a HTTP/1.1\r\nHost: a\r\n\r\n');
  await until(() => hanging === 1, 'the one that takes the connection');
  const second = new RawCaller(gateway.port);
  const answer = await second.send('GET /b HTTP/1.1\r\nHost: a\r\n\r\n').answer();
  assert.deepEqual([answer.status, answer.headers['retry-after']], [503, '1']);
  assert.equal((JSON.parse(answer.body.toString()) as { reason: string }).reason, 'overloaded');
  first.close();
  second.close();
});
