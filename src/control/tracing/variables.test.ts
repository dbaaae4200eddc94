/** Each standard variable from its text to what the gateway does, or to the sentence that says why it does not. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { compile } from '../config/compile.ts';
import { loadConfig } from '../config/load.ts';
import type { TracingPlan } from './section.ts';
import { TRACING_VARIABLES, unheededVariables } from './variables.ts';

const COLLECTOR = { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:4318' };

async function planOf(
  env: Record<string, string>,
  tracing?: object,
): Promise<{ plan: TracingPlan | null; warnings: string[] }> {
  const gateway = { dataDir: '/nonexistent', ...(tracing === undefined ? {} : { tracing }) };
  const loaded = await loadConfig({ document: { gateway, routes: [] }, env });
  assert.ok(loaded.ok, JSON.stringify(loaded));
  const compiled = compile(loaded.config);
  assert.ok(compiled.ok, JSON.stringify(compiled));
  return { plan: compiled.plan.gateway.tracing, warnings: compiled.problems.map(({ message }) => message) };
}

async function refusedFor(env: Record<string, string>): Promise<string> {
  const loaded = await loadConfig({ document: { routes: [] }, env: { ...COLLECTOR, ...env } });
  assert.ok(!loaded.ok, 'it is taken');
  return JSON.stringify(loaded.problems);
}

describe('standard variables of traces', () => {
  const effects: readonly [env: Record<string, string>, seen: (plan: TracingPlan) => unknown, wanted: unknown][] = [
    [{}, ({ exporter }) => exporter.url, 'http://127.0.0.1:4318/v1/traces'],
    // The path of the signal goes behind that of the endpoint, as vendors have it.
    [
      { OTEL_EXPORTER_OTLP_ENDPOINT: 'https://otlp.example/otlp/' },
      ({ exporter }) => exporter.url,
      'https://otlp.example/otlp/v1/traces',
    ],
    [
      { OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'https://otlp.example/spans' },
      ({ exporter }) => exporter.url,
      'https://otlp.example/spans',
    ],
    [
      { OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'https://otlp.example' },
      ({ exporter }) => exporter.url,
      'https://otlp.example/',
    ],
    [
      { OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc' },
      ({ exporter }) => [exporter.protocol, exporter.url],
      ['grpc', 'http://127.0.0.1:4318'],
    ],
    [
      { OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc', OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: 'http/protobuf' },
      ({ exporter }) => exporter.protocol,
      'http/protobuf',
    ],
    [
      { OTEL_EXPORTER_OTLP_HEADERS: 'x-key=a%2Cb, y = c' },
      ({ exporter }) => exporter.headers,
      { 'x-key': 'a,b', y: 'c' },
    ],
    [
      { OTEL_EXPORTER_OTLP_HEADERS: 'x=1', OTEL_EXPORTER_OTLP_TRACES_HEADERS: 'z=2' },
      ({ exporter }) => exporter.headers,
      { z: '2' },
    ],
    [{ OTEL_BSP_EXPORT_TIMEOUT: '30000' }, ({ exporter }) => exporter.timeoutMs, 30_000],
    [
      { OTEL_BSP_EXPORT_TIMEOUT: '30000', OTEL_EXPORTER_OTLP_TIMEOUT: '7000' },
      ({ exporter }) => exporter.timeoutMs,
      7_000,
    ],
    [
      { OTEL_EXPORTER_OTLP_TIMEOUT: '7000', OTEL_EXPORTER_OTLP_TRACES_TIMEOUT: '8000' },
      ({ exporter }) => exporter.timeoutMs,
      8_000,
    ],
    [{ OTEL_EXPORTER_OTLP_COMPRESSION: 'gzip' }, ({ exporter }) => exporter.gzip, true],
    [
      { OTEL_EXPORTER_OTLP_COMPRESSION: 'gzip', OTEL_EXPORTER_OTLP_TRACES_COMPRESSION: 'none' },
      ({ exporter }) => exporter.gzip,
      false,
    ],
    [{ OTEL_BSP_MAX_QUEUE_SIZE: '4096' }, ({ maxQueue }) => maxQueue, 4_096],
    [{ OTEL_SERVICE_NAME: 'edge' }, ({ serviceName }) => serviceName, 'edge'],
    [
      { OTEL_RESOURCE_ATTRIBUTES: 'team=a%2Cb,region=eu,' },
      ({ attributes }) => attributes,
      { team: 'a,b', region: 'eu' },
    ],
    [{ OTEL_TRACES_SAMPLER: 'always_on' }, ({ settings }) => [settings.ratio, settings.parent], [1, 'never']],
    [{ OTEL_TRACES_SAMPLER: 'always_off' }, ({ settings }) => [settings.ratio, settings.parent], [0, 'never']],
    [
      { OTEL_TRACES_SAMPLER: 'parentbased_always_on' },
      ({ settings }) => [settings.ratio, settings.parent],
      [1, 'trusted'],
    ],
    [
      { OTEL_TRACES_SAMPLER: 'parentbased_always_off' },
      ({ settings }) => [settings.ratio, settings.parent],
      [0, 'trusted'],
    ],
    [
      { OTEL_TRACES_SAMPLER: 'traceidratio', OTEL_TRACES_SAMPLER_ARG: '0.25' },
      ({ settings }) => [settings.ratio, settings.parent],
      [0.25, 'never'],
    ],
    [
      { OTEL_TRACES_SAMPLER: 'parentbased_traceidratio', OTEL_TRACES_SAMPLER_ARG: '0.25' },
      ({ settings }) => [settings.ratio, settings.parent],
      [0.25, 'trusted'],
    ],
    [{ OTEL_TRACES_SAMPLER: 'traceidratio' }, ({ settings }) => settings.ratio, 1],
    [{ OTEL_TRACES_SAMPLER_ARG: '0.5' }, ({ settings }) => settings.ratio, 0.5],
    // The argument of a sampler that has none, or that is not known here, is no ratio.
    [{ OTEL_TRACES_SAMPLER: 'always_on', OTEL_TRACES_SAMPLER_ARG: '0.5' }, ({ settings }) => settings.ratio, 1],
    [
      { OTEL_TRACES_SAMPLER: 'jaeger_remote', OTEL_TRACES_SAMPLER_ARG: 'endpoint=http://x' },
      ({ settings }) => settings.ratio,
      0.01,
    ],
    [{ OTEL_TRACES_EXPORTER: 'otlp' }, ({ exporter }) => exporter.protocol, 'http/protobuf'],
    [{ OTEL_SDK_DISABLED: 'false' }, ({ exporter }) => exporter.protocol, 'http/protobuf'],
  ];
  for (const [env, seen, wanted] of effects)
    it(`count: ${JSON.stringify(env)}`, async () => {
      const { plan } = await planOf({ ...COLLECTOR, ...env });
      assert.ok(plan !== null);
      assert.deepEqual(seen(plan), wanted);
    });

  it('turn tracing on and off, and win over the file', async () => {
    const file = { endpoint: 'http://127.0.0.1:1', ratio: 0.5 };
    assert.equal((await planOf({})).plan, null);
    for (const env of [{ OTEL_SDK_DISABLED: 'TRUE' }, { OTEL_TRACES_EXPORTER: 'none' }])
      assert.equal((await planOf({ ...COLLECTOR, ...env }, file)).plan, null, JSON.stringify(env));
    const { plan } = await planOf({ OTEL_TRACES_SAMPLER_ARG: '0.75' }, file);
    assert.deepEqual([plan?.settings.ratio, plan?.exporter.url], [0.75, 'http://127.0.0.1:1/v1/traces']);
  });

  for (const [name, text] of [
    ['OTEL_EXPORTER_OTLP_PROTOCOL', 'http/json'],
    ['OTEL_EXPORTER_OTLP_COMPRESSION', 'zstd'],
    ['OTEL_EXPORTER_OTLP_ENDPOINT', 'collector:4318'],
    ['OTEL_EXPORTER_OTLP_HEADERS', 'no pair'],
    ['OTEL_RESOURCE_ATTRIBUTES', 'team'],
    ['OTEL_EXPORTER_OTLP_TIMEOUT', 'soon'],
    ['OTEL_TRACES_SAMPLER_ARG', 'some'],
    ['OTEL_BSP_MAX_QUEUE_SIZE', '10'],
  ] as const)
    it(`stop the start where they are wrong, by name: ${name}=${text}`, async () => {
      const said = await refusedFor({ [name]: text });
      assert.match(said, new RegExp(`environment variable ${name}`));
      if (name.endsWith('HEADERS')) assert.ok(!said.includes(text), said);
    });

  for (const [name, text] of [
    ['OTEL_PROPAGATORS', 'b3,tracecontext'],
    ['OTEL_PROPAGATORS', 'tracecontext'],
    ['OTEL_PROPAGATORS', 'none'],
    ['OTEL_TRACES_SAMPLER', 'jaeger_remote'],
    ['OTEL_TRACES_EXPORTER', 'zipkin'],
    ['OTEL_TRACES_EXPORTER', 'otlp,console'],
    ['OTEL_BSP_SCHEDULE_DELAY', '5000'],
    ['OTEL_BSP_MAX_EXPORT_BATCH_SIZE', '512'],
    ['OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT', '8'],
    ['OTEL_ATTRIBUTE_COUNT_LIMIT', '8'],
    ['OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT', '100'],
    ['OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT', '100'],
    ['OTEL_METRICS_EXPORTER', 'otlp'],
    ['OTEL_METRIC_EXPORT_INTERVAL', '1000'],
    ['OTEL_EXPORTER_OTLP_METRICS_ENDPOINT', 'http://x'],
    ['OTEL_LOGS_EXPORTER', 'otlp'],
    ['OTEL_EXPORTER_OTLP_LOGS_ENDPOINT', 'http://x'],
    ['OTEL_BLRP_SCHEDULE_DELAY', '1'],
    ['OTEL_LOG_LEVEL', 'debug'],
    ['OTEL_EXPERIMENTAL_CONFIG_FILE', 'otel.yaml'],
  ] as const)
    it(`are warned of where they cannot be done: ${name}=${text}`, async () => {
      const { warnings } = await planOf({ ...COLLECTOR, [name]: text });
      assert.equal(
        warnings.filter((words) => words.includes(`${name} has no effect: `)).length,
        1,
        warnings.join('\n'),
      );
      // Where nothing is traced there is nothing to be wrong about.
      assert.deepEqual((await planOf({ [name]: text })).warnings, []);
    });

  it('say nothing where what they ask for is what happens', () => {
    const env = {
      ...Object.fromEntries(TRACING_VARIABLES.map(({ name }) => [name, ''])),
      OTEL_PROPAGATORS: 'baggage, tracecontext',
      OTEL_TRACES_SAMPLER: 'parentbased_traceidratio',
      OTEL_TRACES_EXPORTER: 'otlp',
      OTEL_BSP_MAX_EXPORT_BATCH_SIZE: '2048',
      OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT: '128',
      OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT: '4096',
      OTEL_SPAN_EVENT_COUNT_LIMIT: '1',
      OTEL_SPAN_LINK_COUNT_LIMIT: '1',
      OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT: '1',
      OTEL_LINK_ATTRIBUTE_COUNT_LIMIT: '1',
      OTEL_METRICS_EXPORTER: 'none',
      OTEL_LOGS_EXPORTER: 'none',
      OTEL_EXPORTER_OTLP_INSECURE: 'true',
      OTEL_NODE_RESOURCE_DETECTORS: 'all',
    };
    assert.deepEqual(unheededVariables(env), []);
  });
});
