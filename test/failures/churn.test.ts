/**
 * Two hundred different instances come and go by registration: /metrics does not grow with those that were, and an
 * instance that gets the slot of a former one starts from zero.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startTestGateway } from '../support/gateway.ts';
import { RawCaller } from '../support/raw.ts';
import { until } from '../support/until.ts';
import { httpUpstream } from '../support/upstream.ts';

const ROUNDS = 20;
const AT_ONCE = 10;
const TOKEN = 'a-token-of-some-length';

test('200 instances, ten at a time: the metrics are of the ten that there are, each with its own numbers only', async (t) => {
  const gateway = await startTestGateway(t, {
    gateway: { workers: 2 },
    registry: { token: TOKEN, damping: 'off' },
    services: { work: { discovery: { registry: true }, loadBalancing: { algorithm: 'round-robin' } } },
    routes: [{ match: { path: '/w/*' }, service: 'work', auth: 'public' }],
  });
  const caller = new RawCaller(gateway.port);
  const ask = (text: string) => caller.send(`${text}\r\nHost: a\r\n\r\n`).answer();
  const api = `${gateway.url}/api/v1/registry/services/work/instances`;
  const call = async (method: string, url: string, body?: object): Promise<{ id: string }> => {
    const answer = await fetch(url, {
      method,
      headers: { Authorization: `Bearer ${TOKEN}`, 'Content-Type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    assert.ok(answer.ok, `${method} ${url}: ${answer.status}`);
    return (answer.status === 204 ? {} : await answer.json()) as { id: string };
  };
  const urls = (): string[] => gateway.primary.opsSources().services[0]!.instances.map(({ url }) => url);
  const slots = new Set<number>();
  const sizes: number[] = [];
  const series: number[] = [];
  let before: readonly string[] = [];

  for (let round = 1; round <= ROUNDS; round++) {
    const upstreams = await Promise.all(
      Array.from({ length: AT_ONCE }, () => httpUpstream(t, (_request, response) => response.end('well'))),
    );
    const leases = await Promise.all(upstreams.map(({ url }) => call('POST', api, { url })));
    await Promise.all(before.map((id) => call('DELETE', `${api}/${id}`)));
    before = leases.map(({ id }) => id);
    const own = new Set(upstreams.map(({ url }) => url));
    await until(() => urls().length === AT_ONCE && urls().every((url) => own.has(url)), `round ${round}`);
    for (const { slot } of gateway.primary.snapshot.services.find(({ name }) => name === 'work')!.instances)
      slots.add(slot);

    for (let i = 0; i < 2 * AT_ONCE; i++) assert.equal((await ask(`GET /w/${i} HTTP/1.1`)).status, 200);
    const text = (await ask('GET /metrics/prometheus HTTP/1.1')).body.toString();
    const counts = [
      ...text.matchAll(/^gatehouse_upstream_requests_total\{service="work",instance="([^"]+)",.*\} (\d+)$/gm),
    ];
    assert.deepEqual(new Set(counts.map(([, url]) => url)), own, `instances in the metrics of round ${round}`);
    assert.equal(
      counts.reduce((sum, [, , count]) => sum + Number(count), 0),
      2 * AT_ONCE,
      `requests of round ${round}`,
    );
    sizes.push(text.length);
    series.push(text.split('\n').length);
  }
  caller.close();
  t.diagnostic(
    `${ROUNDS * AT_ONCE} instances in ${slots.size} slots; metrics ${sizes[1]} bytes, at the end ${sizes.at(-1)}`,
  );
  assert.ok(slots.size <= 4 * AT_ONCE, 'slots are used again');
  // The second round is the first in which everything there is has been counted.
  assert.ok(series.at(-1)! <= series[1]! + AT_ONCE, `${series[1]} lines, at the end ${series.at(-1)}`);
});
