/**
 * From a compiled configuration to what the manager runs: the services that have `discovery`, with what they list
 * themselves.
 */
import type { InstanceInput } from './instance.ts';
import { instanceAt } from './instance.ts';
import type { DiscoveryPlan } from './manager.ts';
import type { DiscoverySettings } from './options.ts';
import type { RegistrationRules } from './registry/leases.ts';
import type { RegistrySection } from './registry/options.ts';

/** As the sections of each service compiled: `plan.services`. */
export type DiscoveryByService = Readonly<Record<string, { readonly discovery: DiscoverySettings | null }>>;

/** As the document lists instances: `document.services`. */
export type ListedByService = Readonly<
  Record<string, { readonly instances: readonly (string | (Partial<ListedFields> & { readonly url: string }))[] }>
>;

interface ListedFields {
  readonly weight: number;
  readonly zone: string | undefined;
  readonly healthy: boolean;
  readonly metadata: Readonly<Record<string, string>>;
}

export function discoveryPlans(services: DiscoveryByService, listed: ListedByService): DiscoveryPlan[] {
  return Object.entries(services).flatMap(([service, { discovery }]) => {
    if (discovery === null) return [];
    const configured = (listed[service]?.instances ?? []).map(fromDocument);
    return [{ service, static: configured, discovery }];
  });
}

/** The services that take registrations, for `Registry.configure`. */
export function registrationRules(services: DiscoveryByService): Map<string, RegistrationRules> {
  const rules = new Map<string, RegistrationRules>();
  for (const [service, { discovery }] of Object.entries(services)) {
    if (discovery?.registry != null) rules.set(service, discovery.registry);
  }
  return rules;
}

/**
 * Services that take registrations though there is no `registry`, so that no instance could register: an error at
 * start.
 */
export function servicesWithoutRegistry(
  registry: RegistrySection | null,
  discovery: ReadonlyMap<string, DiscoverySettings | null>,
): string[] {
  if (registry !== null) return [];
  return [...discovery].filter(([, settings]) => settings?.registry != null).map(([service]) => service);
}

function fromDocument(written: string | (Partial<ListedFields> & { readonly url: string })): InstanceInput {
  if (typeof written === 'string') return instanceAt(written);
  const { url, weight = 1, zone, healthy = true, metadata = {} } = written;
  return instanceAt(url, { weight, zone: zone ?? null, healthy, metadata });
}
