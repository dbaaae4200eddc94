/**
 * The key `gateway.tracing`: what is traced, which traces are sampled, and the collector that spans are sent to. The
 * standard variables of OpenTelemetry stand for most of it. Off until an endpoint is known. feature.ts acts on it.
 */
import * as z from 'zod';
import { duration, durationOrOff, ratio, secret } from '../../base/zod-units.ts';
import type { TracingSettings } from '../../data/contract/tracing.ts';
import { filePath } from '../config/schema/fields.ts';
import { defineSection, type SectionContext, type VariableDefinition } from '../config/section.ts';

export interface TracingPlan {
  /** Without what depends on the routes, which feature.ts adds. */
  readonly settings: Omit<TracingSettings, 'slowRoutes' | 'hiddenPatterns' | 'pageSpans'>;
  readonly exporter: ExporterPlan;
  readonly serviceName: string | null;
  readonly attributes: Readonly<Record<string, string>>;
  readonly maxQueue: number;
}

export interface ExporterPlan {
  /** Of HTTP: the whole URL, such as `http://127.0.0.1:4318/v1/traces`. */
  readonly url: string;
  readonly protocol: 'http/protobuf' | 'grpc';
  readonly headers: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
  readonly gzip: boolean;
  /** PEM texts, or null: authorities of the system, no certificate of the gateway's own. */
  readonly tls: { readonly ca: string | null; readonly cert: string | null; readonly key: string | null };
}

const schema = z
  .strictObject({
    enabled: z.boolean().prefault(true).describe('`false`: nothing is traced, whatever else is set.'),
    endpoint: z
      .url({ protocol: /^https?$/, error: 'must be an http or https URL' })
      .optional()
      .describe(
        'Collector that takes OTLP, such as `http://127.0.0.1:4318`; over HTTP `/v1/traces` is added where it has no path. Default: none, and nothing is traced.',
      ),
    protocol: z.enum(['http/protobuf', 'grpc']).prefault('http/protobuf').describe('How OTLP is sent.'),
    headers: z
      .record(z.string().regex(/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/, 'must be the name of a field'), secret())
      .prefault({})
      .describe('Fields of each export, such as an API key of the collector.'),
    timeout: duration({ min: 100, max: 60_000 })
      .prefault('10s')
      .describe('Longest time of an export, retries included.'),
    compression: z
      .enum(['none', 'gzip'])
      .prefault('none')
      .describe(
        'Coding of exports. `gzip` takes an eighth of the bytes, and more time than all else that a trace costs.',
      ),
    ca: filePath()
      .optional()
      .describe(
        'File with the authority that signed the certificate of an `https` collector, PEM. Default: those that Node.js knows.',
      ),
    cert: filePath()
      .optional()
      .describe('File with the certificate by which the collector knows the gateway, PEM. Goes with `key`.'),
    key: filePath().optional().describe('File with the private key of `cert`, PEM without a passphrase.'),
    ratio: ratio()
      .prefault('1%')
      .describe(
        'Share of traces that are sampled where no caller has decided; by the id of the trace, so that all gateways decide alike.',
      ),
    parent: z
      .enum(['trusted', 'always', 'never'])
      .prefault('trusted')
      .describe(
        'Whose `sampled` flag is followed: that of peers in `trustProxy`, every client’s, or none. The trace itself goes on in each case. Security: with `always` any client decides how much is traced.',
      ),
    errors: z
      .boolean()
      .prefault(true)
      .describe('Also records exchanges that ended with 5xx or broke off, though they were not sampled.'),
    slowerThan: durationOrOff({ min: 1 })
      .prefault('off')
      .describe('Also records exchanges that took longer. Routes with an objective for latency use its bound instead.'),
    policies: duration({ min: 0 })
      .prefault('5ms')
      .describe(
        'Policies that waited so long for something, such as Redis, get a span, and in sampled traces those that computed so long. Questions to introspection endpoints and authorizers always get one.',
      ),
    serviceName: z
      .string()
      .min(1)
      .max(200)
      .optional()
      .describe('`service.name` of the resource. Default: `gateway.name`.'),
    attributes: z
      .record(z.string().min(1).max(200), z.string().max(1_000))
      .prefault({})
      .describe('Further attributes of the resource, such as `deployment.environment.name`.'),
    maxQueue: z
      .int()
      .min(512)
      .max(1_000_000)
      .prefault(8_192)
      .describe('Spans that may wait for the collector; more are dropped and counted.'),
  })
  .describe('Traces by OpenTelemetry (OTLP). Default: off.');

