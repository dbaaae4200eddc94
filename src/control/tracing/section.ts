/**
 * The key `gateway.tracing`: what is traced, which traces are sampled, and the collector that spans are sent to. The
 * standard variables of OpenTelemetry stand for most of it. Off until an endpoint is known. feature.ts acts on it.
 */
import * as z from 'zod';
import { duration, durationOrOff, ratio, secret } from '../../base/zod-units.ts';
import type { TracingSettings } from '../../data/contract/tracing.ts';
import { filePath } from '../config/schema/fields.ts';
import { defineSection, type SectionContext } from '../config/section.ts';
import { TRACING_VARIABLES, unheededVariables } from './variables.ts';

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

export const tracingSection = defineSection({
  at: 'gateway',
  key: 'tracing',
  schema,
  variables: TRACING_VARIABLES,
  /** Null: nothing is traced. */
  compile(options, context): TracingPlan | null {
    if (options?.endpoint === undefined || !options.enabled) return null;
    for (const words of unheededVariables(context.env)) context.warning(words);
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
