/**
 * Each metric that the core writes, after traffic that moves it, at the value that the traffic gives it; the same of
 * tracing, threads and outside services. `ELSEWHERE` says which test shows the others of the core.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { it } from 'node:test';
import { gzipSync } from 'node:zlib';
import { CORE_METRICS, type CoreMetric } from '../../src/control/telemetry/catalogue.ts';
import { startTestGateway, type TestGateway } from '../support/gateway.ts';
import { httpCollector } from '../support/otlp-collector.ts';
import { RawCaller } from '../support/raw.ts';
import type { Scope } from '../support/scope.ts';
import { assertSeries, type Expectation, some, type Wanted } from '../support/series.ts';
import { until } from '../support/until.ts';
import { deadPort, httpUpstream, readAll } from '../support/upstream.ts';

const UPGRADE =
  'GET /tunnel HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n';

/** Metrics of the core that need another world, and the test that shows each. */
const ELSEWHERE: Readonly<Record<string, readonly string[]>> = {
  // The floods of test/failures/http2-floods.test.ts.
  'test/support/http2-floods.ts': Object.keys(CORE_METRICS).filter((name) => name.includes('http2_abuse')),
  'test/wire/http2.test.ts': ['gatehouse_http2_connections_accepted_total', 'gatehouse_http2_requests_total'],
  'test/attacks/one-address-holds-a-share.test.ts': [
    'gatehouse_address_bodies_cut_total',
    'gatehouse_address_connections_refused_total',
    'gatehouse_address_refused_total',
    'gatehouse_address_waits_total',
    'gatehouse_connections_refused_total',
  ],
  'test/integration/grpc-outcomes.test.ts': ['gatehouse_grpc_calls_total'],
  'test/monitoring/protocols.test.ts': [
    'gatehouse_protocol_requests_total',
    'gatehouse_upstream_http2_connections_active',
    'gatehouse_upstream_http2_connections_opened_total',
    'gatehouse_upstream_protocol_requests_total',
  ],
  'test/wire/connection-lives.test.ts': [
    'gatehouse_upstream_connections_closed_total',
    'gatehouse_upstream_pings_sent_total',
    'gatehouse_upstream_pings_unanswered_total',
  ],
  'test/monitoring/rare-metrics.test.ts': [
    'gatehouse_hedges_total',
    'gatehouse_http2_connections_active',
    'gatehouse_mirror_dropped_total',
    'gatehouse_stale_reuses_total',
    'gatehouse_tls_handshake_errors_total',
    'gatehouse_upstream_breaker_open',
    'gatehouse_upstream_ejected',
    'gatehouse_upstream_ejections_total',
    'gatehouse_worker_restarts_total',
    'gatehouse_breaker_open',
  ],
  'test/failures/full-disk.test.ts': ['gatehouse_access_log_dropped_total'],
  'test/failures/own-faults.test.ts': ['gatehouse_unhandled_rejections_total'],
  'test/failures/unread-output.test.ts': ['gatehouse_process_log_dropped_total'],
  'test/integration/validation-responses.test.ts': ['gatehouse_invalid_responses_total'],
};

const HERE = new Set<string>();

function say(name: CoreMetric, labels: string, value: Wanted): Expectation {
  // A counter that never counts is 0, too: what shows it is another test.
  if (value !== 0) HERE.add(name);
  return [`${name}${labels}`, value];
}