const at = (key: string): string[] => ['gateway', 'tracing', key];

/** Of two that set one key, the later wins: those for traces alone come last. */
const VARIABLES: readonly VariableDefinition[] = [
  { name: 'OTEL_EXPORTER_OTLP_ENDPOINT', path: at('endpoint'), meaning: 'Collector of traces; turns tracing on.' },
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
    read: pairs,
  },
  {
    name: 'OTEL_EXPORTER_OTLP_TRACES_HEADERS',
    path: at('headers'),
    meaning: 'The same for traces alone.',
    read: pairs,
  },
  {
    name: 'OTEL_EXPORTER_OTLP_TIMEOUT',
    path: at('timeout'),
    meaning: 'Longest time of an export, milliseconds.',
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
    meaning: 'Share of traces that are sampled, 0 to 1.',
    read: Number,
  },
  {
    name: 'OTEL_TRACES_SAMPLER',
    path: at('ratio'),
    meaning:
      '`always_on` and `always_off`, also with `parentbased_` before them; other samplers leave the ratio as it is.',
    read: (text) => (/^(parentbased_)?always_(on|off)$/.test(text) ? (text.endsWith('on') ? 1 : 0) : undefined),
  },
  {
    name: 'OTEL_TRACES_SAMPLER',
    path: at('parent'),
    meaning: 'Without `parentbased_` before it no caller’s `sampled` flag is followed.',
    read: (text) => (/^(always_(on|off)|traceidratio)$/.test(text) ? 'never' : undefined),
  },
  { name: 'OTEL_SERVICE_NAME', path: at('serviceName'), meaning: '`service.name` of spans.' },
  {
    name: 'OTEL_RESOURCE_ATTRIBUTES',
    path: at('attributes'),
    meaning: 'Attributes of the resource: `name=value,...`.',
    read: pairs,
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
    meaning: '`none`: nothing is traced.',
    read: (text) => (text === 'none' ? false : undefined),
  },
];

/** A path of `/` would get one added. */
function asItIs(text: string): string {
  return URL.canParse(text) && new URL(text).pathname === '/' && !text.endsWith('//')
    ? `${text.replace(/\/$/, '')}//`
    : text;
}

function pairs(text: string): Record<string, string> {
  const found: Record<string, string> = {};
  for (const pair of text.split(',')) {
    const at = pair.indexOf('=');
    if (at > 0) found[decoded(pair.slice(0, at).trim())] = decoded(pair.slice(at + 1).trim());
  }
  return found;
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

export const tracingSection = defineSection({
  at: 'gateway',
  key: 'tracing',
  schema,
  variables: VARIABLES,
  /** Null: nothing is traced. */
  compile(options, context): TracingPlan | null {
    if (options?.endpoint === undefined || !options.enabled) return null;
    const { ratio: share, parent, errors, slowerThan, policies, serviceName, attributes, maxQueue } = options;
    return {
      settings: { ratio: share, parent, errors, slowMs: slowerThan, policyMs: policies },
      exporter: {
        url: exporterUrl(options.endpoint, options.protocol),
        protocol: options.protocol,
        headers: options.headers,
        timeoutMs: options.timeout,
        gzip: options.compression === 'gzip',
        tls: collectorTls(options, context),
      },
      serviceName: serviceName ?? null,
      attributes,
      maxQueue,
    };
  },
});

function collectorTls(
  { endpoint, ca, cert, key }: z.output<typeof schema>,
  context: SectionContext,
): ExporterPlan['tls'] {
  if ((cert === undefined) !== (key === undefined))
    context.problem('cert and key belong together', { expected: 'both' });
  if (endpoint?.startsWith('http:') && (ca ?? cert) !== undefined)
    context.problem('has no effect: the endpoint is not https', { at: [ca === undefined ? 'cert' : 'ca'] });
  const pair = cert === undefined || key === undefined ? undefined : context.readPair(cert, key);
  return {
    ca: ca === undefined ? null : (context.readAuthorities('ca', ca) ?? null),
    cert: pair?.cert ?? null,
    key: pair?.key ?? null,
  };
}

function exporterUrl(endpointUrl: string, protocol: ExporterPlan['protocol']): string {
  const url = new URL(endpointUrl);
  if (protocol === 'grpc') return url.origin;
  if (url.pathname === '/') url.pathname = '/v1/traces';
  else if (url.pathname === '//') url.pathname = '/';
  return url.href;
}
