/**
 * Symptom: 503 `no_instance` for the rest of an ejection (30 s by default) while an instance that works stood by.
 * Cause: "never the last one that works is ejected" held at the moment of the ejection only; when discovery or probes
 * then took the others away, the ejected one stayed out. Fix: with nobody else left, it is let back at once.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startTestGateway } from '../support/gateway.ts';
import { RawCaller } from '../support/raw.ts';
import { until } from '../support/until.ts';
import { httpUpstream } from '../support/upstream.ts';

test('an ejected instance takes traffic again when the others are found dead', async (t) => {
  let fails = true;
  let probedBad = false;
  const first = await httpUpstream(t, (request, response) => {
    response.statusCode = fails && request.url !== '/health' ? 500 : 200;
    response.end('first');
  });
  const second = await httpUpstream(t, (_request, response) => {
    response.statusCode = probedBad ? 503 : 200;
    response.end('second');
  });
  const gateway = await startTestGateway(t, {
    services: {
      s: {
        instances: [{ url: first.url }, { url: second.url }],
        ejection: { consecutiveFaults: 1, baseEjection: '5m' },
        healthCheck: { interval: '1s', unhealthyThreshold: 1 },
      },
    },
    routes: [{ match: { path: '/*' }, service: 's', auth: 'public' }],
  });
  const caller = new RawCaller(gateway.port);
  const ask = () => caller.send('GET /a HTTP/1.1\r\nHost: a\r\n\r\n').answer();
  const logged = (text: string) => gateway.logged.some((line) => line.includes(text));
  for (let asked = 0; !logged('instance ejected'); asked++) {
    assert.ok(asked < 1_000, 'it is ejected');
    await ask();
  }
  assert.equal((await ask()).body.toString(), 'second');
  fails = false;
  probedBad = true;
  await until(() => logged('instance unhealthy'), 'the other one found dead', 20_000);
  const answer = await ask();
  assert.deepEqual([answer.status, answer.body.toString()], [200, 'first']);
  await until(() => logged('no other instance is left'), 'its return in the log');
  caller.close();
});
