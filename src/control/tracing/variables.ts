/**
 * The standard variables of OpenTelemetry for traces: those that stand for a key of `gateway.tracing`, and those that
 * cannot be done as they say, each with what to write instead. docs/guide/tracing.md has all of them as a table.
 */
import type { VariableDefinition } from '../config/section.ts';

type Environment = Readonly<Record<string, string | undefined>>;

const at = (key: string): string[] => ['gateway', 'tracing', key];
const SAMPLER = /^(parentbased_)?(always_on|always_off|traceidratio)$/;

/** Of two that set one key, the later wins: those for traces alone come last. */
export const TRACING_VARIABLES: readonly VariableDefinition[] = [
  {
    name: 'OTEL_EXPORTER_OTLP_ENDPOINT',
    path: at('endpoint'),
    meaning: 'Collector; turns tracing on. Over HTTP `/v1/traces` is put behind its path.',
    read: signalUrl,
  },
  {
    name: 'OTEL_EXPORTER_OTLP_TRACES_ENDPOINT',
    path: at('endpoint'),
    meaning: 'The same for traces alone, used as it is; wins over `OTEL_EXPORTER_OTLP_ENDPOINT`.',
    read: asItIs,
  },
  { name: 'OTEL_EXPORTER_OTLP_PROTOCOL', path: at('protocol'), meaning: '`http/protobuf` or `grpc`.' },
  { name: 'OTEL_EXPORTER_OTLP_TRACES_PROTOCOL', path: at('protocol'), meaning: 'The same for traces alone.' },
  {
    name: 'OTEL_EXPORTER_OTLP_HEADERS',
    path: at('headers'),
    meaning: 'Fields of exports: `name=value,name=value`.',
    read: secretPairs,
  },
  {
    name: 'OTEL_EXPORTER_OTLP_TRACES_HEADERS',
    path: at('headers'),
    meaning: 'The same for traces alone.',
    read: secretPairs,
  },
  {
    name: 'OTEL_BSP_EXPORT_TIMEOUT',
    path: at('timeout'),
    meaning: 'Longest time of an export, retries included, milliseconds.',
    read: Number,
  },
  {
    name: 'OTEL_EXPORTER_OTLP_TIMEOUT',
    path: at('timeout'),
    meaning: 'The same; wins over `OTEL_BSP_EXPORT_TIMEOUT`.',
    read: Number,
  },
  {
    name: 'OTEL_EXPORTER_OTLP_TRACES_TIMEOUT',
    path: at('timeout'),
    meaning: 'The same for traces alone.',
    read: Number,
  },
  { name: 'OTEL_EXPORTER_OTLP_COMPRESSION', path: at('compression'), meaning: '`gzip` or `none`.' },
  { name: 'OTEL_EXPORTER_OTLP_TRACES_COMPRESSION', path: at('compression'), meaning: 'The same for traces alone.' },
  { name: 'OTEL_EXPORTER_OTLP_CERTIFICATE', path: at('ca'), meaning: 'File with the authority of the collector.' },
  { name: 'OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE', path: at('ca'), meaning: 'The same for traces alone.' },
  {
    name: 'OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE',
    path: at('cert'),
    meaning: 'File with the certificate by which the collector knows the gateway.',
  },
  { name: 'OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE', path: at('cert'), meaning: 'The same for traces alone.' },
  { name: 'OTEL_EXPORTER_OTLP_CLIENT_KEY', path: at('key'), meaning: 'File with its private key.' },
  { name: 'OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY', path: at('key'), meaning: 'The same for traces alone.' },
  {
    name: 'OTEL_TRACES_SAMPLER_ARG',
    path: at('ratio'),
    meaning: 'Share of traces that are sampled, 0 to 1; of the sampler `traceidratio`, and without a sampler.',
    read: (text, env) => (/^$|traceidratio$/.test(env['OTEL_TRACES_SAMPLER'] ?? '') ? Number(text) : undefined),
  },
  {
    name: 'OTEL_TRACES_SAMPLER',
    path: at('ratio'),
    meaning:
      '`always_on`, `always_off` or `traceidratio` (all, without an argument), also with `parentbased_` before it.',
    read: ratioOf,
  },
  {
    name: 'OTEL_TRACES_SAMPLER',
    path: at('parent'),
    meaning: 'Without `parentbased_` before it no caller’s `sampled` flag is followed.',
    read: (text) => (SAMPLER.test(text) && !text.startsWith('parentbased_') ? 'never' : undefined),
  },
  {
    name: 'OTEL_SERVICE_NAME',
    path: at('serviceName'),
    meaning: '`service.name` of spans; wins over that of `OTEL_RESOURCE_ATTRIBUTES`.',
  },
  {
    name: 'OTEL_RESOURCE_ATTRIBUTES',
    path: at('attributes'),
    meaning: 'Attributes of the resource: `name=value,...`, with `%2C` for a comma.',
    read: pairs,
  },
  {
    name: 'OTEL_BSP_MAX_QUEUE_SIZE',
    path: at('maxQueue'),
    meaning: 'Spans that may wait for the collector, at least 512.',
    read: Number,
  },
  {
    name: 'OTEL_SDK_DISABLED',
    path: at('enabled'),
    meaning: '`true`: nothing is traced.',
    read: (text) => (text.toLowerCase() === 'true' ? false : undefined),
  },
  {
    name: 'OTEL_TRACES_EXPORTER',
    path: at('enabled'),
    meaning: '`otlp`, or `none`: nothing is traced.',
    read: (text) => (text === 'none' ? false : undefined),
  },
];

