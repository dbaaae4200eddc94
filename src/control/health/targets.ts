/**
 * From a snapshot to what the monitor watches: every instance of every service, with its check or without one. The
 * monitor writes the health bit of each, so instances that are not probed are in the list too.
 */
import type {
  InstanceSettings,
  Secrets,
  ServiceSettings,
  Snapshot,
  UpstreamTls,
} from '../../data/contract/snapshot.ts';
import type { HealthCheckSettings } from './options.ts';
import type { ProbeAddress, ProbeTls } from './probe.ts';
import type { ProbeKind } from './probes.ts';

export interface HealthTarget {
  readonly service: string;
  /** The instance's id; stable across reloads. */
  readonly instance: string;
  /** Index in shared memory. */
  readonly slot: number;
  readonly url: string;
  /** As configured; holds until the first verdict, or for ever without a check. */
  readonly configuredHealthy: boolean;
  readonly check: HealthCheckSettings | null;
  readonly kind: ProbeKind;
  readonly address: ProbeAddress;
}

/** `checks` has the checks of the services that have one, by service name (section `healthCheck`). */
export function healthTargets(
  snapshot: Snapshot,
  secrets: Secrets,
  checks: ReadonlyMap<string, HealthCheckSettings>,
): HealthTarget[] {
  return snapshot.services.flatMap((service) => {
    const check = checks.get(service.name) ?? null;
    const last = made.get(service);
    if (last !== undefined && last.check === check && last.secrets === secrets) return last.targets;
    const targets = targetsOf(service, check, secrets);
    made.set(service, { check, secrets, targets });
    return targets;
  });
}

/** Of services that did not change, as when others get instances: the very same ones again. */
const made = new WeakMap<ServiceSettings, Made>();

interface Made {
  readonly check: HealthCheckSettings | null;
  readonly secrets: Secrets;
  readonly targets: readonly HealthTarget[];
}

function targetsOf(service: ServiceSettings, check: HealthCheckSettings | null, secrets: Secrets): HealthTarget[] {
  const tls = service.tls === null ? null : probeTls(service.tls, secrets);
  return service.instances.map((instance) => ({
    service: service.name,
    instance: instance.id,
    slot: instance.slot,
    url: instance.url,
    configuredHealthy: instance.healthy,
    check,
    kind: kindOf(check, instance),
    address: probeAddress(instance, check, tls),
  }));
}

function kindOf(check: HealthCheckSettings | null, instance: InstanceSettings): ProbeKind {
  return check === null || check.kind === 'auto' ? instance.protocol : check.kind;
}

function probeAddress(
  instance: InstanceSettings,
  check: HealthCheckSettings | null,
  tls: ProbeTls | null,
): ProbeAddress {
  return {
    protocol: instance.protocol,
    host: instance.host.replace(/^\[|\]$/g, ''),
    port: check?.port ?? instance.port,
    // A port of its own is a TCP port: the check has left the socket on purpose.
    socketPath: check?.port == null ? instance.socketPath : null,
    basePath: instance.basePath,
    tls,
  };
}

function probeTls(tls: UpstreamTls, secrets: Secrets): ProbeTls {
  const text = (id: string | null): string | null => (id === null ? null : (secrets[id] ?? null));
  return { serverName: tls.serverName, ca: text(tls.ca), cert: text(tls.cert), key: text(tls.key), verify: tls.verify };
}
