/**
 * Symptom: the metrics of a new instance counted an answer that it never gave. Cause: an exchange that outlives its
 * instance (a long download, an event stream) counted into the slot that the instance had had, which discovery had
 * given to another meanwhile. Fix: what a retired instance still answers is counted for nobody.
 */
import assert from 'node:assert/strict';
import type { ServerResponse } from 'node:http';
import { test } from 'node:test';
import { startTestGateway } from '../support/gateway.ts';
import { RawCaller } from '../support/raw.ts';
import { until } from '../support/until.ts';
import { httpUpstream } from '../support/upstream.ts';

test('an instance that gets the slot of a former one starts from zero, and stays there', async (t) => {
  const held: ServerResponse[] = [];
  const former = await httpUpstream(t, (_request, response) => {
    response.write('first part');
    held.push(response);
  });
  const others = await Promise.all([1, 2].map(() => httpUpstream(t, (_request, response) => response.end('well'))));
  const gateway = await startTestGateway(t, {
    registry: { token: 'a-token-of-some-length' },
    services: { work: { discovery: { registry: true } } },
    routes: [{ match: { path: '/w/*' }, service: 'work', auth: 'public' }],
  });
  const { primary } = gateway;
  /** The service has this one instance from here on; resolves with its slot. */
  const replaceWith = async (url: string): Promise<number> => {
    assert.equal((await primary.setDiscovered({ work: [{ url }] })).ok, true);
    return primary.snapshot.services.find(({ name }) => name === 'work')!.instances[0]!.slot;
  };
  const first = await replaceWith(former.url);
  const caller = new RawCaller(gateway.port);
  const streamed = caller.send('GET /w/1 HTTP/1.1\r\nHost: a\r\n\r\n').answer();
  await until(() => held.length === 1, 'the request');
  await replaceWith(others[0]!.url);
  const third = await replaceWith(others[1]!.url);
  assert.equal(third, first, 'the slot is used again');
  held[0]!.end();
  assert.equal((await streamed).status, 200);
  await until(() => primary.opsSources().services[0]!.inFlight === 0, 'the end of the exchange');
  assert.deepEqual([primary.metrics.instance(third).total, primary.metrics.instance(third).faults], [0, 0]);
  caller.close();
});
