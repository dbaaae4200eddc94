import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { SecurityBatch } from '../contract/security-events.ts';
import { SecurityWatch } from './security-watch.ts';

function watch() {
  const batches: SecurityBatch[] = [];
  const clock = { ms: 5 };
  const made = new SecurityWatch(
    (batch) => void batches.push(batch),
    () => clock.ms,
  );
  return { batches, clock, made };
}

test('a flood of refused messages costs so many events a second, and the rest is counted', () => {
  const { batches, clock, made } = watch();
  for (let i = 0; i < 1_000; i++) made.refused('ambiguous_framing', 400, '192.0.2.1', 0);
  made.flush();
  assert.deepEqual([batches[0]?.events.length, batches[0]?.leftOut], [200, 800]);
  clock.ms += 1_000;
  made.refused('ambiguous_framing', 400, '192.0.2.1', 0);
  made.flush();
  assert.deepEqual([batches[1]?.events.length, batches[1]?.leftOut], [1, 0]);
});

test('what is no security event is not sent, nor is an empty batch', () => {
  const { batches, made } = watch();
  made.refused('expectation_failed', 417, '192.0.2.1', 0);
  const exchange = { requestId: 'r', trace: null, address: 'a', method: 'GET', host: 'h', path: '/', routeId: 'x' };
  made.ended({ ...exchange, identity: null, fault: null }, 0);
  made.ended({ ...exchange, identity: null, fault: { kind: { reason: 'route_not_found', status: 404 } } }, 0);
  made.flush();
  assert.deepEqual(batches, []);
});

test('an exchange tells who, what and why, and never its query', () => {
  const { batches, made } = watch();
  const kind = { reason: 'invalid_credentials', status: 401 };
  const exchange = {
    requestId: 'r1',
    trace: { traceId: 't1' },
    address: '192.0.2.1',
    method: 'GET',
    host: 'api.example.com',
    path: '/a',
    query: 'token=secret',
    routeId: 'a',
    identity: { subject: 'ada' },
    fault: { kind, cause: 'expired' },
  };
  made.ended(exchange, 7);
  made.flush();
  assert.deepEqual(batches[0]?.events, [
    {
      event: 'credentials.refused',
      atMs: 7,
      fields: {
        address: '192.0.2.1',
        subject: 'ada',
        reason: 'invalid_credentials',
        cause: 'expired',
        status: 401,
        method: 'GET',
        host: 'api.example.com',
        path: '/a',
        route: 'a',
        request_id: 'r1',
        trace_id: 't1',
      },
    },
  ]);
});
