/**
 * Where the instances of config/gateway-config.json are when all of them run on this machine: each name there gets a
 * port of 127.0.0.1. `FIRST_PORT` moves them all. In a cluster the names are host names and none of this is used.
 */
export const FIRST_PORT = 4301;

export interface LocalInstance {
  readonly name: string;
  readonly service: string;
  readonly port: number;
  /** False: it is not started, so that there is an instance that is down. */
  readonly isStarted: boolean;
}

const COUNTS = {
  'project-manager': 2,
  'ai-planner': 2,
  'workflow-orchestrator': 3,
  'smart-notifications': 3,
  'analytics-dashboard': 2,
} as const;

export type ServiceName = keyof typeof COUNTS;
export const SERVICE_NAMES = Object.keys(COUNTS) as ServiceName[];

export function localInstances(firstPort: number = FIRST_PORT): LocalInstance[] {
  const names = SERVICE_NAMES.flatMap((service) =>
    Array.from({ length: COUNTS[service] }, (_, i) => ({ service, name: `${service}-${i + 1}` })),
  );
  return names.map((each, i) => ({ ...each, port: firstPort + i, isStarted: each.name !== 'smart-notifications-3' }));
}

/** What gatehouse.ts reads from SERVICE_ADDRESSES: `name=host:port`, separated by blanks. */
export function serviceAddresses(instances: readonly { readonly name: string; readonly port: number }[]): string {
  return instances.map(({ name, port }) => `${name}=127.0.0.1:${port}`).join(' ');
}
