/**
 * The metrics as a real Prometheus sees them: both formats are right, alert rules fire when they should and not
 * otherwise, and every query of every dashboard is answered.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { stringify } from 'yaml';
import { alertGroups } from '../../src/control/dashboards/alerts.ts';
import { BOARDS } from '../../src/control/dashboards/boards.ts';
import { dashboardFiles } from '../../src/control/dashboards/files.ts';
import { METRICS } from '../../src/control/telemetry/catalogue.ts';
import { startTestGateway } from '../support/gateway.ts';
import { httpCollector } from '../support/otlp-collector.ts';
import { startPrometheus } from '../support/prometheus.ts';
import { until } from '../support/until.ts';
import { httpUpstream } from '../support/upstream.ts';

const RULES = 'gatehouse.rules.yaml';

function folderFor(t: { after(hook: () => void): void }): string {
  const folder = mkdtempSync(join(tmpdir(), 'gh-prom-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  writeFileSync(join(folder, RULES), dashboardFiles()[`prometheus/${RULES}`]!);
  return folder;
}

function checkMetrics(text: string): void {
  try {
    execFileSync('promtool', ['check', 'metrics'], { input: text, encoding: 'utf8', stdio: 'pipe' });
  } catch (error) {
    const { stdout, stderr } = error as { stdout: string; stderr: string };
    assert.fail(`${stdout}${stderr}`);
  }
}

const document = (service: string, more: object = {}) => ({
  identity: { enabled: true },
  abuse: {},
  plans: { standard: { limits: ['1000/1m'] } },
  services: {
    notes: {
      instances: [{ url: service }],
      circuitBreaker: { volumeThreshold: 1_000_000 },
      healthCheck: { path: '/health' },
    },
  },
  routes: [
    {
      name: 'notes',
      match: { path: '/notes/*' },
      service: 'notes',
      auth: 'public',
      cache: {},
      rateLimit: { by: 'ip', limits: ['100000/1m'] },
    },
  ],
  objectives: { notes: { routes: ['notes'], availability: '99.9%', latency: { under: '300ms', for: '99%' } } },
  ...more,
});

/** Panels without numbers in this gateway, which has no use for what they show. */
const MAY_BE_EMPTY: ReadonlySet<string> = new Set([
  // No certificates, gRPC, outside issuers or introspection.
  'overview: Certificates: time left',
  'route: gRPC calls by status',
  'identity: Outside services of authentication, 95 %',
  'identity: Keys of issuers',
  // Nobody signs in.
  'identity: Security events',
  'identity: Time of calls to the account API',
  // No Redis, plans of callers, quotas or idempotency keys, and nobody misbehaves.
  'limits: By plan',
  'limits: Redis',
  'limits: Time of questions to Redis',
  'limits: Other questions to Redis, 95 %',
  'limits: Idempotency keys',
  'limits: Quotas used',
  'limits: Events against callers',
  // All is stored, and nothing traced.
  'cache: Not stored, by reason',
  'protocol: Traces',
  // No connection to a service is old or silent enough.
  'protocol: Connections to services that ended',
]);