interface Unheeded {
  readonly name: RegExp;
  /** Texts that say what happens anyway. */
  readonly isDone?: (text: string) => boolean;
  readonly why: string;
}

const METRICS = 'metrics are not sent but read: by Prometheus, or by a collector that scrapes /metrics/prometheus';
const LOGS = 'logs are not sent by OTLP: they go where gateway.accessLog and the standard error of the process lead';
const LENGTH = 'paths and URLs are cut at 2,048 characters and names of user agents at 200, always';
const COUNT = 'a span has fewer than 32 attributes, always';
const atLeast = (least: number) => (text: string) => Number(text) >= least;

const UNHEEDED: readonly Unheeded[] = [
  {
    name: /^OTEL_PROPAGATORS$/,
    isDone: (text) => {
      const named = new Set(text.split(',').map((each) => each.trim()));
      return named.size === 2 && named.has('tracecontext') && named.has('baggage');
    },
    why: 'propagators are tracecontext and baggage; other programs of the trace must take these, and headers.request.remove takes a field off',
  },
  {
    name: /^OTEL_TRACES_SAMPLER$/,
    isDone: (text) => SAMPLER.test(text),
    why: 'write always_on, always_off or traceidratio, also with parentbased_ before it, or set gateway.tracing.ratio and parent',
  },
  {
    name: /^OTEL_TRACES_EXPORTER$/,
    isDone: (text) => text === 'otlp' || text === 'none',
    why: 'spans are sent by OTLP alone; a collector can pass them on to anything else',
  },
  {
    name: /^OTEL_BSP_SCHEDULE_DELAY$/,
    why: 'finished spans are sent after at most 250 ms',
  },
  {
    name: /^OTEL_BSP_MAX_EXPORT_BATCH_SIZE$/,
    isDone: (text) => text === '2048',
    why: 'an export has up to 2,048 spans, and up to 1 MB',
  },
  { name: /^OTEL_(SPAN_)?ATTRIBUTE_COUNT_LIMIT$/, isDone: atLeast(32), why: COUNT },
  { name: /^OTEL_(SPAN_)?ATTRIBUTE_VALUE_LENGTH_LIMIT$/, isDone: atLeast(4_096), why: LENGTH },
  {
    name: /^OTEL_METRICS_EXPORTER$/,
    isDone: (text) => text === 'none' || text === 'prometheus',
    why: METRICS,
  },
  { name: /^OTEL_(METRIC_EXPORT_(INTERVAL|TIMEOUT)|EXPORTER_OTLP_METRICS_\w+)$/, why: METRICS },
  { name: /^OTEL_LOGS_EXPORTER$/, isDone: (text) => text === 'none', why: LOGS },
  { name: /^OTEL_(BLRP_\w+|EXPORTER_OTLP_LOGS_\w+)$/, why: LOGS },
  { name: /^OTEL_LOG_LEVEL$/, why: 'write LOG_LEVEL or gateway.logLevel' },
  { name: /^OTEL_(EXPERIMENTAL_)?CONFIG_FILE$/, why: 'write gateway.tracing' },
];

/** Sentences about what is set and will not be done. Events and links have limits, too, but spans have none of them. */
export function unheededVariables(env: Environment): string[] {
  return Object.entries(env).flatMap(([name, text]) => {
    if (!name.startsWith('OTEL_') || text === undefined || text === '') return [];
    const found = UNHEEDED.find((each) => each.name.test(name));
    if (found === undefined || found.isDone?.(text) === true) return [];
    return [`the environment variable ${name} has no effect: ${found.why}`];
  });
}

/** The specification of the exporter: the path of a signal stands behind that of the endpoint. */
function signalUrl(text: string): string {
  if (!URL.canParse(text)) return text;
  const url = new URL(text);
  url.pathname = `${url.pathname.replace(/\/+$/, '')}/v1/traces`;
  return url.href;
}

/** A path of `/` would get one added. */
function asItIs(text: string): string {
  return URL.canParse(text) && new URL(text).pathname === '/' && !text.endsWith('//')
    ? `${text.replace(/\/$/, '')}//`
    : text;
}

function ratioOf(text: string, env: Environment): number | undefined {
  if (!SAMPLER.test(text)) return undefined;
  if (text.endsWith('always_off')) return 0;
  const hasShare = text.endsWith('traceidratio') && (env['OTEL_TRACES_SAMPLER_ARG'] ?? '') !== '';
  return hasShare ? undefined : 1;
}

/** What is no list of pairs is left for the schema to refuse. */
function pairs(text: string): Record<string, string> | string {
  const found: Record<string, string> = {};
  for (const pair of text.split(',')) {
    if (pair.trim() === '') continue;
    const at = pair.indexOf('=');
    if (at < 1) return text;
    found[decoded(pair.slice(0, at).trim())] = decoded(pair.slice(at + 1).trim());
  }
  return found;
}

/** The message of the schema must not show what may be the key of a collector. */
function secretPairs(text: string): Record<string, string> | [] {
  const found = pairs(text);
  return typeof found === 'string' ? [] : found;
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
