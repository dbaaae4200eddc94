/**
 * From EndpointSlices (discovery.k8s.io/v1) to instances: ready endpoints, the right port, the zone. Pure; tolerant of
 * what it does not know, strict about what it uses, since the documents come over the network.
 */
import * as z from 'zod';
import type { InstanceInput } from './instance.ts';
import { byUrl, instanceAt, urlOf } from './instance.ts';
import type { KubernetesSettings } from './kubernetes.ts';

const nullish = <T extends z.ZodType>(type: T) => type.nullish();

const slicePort = z.object({
  name: nullish(z.string()),
  port: nullish(z.int().min(1).max(65_535)),
  protocol: nullish(z.string()),
  appProtocol: nullish(z.string()),
});

const endpoint = z.object({
  addresses: z.array(z.string().regex(/^[0-9A-Za-z.:-]+$/)).min(1),
  conditions: nullish(
    z.object({ ready: nullish(z.boolean()), serving: nullish(z.boolean()), terminating: nullish(z.boolean()) }),
  ),
  nodeName: nullish(z.string()),
  zone: nullish(z.string()),
  hints: nullish(z.object({ forZones: nullish(z.array(z.object({ name: z.string() }))) })),
  targetRef: nullish(z.object({ kind: nullish(z.string()), name: nullish(z.string()) })),
});

const metadata = z.object({ name: z.string(), resourceVersion: nullish(z.string()) });

export const endpointSlice = z.object({
  metadata,
  addressType: z.enum(['IPv4', 'IPv6', 'FQDN']),
  endpoints: nullish(z.array(endpoint)),
  ports: nullish(z.array(slicePort)),
});

export const sliceList = z.object({
  metadata: z.object({ resourceVersion: nullish(z.string()), continue: nullish(z.string()) }),
  items: nullish(z.array(endpointSlice)),
});

export const watchEvent = z.discriminatedUnion('type', [
  z.object({ type: z.enum(['ADDED', 'MODIFIED', 'DELETED']), object: endpointSlice }),
  z.object({ type: z.literal('BOOKMARK'), object: z.object({ metadata: z.object({ resourceVersion: z.string() }) }) }),
  z.object({ type: z.literal('ERROR'), object: z.object({ code: nullish(z.int()), message: nullish(z.string()) }) }),
]);

export type EndpointSlice = z.output<typeof endpointSlice>;
type Endpoint = z.output<typeof endpoint>;
type SlicePort = z.output<typeof slicePort>;

export interface SliceInstances {
  readonly instances: readonly InstanceInput[];
  readonly problem: string | null;
}

export function instancesOf(slices: readonly EndpointSlice[], settings: KubernetesSettings): SliceInstances {
  const ready = new Map<string, InstanceInput>();
  const leaving = new Map<string, InstanceInput>();
  const problems: string[] = [];
  for (const slice of slices) {
    const endpoints = slice.endpoints ?? [];
    if (endpoints.length === 0) continue;
    const port = portOf(slice.ports ?? [], settings.port);
    if (typeof port === 'string') {
      problems.push(port);
      continue;
    }
    for (const one of endpoints) {
      const instance = instanceOf(one, port, settings);
      // The API says to read an absent `ready` as ready.
      if (one.conditions?.ready ?? true) ready.set(instance.url, instance);
      else if (one.conditions?.serving && one.conditions.terminating) leaving.set(instance.url, instance);
    }
  }
  // When nothing is ready, pods that are on their way out but still serve are better than nothing, as in kube-proxy.
  const chosen = ready.size > 0 ? ready : leaving;
  return { instances: [...chosen.values()].sort(byUrl), problem: problems[0] ?? null };
}

/** The port to use, or why there is none. */
function portOf(ports: readonly SlicePort[], wanted: string | number | null): SlicePort | string {
  const usable = ports.filter((port) => port.port != null && (port.protocol ?? 'TCP') === 'TCP');
  const found =
    wanted === null ? usable : usable.filter((port) => (typeof wanted === 'number' ? port.port : port.name) === wanted);
  const names = usable.map((port) => `${port.name || 'unnamed'} (${port.port})`).join(', ');
  if (found.length === 1 && found[0] !== undefined) return found[0];
  if (found.length === 0) return `there is no TCP port ${wanted ?? 'at all'}; there are: ${names || 'none'}`;
  return `there are several ports (${names}); name one with \`port\``;
}

function instanceOf(endpoint: Endpoint, port: SlicePort, settings: KubernetesSettings): InstanceInput {
  const scheme = settings.scheme ?? (port.appProtocol === 'https' ? 'https' : 'http');
  // The API lets an endpoint have several addresses and says to use the first.
  const address = endpoint.addresses[0] ?? '';
  const facts: Record<string, string> = {};
  if (endpoint.targetRef?.kind === 'Pod' && endpoint.targetRef.name) facts['pod'] = endpoint.targetRef.name;
  if (endpoint.nodeName) facts['node'] = endpoint.nodeName;
  return instanceAt(urlOf(scheme, address, port.port ?? 0), { zone: zoneOf(endpoint, settings), metadata: facts });
}

/** A hint names the zone that should send to the endpoint, which is what zone-aware balancing wants to know. */
function zoneOf(endpoint: Endpoint, settings: KubernetesSettings): string | null {
  const hinted = settings.zones === 'hints' ? (endpoint.hints?.forZones ?? []) : [];
  if (endpoint.zone && hinted.some((zone) => zone.name === endpoint.zone)) return endpoint.zone;
  return hinted[0]?.name ?? endpoint.zone ?? null;
}
