/**
 * The service key `discovery`: where the instances of a service come from beside `instances`. One source of types,
 * defaults, bounds and words. Several sources of one service add up. Compiles to settings with units in the names.
 */
import { Resolver } from 'node:dns';
import { existsSync } from 'node:fs';
import * as z from 'zod';
import { cidr, duration } from '../../base/zod-units.ts';
import type { SectionContext } from '../config/section.ts';
import { defineSection } from '../config/section.ts';
import type { DnsSettings } from './dns.ts';
import type { FileSettings } from './file.ts';
import { MAX_WEIGHT } from './instance.ts';
import type { KubernetesSettings } from './kubernetes.ts';
import { SERVICE_ACCOUNT } from './kubernetes-access.ts';
import { kubernetesAccessOptions } from './kubernetes-access-options.ts';
import type { RegistrationRules } from './registry/leases.ts';

const port = z.int().min(1).max(65_535);
const weight = z.number().min(0).max(MAX_WEIGHT);
const zone = z.string().min(1).max(64);
const scheme = z.enum(['http', 'https']);

function issue(path: string, input: unknown, message: string, expected: string): z.core.$ZodRawIssue {
  return { code: 'custom', path: [path], input, message, params: { expected } };
}

const dnsOptions = z
  .strictObject({
    name: z
      .string()
      .max(253)
      .regex(/^(?!-)[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*\.?$/, 'must be a host name')
      .describe(
        'Name to look up; for SRV the whole name, such as `_http._tcp.projects.internal`. Without `servers` the hosts file and the search domains of the machine count; a name that ends with a dot is complete.',
      ),
    type: z
      .enum(['A', 'AAAA', 'SRV'])
      .prefault('A')
      .describe('Kind of record: IPv4 addresses, IPv6 addresses, or SRV, which brings ports, weights and priorities.'),
    port: port.optional().describe('Port of every instance. Needed for A and AAAA; SRV records carry their own.'),
    scheme: scheme.prefault('http').describe('Scheme of the instance URLs. With https, set `tls.serverName` too.'),
    minTtl: duration({ min: 100 })
      .prefault('5s')
      .describe('Shortest time between two look-ups, also when the record says less.'),
    maxTtl: duration({ min: 100 })
      .prefault('5m')
      .describe('Longest time between two look-ups, also when the record says more.'),
    interval: duration({ min: 100 })
      .prefault('30s')
      .describe(
        'Time between two look-ups of an SRV name, or of a name without records, whose TTL Node does not tell.',
      ),
    timeout: duration({ min: 10, max: 60_000 })
      .prefault('2s')
      .describe('Time that one name server gets to answer; each is tried twice.'),
    servers: z
      .array(z.string())
      .max(8)
      .prefault([])
      .describe(
        'Name servers as `address` or `address:port`; they are asked for the name as it is written. Default: those of the machine.',
      ),
    whenEmpty: z
      .enum(['keep', 'remove'])
      .prefault('keep')
      .describe('When the name has no records any more: keep the last ones, or take the instances away.'),
    weight: weight.prefault(1).describe('Weight of each instance of an A or AAAA name.'),
    zone: zone.optional().describe('Zone of the instances, for zone-aware balancing.'),
  })
  .check(({ value, issues }) => {
    if (value.type === 'SRV' && value.port !== undefined) {
      issues.push(issue('port', value.port, 'SRV records carry their own ports', 'no `port`'));
    }
    if (value.type !== 'SRV' && value.port === undefined) {
      issues.push(issue('port', undefined, `a name of type ${value.type} needs a port`, 'a port from 1 to 65535'));
    }
    if (value.minTtl > value.maxTtl) {
      issues.push(issue('minTtl', value.minTtl, 'longer than maxTtl', `at most ${value.maxTtl} ms`));
    }
    for (const server of value.servers) {
      if (!isNameServer(server))
        issues.push(issue('servers', server, 'not a name server', 'an address such as 10.0.0.2:53'));
    }
  });

const fileDetails = z.strictObject({
  path: z.string().min(1).describe('YAML or JSON file with a list of instances; relative to the configuration file.'),
  pollInterval: duration({ min: 100 })
    .prefault('5s')
    .describe('How often the file is looked at where the system does not tell of changes, such as on network drives.'),
});

const registryDetails = z.strictObject({
  allow: z
    .array(cidr())
    .max(256)
    .prefault([])
    .describe(
      'Addresses that may be registered, as CIDR blocks; host names are refused then. Empty allows all but link-local ones.',
    ),
  maxInstances: z.int().min(1).max(1_024).prefault(256).describe('Most instances that may be registered at once.'),
});

const kubernetesOptions = z.strictObject({
  service: z
    .string()
    .regex(/^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/, 'must be a Kubernetes name')
    .describe('Name of the Kubernetes Service whose EndpointSlices are watched.'),
  namespace: z
    .string()
    .regex(/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/, 'must be a Kubernetes namespace')
    .optional()
    .describe('Namespace of the Service. Default: the one that the gateway runs in.'),
  port: z
    .union([port, z.string().min(1).max(63)])
    .optional()
    .describe('Port of the pods, by name or number. May be left out when the Service has one port.'),
  scheme: scheme
    .optional()
    .describe('Scheme of the instance URLs. Default: https when the port’s appProtocol says so, else http.'),
  zones: z
    .enum(['hints', 'endpoint'])
    .prefault('hints')
    .describe(
      'Zone of an instance: the one that its topology hint names, where there is a hint, or always the one it runs in.',
    ),
  ...kubernetesAccessOptions,
});

export const discoveryOptions = z.strictObject({
  dns: dnsOptions.optional().describe('Instances from DNS.'),
  file: z
    .union([z.string().min(1), fileDetails])
    .optional()
    .describe('Instances from a watched file: its path, or `{ path, pollInterval }`.'),
  registry: z
    .union([z.boolean(), registryDetails])
    .optional()
    .describe('Instances that register themselves with the gateway: `true`, or `{ allow, maxInstances }`.'),
  kubernetes: kubernetesOptions.optional().describe('Instances from the EndpointSlices of a Kubernetes Service.'),
});

/** As written in a configuration. */
export type DiscoveryOptions = z.output<typeof discoveryOptions>;

/** What the manager reads: a settings object per source in use. Plain data, so that two can be compared as JSON. */
export interface DiscoverySettings {
  readonly dns: DnsSettings | null;
  readonly file: FileSettings | null;
  readonly registry: RegistrationRules | null;
  readonly kubernetes: KubernetesSettings | null;
}

/** `resolve` makes the path of a file absolute. */
export function discoverySettings(options: DiscoveryOptions, resolve: (file: string) => string): DiscoverySettings {
  return {
    dns: options.dns === undefined ? null : dnsSettings(options.dns),
    file: options.file === undefined ? null : fileSettings(options.file, resolve),
    registry: registrationRules(options.registry),
    kubernetes: options.kubernetes === undefined ? null : kubernetesSettings(options.kubernetes, resolve),
  };
}

function dnsSettings(options: z.output<typeof dnsOptions>): DnsSettings {
  return {
    name: options.name,
    type: options.type,
    port: options.port ?? 0,
    scheme: options.scheme,
    minTtlMs: options.minTtl,
    maxTtlMs: options.maxTtl,
    intervalMs: options.interval,
    timeoutMs: options.timeout,
    servers: options.servers,
    whenEmpty: options.whenEmpty,
    weight: options.weight,
    zone: options.zone ?? null,
  };
}

function fileSettings(options: NonNullable<DiscoveryOptions['file']>, resolve: (file: string) => string): FileSettings {
  const { path, pollInterval } = fileDetails.parse(typeof options === 'string' ? { path: options } : options);
  return { path: resolve(path), pollIntervalMs: pollInterval };
}

function registrationRules(options: DiscoveryOptions['registry']): RegistrationRules | null {
  if (options === undefined || options === false) return null;
  return options === true ? registryDetails.parse({}) : options;
}

function kubernetesSettings(
  options: z.output<typeof kubernetesOptions>,
  resolve: (file: string) => string,
): KubernetesSettings {
  return {
    service: options.service,
    namespace: options.namespace ?? null,
    port: options.port ?? null,
    scheme: options.scheme ?? null,
    zones: options.zones,
    apiServer: options.apiServer?.replace(/\/+$/, '') ?? null,
    tokenFile: options.tokenFile === undefined ? null : resolve(options.tokenFile),
    caFile: options.caFile === undefined ? null : resolve(options.caFile),
  };
}

export const discoverySection = defineSection({
  at: 'service',
  key: 'discovery',
  schema: discoveryOptions.describe('Where the instances come from, beside or instead of `instances`.'),
  givesInstances: true,
  /** Null: the service has the configured instances and no others. */
  compile(options, context): DiscoverySettings | null {
    if (options === undefined) return null;
    const settings = discoverySettings(options, (file) => context.resolve(file));
    if (Object.values(settings).every((source) => source === null)) {
      context.problem('names no source', { expected: 'one of dns, file, registry, kubernetes' });
    }
    warn(settings, context);
    return settings;
  },
});

/** What may be right where the gateway will run, and is wrong here: it is said, and refuses nothing. */
function warn({ kubernetes, file }: DiscoverySettings, context: SectionContext): void {
  if (kubernetes !== null && kubernetes.apiServer === null && context.env['KUBERNETES_SERVICE_HOST'] === undefined) {
    context.warning('this is not a Kubernetes pod and no API server is named', {
      at: ['kubernetes'],
      expected: `apiServer, or a pod with ${SERVICE_ACCOUNT}`,
    });
  }
  if (file !== null && !existsSync(file.path)) {
    context.warning('the file does not exist yet', { at: ['file'], got: file.path });
  }
}

function isNameServer(text: string): boolean {
  try {
    new Resolver().setServers([text]);
    return true;
  } catch {
    return false;
  }
}
