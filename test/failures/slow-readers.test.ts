/**
 * 2,000 callers of one address take a byte a second of a response of 4 MB, while others ask the same service for
 * something small: how many of those are refused or lost. (2,820 of 5,703 were, before an address had a share.) The
 * pool is a quarter of the default, so that the test does not fill the kernel's memory for TCP.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startTestGateway } from '../support/gateway.ts';
import { openLoad, quantile } from '../support/open-load.ts';
import { slowReaders } from '../support/slow-readers.ts';
import { httpUpstream } from '../support/upstream.ts';

const LARGE = Buffer.alloc(4 * 1024 * 1024, 'x');
const READERS = 2_000;
const PER_SECOND = 100;
const SECONDS = 8;

test('2,000 readers of a byte a second cost others of their service no request', async (t) => {
  const upstream = await httpUpstream(t, (request, response) => {
    response.end(request.url === '/large' ? LARGE : 'ok');
  });
  const gateway = await startTestGateway(t, {
    services: { s: { instances: [upstream.url], pool: { maxConnections: 64 } } },
    routes: [{ match: { path: '/*' }, service: 's', auth: 'public' }],
  });
  const crowd = { port: gateway.port, count: READERS, path: '/large', addresses: 1 };
  const readers = await slowReaders(t, crowd);
  const outcomes = await openLoad(gateway.port, PER_SECOND, SECONDS * 1_000);
  const lost = outcomes.filter(({ status }) => status !== 200);
  const p50 = quantile(
    outcomes.map(({ tookMs }) => tookMs),
    0.5,
  );
  t.diagnostic(
    `${lost.length} of ${outcomes.length} lost, median ${Math.round(p50)} ms; ${readers.answered} of the readers answered, ${readers.ended} ended`,
  );
  assert.deepEqual(lost.slice(0, 3), []);
  const ejected = gateway.logged.filter((line) => line.includes('ejected'));
  assert.deepEqual(ejected, [], 'no instance is blamed for its callers');
});
