/**
 * Native histograms as a real Prometheus takes them, and both kinds against the exact percentiles of the same requests,
 * which the access log has.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { startTestGateway } from '../support/gateway.ts';
import { httpCollector } from '../support/otlp-collector.ts';
import { startPrometheus } from '../support/prometheus.ts';
import { until } from '../support/until.ts';
import { httpUpstream } from '../support/upstream.ts';
import { wholeLines } from '../support/whole-lines.ts';

const REQUESTS = 400;
const PROTOBUF = 'application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited';
/** Width of a native bucket. */
const STEP = 2 ** (1 / 8);

function folderFor(t: { after(hook: () => void): void }): string {
  const folder = mkdtempSync(join(tmpdir(), 'gh-native-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

async function busyGateway(
  t: Parameters<typeof startTestGateway>[0] & Parameters<typeof httpUpstream>[0],
  nativeHistograms: boolean,
) {
  const folder = folderFor(t);
  const file = join(folder, 'access.log');
  const collector = await httpCollector(t);
  const upstream = await httpUpstream(t, (request, response) => {
    setTimeout(() => response.end('ok'), Number(request.url?.slice(1)));
  });
  const gateway = await startTestGateway(t, {
    gateway: { nativeHistograms, accessLog: { file }, tracing: { endpoint: collector.url, ratio: 1 } },
    services: { a: { instances: [{ url: upstream.url }] } },
    routes: [{ name: 'timed', match: { path: '/*' }, service: 'a', auth: 'public' }],
  });
  for (let i = 0; i < REQUESTS; i += 20)
    await Promise.all(
      Array.from({ length: 20 }, async (_, j) => await (await fetch(`${gateway.url}/${((i + j) % 40) * 3}`)).text()),
    );
  const records = () =>
    wholeLines(readFileSync(file, 'utf8')).map((line) => JSON.parse(line) as { path: string; duration_ms: number });
  const timed = () => records().filter(({ path }) => /^\/\d+$/.test(path));
  await until(() => timed().length === REQUESTS, 'the access log has all requests', 30_000);
  return {
    folder,
    gateway,
    seconds: timed()
      .map(({ duration_ms }) => duration_ms / 1_000)
      .sort((a, b) => a - b),
  };
}

describe('histograms', () => {
  it('are native ones in a Prometheus that wants them, within one bucket of the exact percentiles, with exemplars', {
    timeout: 110_000,
  }, async (t) => {
    const { folder, gateway, seconds } = await busyGateway(t, true);
    const prometheus = await startPrometheus(t, {
      folder,
      port: gateway.port,
      features: ['native-histograms', 'exemplar-storage'],
    });
    const value = async (expr: string): Promise<number> => {
      const answer = await prometheus.query(expr);
      assert.equal(answer.status, 'success', `${expr}: ${answer.error}`);
      return Number(answer.data.result[0]?.value?.[1]);
    };
    const histogram = 'gatehouse_request_duration_seconds{route="timed"}';
    await until(async () => (await value(`histogram_count(${histogram})`)) === REQUESTS, 'all are counted', 60_000);
    const sum = seconds.reduce((all, each) => all + each, 0);
    assert.ok(Math.abs((await value(`histogram_sum(${histogram})`)) - sum) < REQUESTS * 1e-6, 'the sum is exact');
    for (const share of [0.1, 0.25, 0.5, 0.75, 0.9, 0.99]) {
      const estimate = await value(`histogram_quantile(${share}, ${histogram})`);
      // Prometheus and we may mean the neighbour of a rank.
      const rank = share * REQUESTS;
      const low = seconds[Math.max(0, Math.floor(rank) - 1)]!;
      const high = seconds[Math.min(REQUESTS - 1, Math.ceil(rank))]!;
      assert.ok(estimate >= low / STEP && estimate <= high * STEP, `${share}: ${estimate}, exactly ${low} to ${high}`);
    }
    // The upstream's is one too, and ordinary metrics pass the same way.
    assert.equal(await value('histogram_count(gatehouse_upstream_duration_seconds)'), REQUESTS);
    assert.equal(await value('gatehouse_requests_total{route="timed",status="200"}'), REQUESTS);
    assert.equal(await value('gatehouse_upstream_healthy'), 1);
    await until(
      async () =>
        (await prometheus.exemplars(histogram)).some(({ labels }) => /^[0-9a-f]{32}$/.test(labels['trace_id'] ?? '')),
      'exemplars lead to traces',
      30_000,
    );
    // Nothing is missing that the text has.
    const text = await (await fetch(`${gateway.url}/metrics`, { headers: { accept: 'text/plain' } })).text();
    const { data } = await prometheus.query('count by (__name__) ({job="gatehouse"})');
    const there = new Set(data.result.map(({ metric }) => metric['__name__']!.replace(/_(bucket|sum|count)$/, '')));
    const named = new Set([...text.matchAll(/^(\w+?)(?:_bucket|_sum|_count)?[ {]/gm)].map(([, name]) => name!));
    assert.deepEqual(
      [...named].filter((name) => name !== 'process' && !there.has(name)),
      [],
    );
  });

  it('stay classic ones, as the dashboards read them, where native ones are not turned on', {
    timeout: 110_000,
  }, async (t) => {
    const { folder, gateway, seconds } = await busyGateway(t, false);
    const asked = await fetch(`${gateway.url}/metrics`, { headers: { accept: `${PROTOBUF},text/plain;q=0.5` } });
    assert.match(asked.headers.get('content-type') ?? '', /^text\/plain/);
    const prometheus = await startPrometheus(t, { folder, port: gateway.port, features: ['native-histograms'] });
    const buckets = async () =>
      (await prometheus.query('gatehouse_request_duration_seconds_bucket{route="timed"}')).data.result;
    await until(async () => (await buckets()).length === 14, 'the buckets are there', 60_000);
    for (const { metric, value } of await buckets()) {
      const bound = Number(metric['le']!.replace('+Inf', 'Infinity'));
      // The log rounds to microseconds: what is that near to a bound may be on either side of it.
      const below = seconds.filter((each) => each <= bound - 1e-6).length;
      const most = seconds.filter((each) => each <= bound + 1e-6).length;
      const counted = Number(value?.[1]);
      assert.ok(counted >= below && counted <= most, `up to ${bound}: ${counted}, exactly ${below} to ${most}`);
    }
  });
});
