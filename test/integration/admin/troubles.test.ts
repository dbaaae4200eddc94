/** What is wrong now, over the admin API: a gateway whose objective burns, whose spans are lost, with a dead letter. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startTestGateway } from '../../support/gateway.ts';
import { until } from '../../support/until.ts';
import { deadPort, httpUpstream } from '../../support/upstream.ts';

const TOKEN = 'viewer-token-that-is-long-enough';
const LONG_MS = 120_000;

interface Status {
  readonly troubles: readonly { readonly severity: string; readonly subject: string; readonly message: string }[];
  readonly objectives: readonly { readonly objective: string; readonly alert: string | null }[];
}

test('what objectives, traces and events find wrong is said, worst first, and nothing before it happens', async (t) => {
  const upstream = await httpUpstream(t, (request, response) => {
    response.statusCode = request.url === '/hook' || request.url?.startsWith('/bad') ? 500 : 200;
    response.end('x');
  });
  const gateway = await startTestGateway(t, {
    gateway: {
      tracing: { endpoint: `http://127.0.0.1:${await deadPort()}`, ratio: 1, timeout: '1s' },
    },
    admin: { listen: '127.0.0.1:0', tokens: [{ name: 'test', role: 'viewer', token: TOKEN }] },
    objectives: { orders: { routes: ['orders'], availability: '99.9%', minBad: 1 } },
    events: {
      streams: { notes: {} },
      consumers: { robot: { stream: 'notes', service: 's', path: '/hook', attempts: 1 } },
    },
    services: { s: { instances: [{ url: upstream.url }] } },
    routes: [
      { name: 'orders', match: { path: '/bad/*' }, service: 's', auth: 'public' },
      { name: 'notes', match: { path: '/notes' }, publish: { stream: 'notes' }, auth: 'public' },
    ],
  });
  const found = gateway.primary.opsSources().features.find(({ sections }) => sections?.['admin'] !== undefined);
  const { url: origin } = found!.sections!['admin'] as { url: string };
  const status = async (): Promise<Status> => {
    const response = await fetch(`${origin}/api/status?brief=true`, { headers: { authorization: `Bearer ${TOKEN}` } });
    return (await response.json()) as Status;
  };
  assert.deepEqual((await status()).troubles, []);

  for (let i = 0; i < 20; i++) assert.equal((await fetch(`${gateway.url}/bad/x`)).status, 500);
  const published = await fetch(`${gateway.url}/notes`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: '{"a":1}',
  });
  assert.equal(published.status, 202);

  let last: Status = { troubles: [], objectives: [] };
  const subjects = (): string[] => last.troubles.map(({ subject }) => subject);
  await until(
    async () => {
      last = await status();
      return ['objective orders', 'traces', 'consumer robot'].every((each) => subjects().includes(each));
    },
    'the troubles',
    LONG_MS,
  );
  const said = (subject: string) => last.troubles.find((each) => each.subject === subject)!;
  assert.equal(subjects()[0], 'objective orders', 'worst first');
  assert.deepEqual(said('objective orders'), {
    severity: 'error',
    subject: 'objective orders',
    message: 'its error budget for availability burns too fast: 20 of 20 requests of the last hour missed it',
  });
  assert.match(said('traces').message, /^\d+ spans were lost in the last 5 minutes: /);
  assert.equal(said('consumer robot').message, 'has 1 dead letter, to be sent again or dropped');
  assert.deepEqual(
    last.objectives.map(({ objective, alert }) => [objective, alert]),
    [['orders', 'page']],
  );
});
