/** The features of the control plane, in the order in which they start. Each is given what it needs of the process. */
import { ServicesFeature } from './discovery/feature.ts';
import type { Feature } from './feature.ts';
import { identityFeature } from './identity/feature.ts';
import type { Primary } from './primary.ts';

export const FEATURES: readonly ((primary: Primary) => Feature)[] = [
  (primary) => identityFeature(primary),
  (primary) =>
    new ServicesFeature({
      log: primary.log,
      instances: primary.instances,
      env: primary.env,
      listed: () => primary.listed(),
      setDiscovered: (instances) => primary.setDiscovered(instances),
      serveBuiltin: (name, fetch) => primary.serveBuiltin(name, fetch),
    }),
];
