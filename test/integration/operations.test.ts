/** What the settings about the built-in endpoints change in their answers. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startTestGateway } from '../support/gateway.ts';

async function typeOf(url: string, accept?: string): Promise<string> {
  const response = await fetch(url, accept === undefined ? {} : { headers: { Accept: accept } });
  assert.equal(response.status, 200);
  await response.text();
  return response.headers.get('content-type') ?? '';
}

test('metricsFormat decides what /metrics answers where Accept does not', async (t) => {
  for (const [metricsFormat, want] of [
    [undefined, /^text\/plain; version=0\.0\.4/],
    ['prometheus', /^text\/plain; version=0\.0\.4/],
    ['json', /^application\/json/],
  ] as const) {
    const { url } = await startTestGateway(t, { gateway: metricsFormat === undefined ? {} : { metricsFormat } });
    assert.match(await typeOf(`${url}/metrics`), want);
    assert.match(await typeOf(`${url}/metrics`, 'application/json'), /^application\/json/);
    assert.match(await typeOf(`${url}/metrics`, 'text/plain'), /^text\/plain/);
    assert.match(await typeOf(`${url}/metrics/prometheus`, 'application/json'), /^text\/plain/);
  }
});

test('gateway.version is the version that health reports', async (t) => {
  const { url } = await startTestGateway(t, { gateway: { version: '2.9.0' } });
  const health = (await (await fetch(`${url}/health`)).json()) as { version: string };
  assert.equal(health.version, '2.9.0');
});