function expectations(instance: string): readonly Expectation[] {
  const ok = `{service="notes",instance="${instance}"}`;
  return [
    say('gatehouse_requests_total', '{route="plain",status="200"}', 2),
    say('gatehouse_request_bytes_total', '{route="plain"}', 5),
    say('gatehouse_response_bytes_total', '{route="plain"}', 4),
    ['gatehouse_request_duration_seconds_count{route="plain"}', 2],
    say('gatehouse_request_duration_seconds', '', some),
    say('gatehouse_requests_broken_total', '{route="broken"}', 1),
    say('gatehouse_bytes_received_total', '', some),
    say('gatehouse_bytes_sent_total', '', some),
    // The tunnel, and the scrape itself.
    say('gatehouse_exchanges_active', '', 2),
    say('gatehouse_exchanges_aborted_total', '', 1),
    say('gatehouse_faults_total', '{reason="connect_failed"}', 1),
    say('gatehouse_faults_injected_total', '', 1),
    say('gatehouse_compressed_responses_total', '', 1),
    say('gatehouse_compression_bytes_in_total', '', 5_000),
    say('gatehouse_compression_bytes_out_total', '', (value) => value > 0 && value < 500),
    say('gatehouse_unpacked_requests_total', '', 1),
    say('gatehouse_transformed_bodies_total', '', 1),
    say('gatehouse_connections_accepted_total', '', some),
    say('gatehouse_connections_active', '', some),
    say('gatehouse_requests_refused_total', '', 1),
    say('gatehouse_tls_handshake_errors_total', '', 0),
    say('gatehouse_http2_connections_active', '', 0),
    say('gatehouse_tunnels_active', '', 1),
    say('gatehouse_tunnels_opened_total', '', 1),
    say('gatehouse_hedges_total', '', 0),
    say('gatehouse_retries_total', '', 2),
    say('gatehouse_stale_reuses_total', '', 0),
    say('gatehouse_mirrored_total', '', 1),
    say('gatehouse_mirror_dropped_total', '', 0),
    say('gatehouse_upstream_connections_opened_total', '', some),
    say('gatehouse_upstream_requests_total', `{service="shadow",instance="${instance}",status="200"}`, 1),
    say('gatehouse_upstream_faults_total', '', some),
    [`gatehouse_upstream_duration_seconds_count${ok}`, some],
    say('gatehouse_upstream_duration_seconds', '', some),
    say('gatehouse_upstream_healthy', ok, 1),
    say('gatehouse_upstream_in_flight', ok, 1),
    say('gatehouse_upstream_ejected', ok, 0),
    say('gatehouse_upstream_ejections_total', ok, 0),
    say('gatehouse_upstream_breaker_open', ok, 0),
    say('gatehouse_breaker_open', '{service="notes"}', 0),
    say('gatehouse_service_events_total', '{service="notes",event="retries"}', 1),
    say('gatehouse_dependency_available', '{dependency="identity"}', 1),
    say('gatehouse_workers_listening', '', 1),
    say('gatehouse_worker_restarts_total', '', 0),
    say('gatehouse_unhandled_rejections_total', '{thread="main"}', 0),
    say('gatehouse_configuration_version', '', some),
    say('gatehouse_time_seconds', '', (value) => Math.abs(value - Date.now() / 1_000) < 60),
    say('gatehouse_uptime_seconds', '', some),
    say('process_resident_memory_bytes', '', (value) => value > 30e6),
    say('api_gateway_requests_total', '', some),
    say('api_gateway_errors_total', '', some),
    say('api_gateway_active_connections', '', some),
    say('api_gateway_response_time_ms', '', some),
    say('api_gateway_error_rate', '', (value) => value > 0 && value < 1),
    say('api_gateway_service_health', ok, 1),
    // What features write, as far as this traffic moves it.
    [`gatehouse_outside_duration_seconds_count{host="${new URL(instance).host}"}`, some],
    ['gatehouse_sql_duration_seconds_count{dialect="sqlite"}', some],
    ['gatehouse_trace_spans_exported_total', some],
    ['gatehouse_trace_spans_failed_total', 0],
    ['gatehouse_trace_spans_dropped_total', 0],
    ['gatehouse_trace_export_duration_seconds_count{protocol="http/protobuf"}', some],
    ['gatehouse_objective_burn_rate{objective="all",kind="availability",window="5m"}', some],
    ['gatehouse_objective_budget_remaining_ratio{objective="all",kind="availability"}', (value) => value < 1],
    ...['main', '0'].flatMap((thread) => [
      [`gatehouse_thread_heap_bytes{thread="${thread}"}`, (value: number) => value > 1e6] as const,
      [`gatehouse_thread_external_bytes{thread="${thread}"}`, some] as const,
      [
        `gatehouse_event_loop_delay_seconds{thread="${thread}",statistic="p99"}`,
        (value: number) => value >= 0,
      ] as const,
    ]),
  ];
}

it('each metric of the core has the value that traffic gives it', { timeout: 240_000 }, async (t) => {
  const scene = await busy(t);
  await assertSeries(scene.gateway.url, expectations(scene.instance));
  const shown = new Set<string>([...HERE, ...Object.values(ELSEWHERE).flat()]);
  assert.deepEqual(
    Object.keys(CORE_METRICS).filter((name) => !shown.has(name)),
    [],
    'shown by no test',
  );
});

