/** Where the instances of a service are, for who fetches something from them outside of traffic. */
import type { Snapshot } from '../../data/contract/snapshot.ts';

export function instanceUrls({ services }: Snapshot, name: string): string[] {
  const found = services.find((service) => service.name === name);
  return (found?.instances ?? []).filter(({ socketPath }) => socketPath === null).map(({ url }) => url);
}
