/** The features of the control plane, in the order in which they start. Each is given what it needs of the process. */
import { AuthFeature } from './auth/feature.ts';
import { ServicesFeature } from './discovery/feature.ts';
import type { Feature } from './feature.ts';
import { identityFeature } from './identity/feature.ts';
import { lazyLimits } from './limits/lazy-feature.ts';
import type { Primary } from './primary.ts';

export const FEATURES: readonly ((primary: Primary) => Feature)[] = [
  (primary) => new AuthFeature({ bus: primary.workers, log: primary.log, latest: () => primary.compiled }),
  (primary) => identityFeature(primary),
  (primary) =>
    lazyLimits({
      log: primary.log,
      bus: primary.workers,
      serveBuiltin: (name, fetch) => primary.serveBuiltin(name, fetch),
    }),
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
