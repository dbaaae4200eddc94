/**
 * Symptom: with hedging and `retries.statuses`, the caller got bytes of a second answer behind the first, and the
 * service counted requests in flight that had ended. Cause: when one of two attempts side by side answered with a
 * status that is tried again, a third was started beside the one that still ran, and nobody held all of them. Fix: such
 * an answer leaves the request to the other attempt; only the last one left is tried again.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startTestGateway } from '../support/gateway.ts';
import { RawCaller } from '../support/raw.ts';
import { until } from '../support/until.ts';
import { httpUpstream } from '../support/upstream.ts';

const rows = [
  { name: 'the hedge is refused and the first one answers', refused: [2], answers: 1 },
  { name: 'the first one is refused and the hedge answers', refused: [1], answers: 2 },
  { name: 'both are refused and a third one answers', refused: [1, 2], answers: 3 },
];

for (const { name, refused, answers } of rows) {
  test(`${name}: one answer, and nothing stays in flight`, async (t) => {
    const held: (() => void)[] = [];
    const upstream = await httpUpstream(t, (_request, response) => {
      const nth = held.length + 1;
      held.push(() => {
        if (refused.includes(nth)) response.statusCode = 503;
        response.end(`attempt ${nth}`);
      });
    });
    const gateway = await startTestGateway(t, {
      services: {
        s: {
          instances: [{ url: upstream.url }],
          hedge: { delay: '5ms' },
          retries: { attempts: 3, statuses: [503], backoff: { base: '0ms', max: '0ms' } },
        },
      },
      routes: [{ match: { path: '/*' }, service: 's', auth: 'public' }],
    });
    const caller = new RawCaller(gateway.port);
    const asked = caller.send('GET /a HTTP/1.1\r\nHost: a\r\n\r\n').answer();
    await until(() => held.length === 2, 'two attempts side by side');
    for (const nth of refused) held[nth - 1]!();
    const state = () => gateway.primary.opsSources().services[0]!;
    if (answers === 3) await until(() => held.length === 3, 'a third attempt');
    else await until(() => state().inFlight === 1, 'one attempt left');
    held[answers - 1]!();
    const answer = await asked;
    assert.deepEqual([answer.status, answer.body.toString()], [200, `attempt ${answers}`]);
    // The next request on the connection gets its own answer, so nothing of another was in the way.
    const before = held.length;
    const next = caller.send('GET /b HTTP/1.1\r\nHost: a\r\n\r\n').answer();
    await until(() => held.length > before, 'the next request');
    held[before]!();
    assert.equal((await next).body.toString(), `attempt ${before + 1}`);
    await until(() => state().inFlight === 0 && state().instances[0]!.inFlight === 0, 'nothing in flight');
    assert.equal(caller.received.length, 0);
    assert.deepEqual(
      gateway.logged.filter((line) => line.includes('"error"')),
      [],
    );
    caller.close();
  });
}