it('the tests of the others know them', () => {
  for (const [file, names] of Object.entries(ELSEWHERE)) {
    const text = readFileSync(new URL(`../../${file}`, import.meta.url), 'utf8');
    for (const name of names) {
      const tail = name.replace(/^gatehouse_/, '').replace(/_total$/, '');
      const kind = tail.replace('http2_abuse_', '');
      assert.ok(text.includes(tail) || (kind !== tail && text.includes(kind)), `${file}: ${name}`);
    }
  }
});

async function busy(t: Scope): Promise<{ gateway: TestGateway; instance: string }> {
  const collector = await httpCollector(t);
  let flaky = 0;
  const upstream = await httpUpstream(t, (request, response) => {
    void readAll(request).then(() => {
      const path = request.url ?? '';
      if (path === '/broken') {
        response.write('begun');
        setImmediate(() => response.destroy());
      } else if (path === '/long') return;
      else if (path === '/packed') response.setHeader('content-type', 'text/plain').end('a'.repeat(5_000));
      else if (path === '/changed') response.setHeader('content-type', 'application/json').end('{"a":1,"b":2}');
      else if (path === '/part') response.setHeader('content-type', 'application/json').end('{}');
      else if (path === '/flaky' && flaky++ === 0) response.writeHead(503).end();
      else response.writeHead(path === '/bad' ? 500 : 200).end('ok');
    });
  });
  upstream.server.on('upgrade', (_, socket) => {
    socket.on('error', () => {});
    socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n');
    t.after(() => void socket.destroy());
  });
  const route = (name: string, more: object = {}) => ({
    name,
    match: { path: `/${name}` },
    service: 'notes',
    auth: 'public',
    ...more,
  });
  const { service: _, ...composed } = route('both');
  const gateway = await startTestGateway(t, {
    gateway: { tracing: { endpoint: collector.url, ratio: 1 } },
    services: {
      notes: {
        instances: [upstream.url],
        retries: { attempts: 1, statuses: [503], backoff: { base: '1ms', max: '2ms' } },
        circuitBreaker: { volumeThreshold: 1_000 },
      },
      shadow: { instances: [upstream.url] },
      away: { instances: [`http://127.0.0.1:${await deadPort()}`] },
    },
    identity: { enabled: true },
    objectives: { all: { availability: '99.9%' } },
    routes: [
      route('plain'),
      route('broken'),
      route('bad'),
      route('flaky'),
      route('long'),
      route('away', { service: 'away' }),
      route('packed', { compression: { minSize: 1 }, decompression: {} }),
      route('changed', { transform: { response: { hide: [{ fields: ['/b'] }] } } }),
      route('copied', { mirror: { service: 'shadow' } }),
      route('failed', { faultInjection: { abort: { status: 418 } } }),
      route('tunnel', { upgrades: ['websocket'] }),
      route('outside', { auth: { external: { url: `${upstream.url}/ok` } } }),
      {
        ...composed,
        aggregate: {
          parts: {
            one: { service: 'notes', path: '/part' },
            two: { service: 'notes', path: '/bad', onFailure: 'omit' },
          },
        },
      },
    ],
  });
  const ask = async (path: string, init?: RequestInit): Promise<void> => {
    await fetch(gateway.url + path, init)
      .then((response) => response.arrayBuffer())
      .catch(() => {});
  };
  await ask('/plain');
  await ask('/plain', { method: 'POST', body: 'three' });
  for (const path of ['/broken', '/bad', '/flaky', '/away', '/changed', '/copied', '/failed', '/both']) await ask(path);
  await ask('/outside', { headers: { authorization: 'Bearer x' } });
  await ask('/packed', {
    method: 'POST',
    body: gzipSync('three'),
    headers: { 'content-encoding': 'gzip', 'accept-encoding': 'gzip' },
  });
  // One whose caller leaves, one that stays, one that is no request, and a tunnel.
  const leaving = new RawCaller(gateway.port).send('GET /long HTTP/1.1\r\nHost: a\r\n\r\n');
  const { metrics } = gateway.primary;
  await until(() => metrics.number('exchanges_active') >= 1, 'it is under way', 30_000);
  leaving.socket.destroy();
  await until(() => metrics.number('exchanges_aborted') === 1, 'it is given up', 30_000);
  const nonsense = new RawCaller(gateway.port).send('GET / HTTP/9.9\r\n\r\n');
  await nonsense.answer();
  const tunnel = new RawCaller(gateway.port).send(UPGRADE);
  t.after(() => void tunnel.socket.destroy());
  assert.equal((await tunnel.answer()).status, 101);
  return { gateway, instance: upstream.url };
}