describe('metrics', () => {
  it('are right in both formats, as the catalogue says, with exemplars that lead to traces', async (t) => {
    const collector = await httpCollector(t);
    const upstream = await httpUpstream(t, (request, response) => {
      if (request.url === '/notes/cut') {
        response.write('begun');
        setImmediate(() => response.destroy());
      } else response.writeHead(request.url === '/notes/bad' ? 500 : 200).end('ok');
    });
    const gateway = await startTestGateway(
      t,
      document(upstream.url, { gateway: { tracing: { endpoint: collector.url, ratio: 1 } } }),
    );
    for (const path of ['/notes/1', '/notes/bad', '/notes/cut', '/none'])
      await fetch(gateway.url + path)
        .then((response) => response.text())
        .catch(() => {});
    await fetch(`${gateway.url}/api/auth/login`, {
      method: 'POST',
      body: '{}',
      headers: { 'content-type': 'application/json' },
    });
    const get = async (accept: string) => await (await fetch(`${gateway.url}/metrics`, { headers: { accept } })).text();
    let open = '';
    const hasExemplar = async (): Promise<boolean> => {
      open = await get('application/openmetrics-text;version=1.0.0,text/plain;q=0.5');
      return open.includes('trace_id');
    };
    await until(hasExemplar, 'there is an exemplar', 30_000);
    assert.match(
      open,
      /gatehouse_request_duration_seconds_bucket\{route="notes",le="[\d.]+"\} \d+ # \{trace_id="[0-9a-f]{32}"\}/,
    );
    assert.ok(open.endsWith('# EOF\n'));
    assert.match(open, /^# TYPE gatehouse_requests counter$/m);
    const text = await get('text/plain');
    // The names of the Enhanced document are not ours to choose.
    checkMetrics(text.replace(/^(# \w+ )?api_gateway_.*\n/gm, ''));
    assert.match(text, /^gatehouse_requests_broken_total\{route="notes"\} 1$/m);
    assert.match(text, /^gatehouse_objective_bad_total\{objective="notes",kind="availability"\} 2$/m);
    assert.match(text, /^gatehouse_sql_duration_seconds_count\{dialect="sqlite"\} [1-9]/m);
    assert.match(text, /^gatehouse_identity_duration_seconds_count\{method="POST"\} 1$/m);
    assert.match(text, /^gatehouse_event_loop_delay_seconds\{thread="main",statistic="p99"\} [\d.e-]+$/m);
    const seen = new Set<string>();
    for (const [, name = '', type] of text.matchAll(/^# TYPE (\w+) (\w+)$/gm)) {
      assert.ok(!seen.has(name), `${name} twice`);
      seen.add(name);
      const known = METRICS[name];
      assert.ok(known !== undefined, `${name} is not in the catalogue (src/control/telemetry/catalogue)`);
      assert.equal(type, known.type, name);
      assert.equal(new RegExp(`^# HELP ${name} (.*)$`, 'm').exec(text)?.[1], known.help, name);
      const sample = new RegExp(`^${name}(?:_bucket)?\\{([^}]*)\\}`, 'm').exec(text)?.[1];
      const labels = [...(sample ?? '').matchAll(/(\w+)="/g)]
        .map(([, label]) => label!)
        .filter((label) => label !== 'le');
      if (sample !== undefined) assert.deepEqual(labels.sort(), [...known.labels].sort(), name);
    }
    assert.ok(seen.size > 80);
  });

  it('of ten thousand series are written in a few milliseconds, not by the threads that serve', async (t) => {
    const routes = Array.from({ length: 700 }, (_, i) => ({
      name: `r${i}`,
      match: { path: `/r${i}` },
      respond: { status: 200 },
      auth: 'public',
    }));
    const gateway = await startTestGateway(t, { routes });
    for (let i = 0; i < 700; i += 50)
      await Promise.all(
        Array.from({ length: 50 }, async (_, j) => await (await fetch(`${gateway.url}/r${i + j}`)).text()),
      );
    const text = await (await fetch(`${gateway.url}/metrics/prometheus`)).text();
    assert.ok(text.split('\n').filter((line) => line !== '' && !line.startsWith('#')).length > 10_000);
  });
});

describe('alert rules', () => {
  it('fire when they should and not otherwise, as promtool sees it', (t) => {
    const folder = folderFor(t);
    execFileSync('promtool', ['check', 'rules', join(folder, RULES)]);
    const objective = '{objective="notes", kind="availability"}';
    const burn = (bad: string): object[] => [
      { series: `gatehouse_objective_target_ratio${objective}`, values: '0.999x5000' },
      { series: `gatehouse_objective_requests_total${objective}`, values: '0+600x5000' },
      { series: `gatehouse_objective_bad_total${objective}`, values: bad },
    ];
    const fires = (alertname: string, at: string, labels: Record<string, string> | null, severity = 'ticket') => {
      const rule = alertGroups()
        .flatMap(({ rules }) => rules)
        .find(({ alert }) => alert === alertname)!;
      assert.ok(rule !== undefined, alertname);
      const texts = Object.fromEntries(
        Object.entries(rule.annotations).map(([key, text]) => [
          key,
          text.replace(/\{\{ \$labels\.(\w+) \}\}/g, (_, name: string) => labels?.[name] ?? ''),
        ]),
      );
      return {
        eval_time: at,
        alertname,
        exp_alerts: labels === null ? [] : [{ exp_labels: { severity, ...labels }, exp_annotations: texts }],
      };
    };
    /** The rule of a test that it fires in. */
    const named = (test: object): string => {
      const { alertname, exp_alerts: expected } = test as { alertname: string; exp_alerts: readonly object[] };
      return expected.length > 0 ? alertname : '';
    };
    const steady = { objective: 'notes', kind: 'availability' };
    const one = (series: string, values: string, ...tests: object[]) => ({
      interval: '1m',
      input_series: [{ series, values }],
      alert_rule_test: tests,
    });
    const tests = [
      {
        interval: '1m',
        // 2 % bad: twenty times what is allowed, as soon as the long window is full of it.
        input_series: burn('0+12x5000'),
        alert_rule_test: [
          fires('GatehouseBudgetBurns1h', '90m', steady, 'page'),
          fires('GatehouseBudgetBurns6h', '400m', steady, 'page'),
        ],
      },
      {
        interval: '1m',
        // As much as is allowed: nobody is woken.
        input_series: burn('0+0.6x5000'),
        alert_rule_test: [fires('GatehouseBudgetBurns1h', '90m', null), fires('GatehouseBudgetBurns6h', '400m', null)],
      },
      {
        interval: '1m',
        // Over for ten minutes: the long window still has it, the short one does not.
        input_series: burn('0+60x60 3600x100'),
        alert_rule_test: [
          fires('GatehouseBudgetBurns1h', '59m', steady, 'page'),
          fires('GatehouseBudgetBurns1h', '70m', null),
        ],
      },
      one(
        'gatehouse_upstream_healthy{service="a",instance="x"}',
        '1 1 0x20',
        fires('GatehouseNoInstance', '1m', null),
        fires('GatehouseNoInstance', '5m', { service: 'a' }, 'page'),
      ),
      one(
        'gatehouse_breaker_open{service="a"}',
        '0.5x3 1x20',
        fires('GatehouseBreakerOpen', '3m', null),
        fires('GatehouseBreakerOpen', '10m', { service: 'a' }, 'page'),
      ),
      one(
        'gatehouse_dependency_available{dependency="redis"}',
        '1 0x20',
        fires('GatehouseDependencyAway', '10m', { dependency: 'redis' }),
      ),
      one('gatehouse_limit_overflows_total', '0+10x30', fires('GatehouseLimiterOverflows', '20m', {})),
      one(
        'gatehouse_certificate_expiry_timestamp_seconds{name="a.example",source="acme"}',
        '1000000x100',
        fires('GatehouseCertificateEnds', '80m', { name: 'a.example', source: 'acme' }),
      ),
      one(
        'gatehouse_certificate_expiry_timestamp_seconds{name="a.example",source="acme"}',
        '9000000x100',
        fires('GatehouseCertificateEnds', '80m', null),
      ),
      one('gatehouse_time_seconds{instance="g"}', '-30+60x30', fires('GatehouseClockWrong', '20m', { instance: 'g' })),
      one('gatehouse_time_seconds{instance="g"}', '0+60x30', fires('GatehouseClockWrong', '20m', null)),
      {
        interval: '10m',
        // 0.2 % bad, twice what is allowed, for four days.
        input_series: burn('0+1.2x5000'),
        alert_rule_test: [
          fires('GatehouseBudgetBurns3d', '6000m', steady),
          fires('GatehouseBudgetBurns3d', '10m', null),
        ],
      },
      one(
        'gatehouse_workers_listening{instance="g"}',
        '1x5 0x10',
        fires('GatehouseNotServing', '5m', null),
        fires('GatehouseNotServing', '10m', { instance: 'g' }, 'page'),
      ),
      one(
        'gatehouse_discovery_problem{service="a",source="dns"}',
        '0x5 1x20',
        fires('GatehouseDiscoveryStale', '8m', null),
        fires('GatehouseDiscoveryStale', '15m', { service: 'a', source: 'dns' }),
      ),
      one(
        'gatehouse_event_loop_delay_seconds{instance="g",thread="main",statistic="p99"}',
        '0.2x5 0.3x30',
        fires('GatehouseThreadLate', '10m', null),
        fires('GatehouseThreadLate', '20m', { instance: 'g', thread: 'main' }),
      ),
      one(
        'gatehouse_access_log_dropped_total{instance="g"}',
        '0x5 1+10x30',
        fires('GatehouseLogLost', '5m', null),
        fires('GatehouseLogLost', '20m', { instance: 'g' }),
      ),
      {
        interval: '1m',
        input_series: [
          { series: 'gatehouse_trace_spans_dropped_total{instance="g"}', values: '0x40' },
          { series: 'gatehouse_trace_spans_failed_total{instance="g"}', values: '0x5 1+10x40' },
        ],
        alert_rule_test: [
          fires('GatehouseTracesLost', '5m', null),
          fires('GatehouseTracesLost', '30m', { instance: 'g' }),
        ],
      },
      one(
        'gatehouse_events_dead_letters{consumer="audit",instance="g"}',
        '0x5 2x20',
        fires('GatehouseDeadLetters', '5m', null),
        fires('GatehouseDeadLetters', '10m', { consumer: 'audit' }),
      ),
      one(
        'gatehouse_events_consumer_lag{consumer="audit",instance="g"}',
        '900x10 1001x40',
        fires('GatehouseConsumerBehind', '20m', null),
        fires('GatehouseConsumerBehind', '40m', { consumer: 'audit' }),
      ),
      one(
        'gatehouse_events_consumer_gaps_total{consumer="audit",instance="g"}',
        '0x5 1x100',
        fires('GatehouseConsumerGap', '10m', { consumer: 'audit', instance: 'g' }),
        fires('GatehouseConsumerGap', '90m', null),
      ),
      one(
        'gatehouse_events_outbox{instance="g"}',
        '0x5 7x20',
        fires('GatehouseOutboxGrows', '8m', null),
        fires('GatehouseOutboxGrows', '15m', {}),
      ),
      one(
        'gatehouse_worker_restarts_total{instance="g"}',
        '0x5 1x60',
        fires('GatehouseWorkerReplaced', '10m', { instance: 'g' }),
      ),
      one(
        'gatehouse_unhandled_rejections_total{thread="main",instance="g"}',
        '0x5 1x60',
        fires('GatehousePromiseRejected', '10m', { instance: 'g', thread: 'main' }),
      ),
    ];
    const tested = new Set(tests.flatMap(({ alert_rule_test: each }) => each.map((test) => named(test))));
    const all = alertGroups().flatMap(({ rules }) => rules.map(({ alert }) => alert));
    assert.deepEqual(
      all.filter((name) => !tested.has(name)),
      [],
      'rules that no test fires',
    );
    const file = join(folder, 'tests.yaml');
    writeFileSync(file, stringify({ rule_files: [RULES], evaluation_interval: '1m', tests }));
    try {
      execFileSync('promtool', ['test', 'rules', file], { encoding: 'utf8', stdio: 'pipe' });
    } catch (error) {
      const { stdout, stderr } = error as { stdout: string; stderr: string };
      assert.fail(`${stdout}${stderr}`);
    }
  });

  it('are evaluated by a Prometheus that scrapes a gateway, which answers every query of every dashboard', {
    timeout: 110_000,
  }, async (t) => {
    const folder = folderFor(t);
    let status = 500;
    const upstream = await httpUpstream(
      t,
      (_, response) => void response.writeHead(status, { 'cache-control': 'max-age=60' }).end('ok'),
    );
    const notes = document(upstream.url);
    const gateway = await startTestGateway(t, {
      ...notes,
      events: {
        streams: { news: {} },
        consumers: { audit: { stream: 'news', service: 'notes', path: '/notes/hook', backoff: '100ms' } },
        hub: { topics: [{ topic: 'rooms.*' }] },
      },
      routes: [...notes.routes, { match: { path: '/news' }, publish: { stream: 'news' }, auth: 'public' }],
    });
    const prometheus = await startPrometheus(t, { folder, port: gateway.port, rules: [RULES] });
    const untilMs = Date.now() + 60_000;
    while (!(await prometheus.alerts()).includes('GatehouseBudgetBurns1h')) {
      assert.ok(Date.now() < untilMs, `the alert fires; firing: ${(await prometheus.alerts()).join()}`);
      await Promise.all(Array.from({ length: 20 }, async () => await (await fetch(`${gateway.url}/notes/x`)).text()));
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    status = 200;
    for (let i = 0; i < 30; i++) {
      await (await fetch(`${gateway.url}/notes/fine`)).text();
      await (await fetch(`${gateway.url}/news`, { method: 'POST', body: 'x' })).text();
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    const empty: string[] = [];
    for (const board of BOARDS)
      for (const { title, queries } of board.panels)
        for (const { expr } of queries) {
          const asked = expr.replaceAll('$__rate_interval', '1m').replaceAll(/\$(service|route)/g, '.*');
          const answer = await prometheus.query(asked);
          assert.equal(answer.status, 'success', `${board.title}, ${title}: ${asked}: ${answer.error}`);
          if (answer.data.result.length === 0) empty.push(`${board.id}: ${title}`);
        }
    // A wrong label is an empty answer: what may be empty is named, and nothing else is.
    assert.deepEqual(
      [...new Set(empty)].filter((each) => !MAY_BE_EMPTY.has(each)),
      [],
    );
  });
});
